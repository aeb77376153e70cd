// Q6_K: 256 elements in sixteen sub-blocks of 16, x ~ d * scale * (level - 32).
#pragma once

#include "half.h"
#include "quantize/pack.h"
#include "quantize/scale_search.h"
#include "quantize/source.h"

namespace {

struct Q6K {
    static constexpr int super = 256;
    static constexpr int size = 16;
    static constexpr int count = super / size;
    static constexpr int top = 32;
    static constexpr int bytes = 128 + 64 + 16 + 2;
};

// The scale of largest magnitude, the first of equals; 0 where all are negligible.
inline float leading_scale(const float* scales) {
    float largest = 0, leading = 0;
    for (int j = 0; j < Q6K::count; ++j) {
        const float size = magnitude(scales[j]);
        if (size > largest) {
            largest = size;
            leading = scales[j];
        }
    }
    return largest < negligible ? 0.f : leading;
}

// Low four bits of the levels, then their high two. In each half of the super-block, levels i,
// 32 + i, 64 + i and 96 + i share bytes.
inline void pack_six_bits(const std::uint8_t* levels, std::uint8_t* into) {
    for (int half = 0; half < 2; ++half) {
        const std::uint8_t* from = levels + 128 * half;
        pack_nibbles<64>(from, into + 64 * half);
        for (int i = 0; i < 32; i += 8) {
            std::uint64_t high = 0;
            for (int j = 0; j < 4; ++j) {
                high |= (eight_bytes(from + 32 * j + i) >> 4 & 0x0303030303030303u) << 2 * j;
            }
            std::memcpy(into + 128 + 32 * half + i, &high, sizeof high);
        }
    }
}

inline void pack_q6_k(const float* x, const float* scales, const float* level_scales,
                      std::uint8_t* into) {
    const float leading = leading_scale(scales);
    if (leading == 0.f) {
        std::memset(into, 0, Q6K::bytes);
        return;
    }
    const float factor = -128.f / leading;
    const std::uint16_t half = to_half(1.f / factor);
    std::uint8_t levels[Q6K::super];
    for (int j = 0; j < Q6K::count; ++j) {
        const float* values = x + Q6K::size * j;
        std::uint8_t* found = levels + Q6K::size * j;
        const int wide = nearest(factor * scales[j]);
        const auto scale = static_cast<std::int8_t>(wide < 127 ? wide : 127);
        into[192 + j] = static_cast<std::uint8_t>(scale);
        const float d = from_half(half) * static_cast<float>(scale);
        if (d == 0.f) {
            // ggml leaves what its search left here.
            levels_of<Q6K::size>(values, level_scales[j], Q6K::top, found);
            continue;
        }
        for (int i = 0; i < Q6K::size; ++i) {
            const int level = clamped(nearest(values[i] / d), -Q6K::top, Q6K::top - 1);
            found[i] = static_cast<std::uint8_t>(level + Q6K::top);
        }
    }
    pack_six_bits(levels, into);
    std::memcpy(into + 208, &half, sizeof half);
}

// Fits of `L::count` sub-blocks from `first` on, of `total` in all.
template <class L>
void fit_q6_k(const Source& source, std::int64_t first, std::int64_t total, float* scales,
              float* level_scales) {
    Samples<L, Q6K::size> samples;
    const Starts<L> starts(first, total, Q6K::size, source.rows * source.cols);
    load_rows<L>(source.values, starts.at, samples.x);
    if (source.importance) {
        const Starts<L> columns(first, total, Q6K::size, source.cols);
        load_rows<L>(source.importance, columns.at, samples.w);
    } else {
        for (int i = 0; i < Q6K::size; ++i) {
            samples.w[i] = samples.x[i] * samples.x[i];
        }
    }
    const ScaleFit<L> fit = fit_scale(samples, Q6K::top);
    L::store(scales, fit.scale);
    L::store(level_scales, fit.level_scale);
}

template <class L>
void quantize_q6_k(const Source& source, std::uint8_t* into) {
    constexpr int together = L::count > Q6K::count ? L::count / Q6K::count : 1;
    constexpr int count = together * Q6K::count;
    const std::int64_t blocks = source.rows * source.cols / Q6K::super;
    for (std::int64_t block = 0; block < blocks; block += together) {
        float scales[count], level_scales[count];
        for (int place = 0; place < count; place += L::count) {
            fit_q6_k<L>(source, block * Q6K::count + place, blocks * Q6K::count, scales + place,
                        level_scales + place);
        }
        for (int i = 0; i < together && block + i < blocks; ++i) {
            pack_q6_k(source.values + (block + i) * Q6K::super, scales + i * Q6K::count,
                      level_scales + i * Q6K::count, into + (block + i) * Q6K::bytes);
        }
    }
}

}  // namespace
