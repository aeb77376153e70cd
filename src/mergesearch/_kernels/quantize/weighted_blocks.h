// Q4_0, Q4_1, Q5_0 and Q5_1 with an importance matrix: blocks of 32 elements, searched in lanes
// (`quantize_row_q4_0_impl` and its siblings, ggml-quants.c).
#pragma once

#include "quantize/affine_search.h"
#include "quantize/scale_search.h"
#include "quantize/small_blocks.h"

namespace {

template <int bits>
void pack_symmetric_fit(const float* x, float scale, float level_scale, std::uint8_t* into) {
    std::uint8_t levels[block_size];
    levels_of<block_size>(x, level_scale, 1 << (bits - 1), levels);
    const std::uint16_t half = to_half(scale);
    std::memcpy(into, &half, sizeof half);
    pack_levels<bits>(levels, into + sizeof half);
}

template <int bits>
void pack_affine_fit(const float* x, const AffineFit<1>& fit, std::uint8_t* into) {
    std::uint8_t levels[block_size];
    levels_of<block_size>(x, fit.level_scale, fit.level_minimum, (1 << bits) - 1, levels);
    const std::uint16_t halves[2] = {to_half(fit.scale), to_half(fit.minimum)};
    std::memcpy(into, halves, sizeof halves);
    pack_levels<bits>(levels, into + sizeof halves);
}

// Blocks `first` on of one row; `x` is the row, `into` its blocks.
template <int lanes, int bits, bool minimum>
void quantize_weighted_lanes(const float* x, const float* importance, std::int64_t first,
                             std::int64_t count, float variance, std::uint8_t* into) {
    constexpr int bytes = small_bytes<bits, minimum>;
    Samples<lanes, block_size> samples;
    const Starts<lanes> starts(first, count, block_size, count * block_size);
    load<lanes, block_size>(x, starts, samples.x);
    load<lanes, block_size>(importance, starts, samples.w);
    weigh_by_importance(samples, all<lanes>(variance));
    float scale[lanes], low[lanes], level_scale[lanes], level_low[lanes];
    if constexpr (minimum) {
        constexpr Grid grid{(1 << bits) - 1, -0.9f, 0.05f, 36};
        const AffineFit<lanes> fit = fit_affine(samples, grid);
        store<lanes>(scale, fit.scale);
        store<lanes>(low, fit.minimum);
        store<lanes>(level_scale, fit.level_scale);
        store<lanes>(level_low, fit.level_minimum);
    } else {
        const ScaleFit<lanes> fit = fit_scale(samples, 1 << (bits - 1));
        store<lanes>(scale, fit.scale);
        store<lanes>(level_scale, fit.level_scale);
    }
    for (int k = 0; k < lanes && first + k < count; ++k) {
        const float* values = x + (first + k) * block_size;
        std::uint8_t* block = into + (first + k) * bytes;
        if constexpr (minimum) {
            pack_affine_fit<bits>(values, {scale[k], low[k], level_scale[k], level_low[k]}, block);
        } else {
            pack_symmetric_fit<bits>(values, scale[k], level_scale[k], block);
        }
    }
}

template <int lanes, int bits, bool minimum>
void quantize_weighted(const Source& source, std::uint8_t* into) {
    const std::int64_t blocks = source.cols / block_size;
    for (std::int64_t row = 0; row < source.rows; ++row) {
        const float* x = source.values + row * source.cols;
        const float variance =
            sum_of_squares(x, source.cols) / static_cast<float>(source.cols);
        for (std::int64_t first = 0; first < blocks; first += lanes) {
            quantize_weighted_lanes<lanes, bits, minimum>(
                x, source.importance, first, blocks, variance,
                into + row * blocks * small_bytes<bits, minimum>);
        }
    }
}

}  // namespace
