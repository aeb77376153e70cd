// One scale for the eight sub-blocks' own scales (or minimums), which become levels 0..63.
#pragma once

#include "quantize/levels.h"
#include "quantize/pack.h"
#include "quantize/scale_search.h"

namespace {

// A common scale, and eight values as multiples of it.
struct Shared {
    float scale;
    std::uint8_t levels[8];
};

constexpr int shared_top = 63;

// Without an importance matrix: the largest value becomes 63 (`quantize_row_q4_K_ref`).
inline Shared share_by_largest(const float* values) {
    float largest = 0;
    for (int j = 0; j < 8; ++j) {
        largest = values[j] > largest ? values[j] : largest;
    }
    const float factor = largest > 0 ? 63.f / largest : 0.f;
    Shared shared{largest / 63.f, {}};
    for (int j = 0; j < 8; ++j) {
        // A negative one wraps around as a byte and is then the largest level.
        const auto level = static_cast<std::uint8_t>(nearest(factor * values[j]));
        shared.levels[j] = level < shared_top ? level : shared_top;
    }
    return shared;
}

inline int shared_level(float value) {
    const int level = nearest(value);
    return level < shared_top ? level : shared_top;
}

// The best of nine scales by weighted squared error, as the factor from value to level. ggml takes
// the first one's levels as bytes, so that a negative one wraps around there and only there.
inline float best_factor(const float* values, const float* weights, float largest) {
    float best = shared_top / largest, least = 0;
    const float first_scale = 1.f / best;
    for (int j = 0; j < 8; ++j) {
        const auto level = static_cast<std::uint8_t>(nearest(best * values[j]));
        const float off = values[j] - first_scale * static_cast<float>(level);
        least += weights[j] * off * off;
    }
    for (int trial = -4; trial <= 4; ++trial) {
        const float factor = (0.1f * static_cast<float>(trial) + 63.f) / largest;
        const float scale = 1.f / factor;
        float error = 0;
        for (int j = 0; j < 8; ++j) {
            const auto level = static_cast<float>(shared_level(factor * values[j]));
            const float off = values[j] - scale * level;
            error += weights[j] * off * off;
        }
        if (trial != 0 && error < least) {
            least = error;
            best = factor;
        }
    }
    return best;
}

// With an importance matrix: the best scale by least squares, then up to five rounds that move
// single levels as long as the scale explains more (`make_qp_quants`, ggml-quants.c). Levels above
// `limit` become it at the end.
inline Shared share_by_weight(const float* values, const float* weights, int limit) {
    float largest = 0;
    for (int j = 0; j < 8; ++j) {
        largest = largest > values[j] ? largest : values[j];
    }
    Shared shared{};
    if (largest < negligible) {
        return shared;
    }
    const float factor = best_factor(values, weights, largest);
    float sum_xl = 0, sum_l2 = 0;
    for (int j = 0; j < 8; ++j) {
        const int level = shared_level(factor * values[j]);
        shared.levels[j] = static_cast<std::uint8_t>(level);
        sum_xl += weights[j] * values[j] * static_cast<float>(level);
        sum_l2 += weights[j] * static_cast<float>(level) * static_cast<float>(level);
    }
    bool moved = true;
    for (int round = 0; round < 5 && moved; ++round) {
        moved = false;
        for (int j = 0; j < 8; ++j) {
            const float wx = weights[j] * values[j];
            const auto old = static_cast<float>(shared.levels[j]);
            float xl = sum_xl - wx * old;
            float l2 = sum_l2 - weights[j] * old * old;
            if (!(xl > 0 && l2 > 0)) {
                continue;
            }
            const int level = shared_level(values[j] * l2 / xl);
            if (level == shared.levels[j]) {
                continue;
            }
            xl += wx * static_cast<float>(level);
            l2 += weights[j] * static_cast<float>(level) * static_cast<float>(level);
            if (xl * xl * sum_l2 > sum_xl * sum_xl * l2) {
                shared.levels[j] = static_cast<std::uint8_t>(level);
                sum_xl = xl;
                sum_l2 = l2;
                moved = true;
            }
        }
    }
    for (std::uint8_t& level : shared.levels) {
        level = static_cast<std::uint8_t>(level < limit ? level : limit);
    }
    shared.scale = sum_l2 > 0 ? sum_xl / sum_l2 : 0.f;
    return shared;
}

}  // namespace
