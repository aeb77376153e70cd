// The scale and minimum that fit each sub-block best: x ~ scale * level + minimum.
//
// Works as `make_qkx2_quants` and `make_qkx3_quants` of ggml-quants.c do: levels are taken on a
// series of trial grids, each is refitted by weighted least squares, and the least error wins. A
// winner's minimum is the one that the next grids start from.
#pragma once

#include "quantize/levels.h"
#include "quantize/samples.h"

namespace {

// Levels 0..top; trial grids of (first + step * i + top) levels for i in 0..last.
struct Grid {
    int top;
    float first;
    float step;
    int last;
};

template <int lanes>
struct AffineFit {
    Float<lanes> scale;
    Float<lanes> minimum;
    // The levels of the best fit are nearest(level_scale * (x - level_minimum)).
    Float<lanes> level_scale;
    Float<lanes> level_minimum;
};

template <int lanes, int size>
inline AffineFit<lanes> fit_affine(const Samples<lanes, size>& samples, const Grid& grid) {
    using F = Float<lanes>;
    const auto& x = samples.x;
    const auto& w = samples.w;
    const F zero{};
    F low = x[0], high = x[0], sum_w = w[0], sum_x = w[0] * x[0];
    for (int i = 1; i < size; ++i) {
        low = smaller<F>(x[i], low);
        high = larger<F>(x[i], high);
        sum_w += w[i];
        sum_x += w[i] * x[i];
    }
    low = select(low > 0.f, zero, low);
    const auto flat = high == low;
    const AffineFit<lanes> flat_fit{zero, low, zero, zero};

    F level_scale = static_cast<float>(grid.top) / (high - low);
    AffineFit<lanes> best{1.f / level_scale, low, level_scale, low};
    F best_error{};
    for (int i = 0; i < size; ++i) {
        const F level = nearest_level<lanes>(level_scale * (x[i] - low), 0, grid.top);
        const F off = best.scale * level + low - x[i];
        best_error += w[i] * (off * off);
    }
    for (int trial = 0; trial <= grid.last; ++trial) {
        const float span = grid.first + grid.step * static_cast<float>(trial);
        level_scale = (span + static_cast<float>(grid.top)) / (high - best.minimum);
        F levels[size];
        F sum_l{}, sum_l2{}, sum_xl{};
        for (int i = 0; i < size; ++i) {
            levels[i] = nearest_level<lanes>(level_scale * (x[i] - best.minimum), 0, grid.top);
            const F weighted = w[i] * levels[i];
            sum_l += weighted;
            sum_l2 += weighted * levels[i];
            sum_xl += weighted * x[i];
        }
        const F determinant = sum_w * sum_l2 - sum_l * sum_l;
        F scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
        F minimum = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
        const auto above = minimum > 0.f;
        scale = select(above, F(sum_xl / sum_l2), scale);
        minimum = select(above, zero, minimum);
        F error{};
        for (int i = 0; i < size; ++i) {
            const F off = scale * levels[i] + minimum - x[i];
            error += w[i] * (off * off);
        }
        const auto wins = (determinant > 0.f) & (error < best_error);
        best_error = select(wins, error, best_error);
        best.level_scale = select(wins, level_scale, best.level_scale);
        best.level_minimum = select(wins, best.minimum, best.level_minimum);
        best.scale = select(wins, scale, best.scale);
        best.minimum = select(wins, minimum, best.minimum);
    }
    return {select(flat, flat_fit.scale, best.scale), select(flat, flat_fit.minimum, best.minimum),
            select(flat, flat_fit.level_scale, best.level_scale),
            select(flat, flat_fit.level_minimum, best.level_minimum)};
}

// Levels of the fit of one sub-block.
template <int size>
inline void levels_of(const float* x, float level_scale, float level_minimum, int top,
                      std::uint8_t* levels) {
    for (int i = 0; i < size; ++i) {
        const int level = nearest(level_scale * (x[i] - level_minimum));
        levels[i] = static_cast<std::uint8_t>(clamped(level, 0, top));
    }
}

}  // namespace
