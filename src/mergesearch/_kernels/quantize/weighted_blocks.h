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
void pack_affine_fit(const float* x, float scale, float minimum, float level_scale,
                     float level_minimum, std::uint8_t* into) {
    std::uint8_t levels[block_size];
    levels_of<block_size>(x, level_scale, level_minimum, (1 << bits) - 1, levels);
    const std::uint16_t halves[2] = {to_half(scale), to_half(minimum)};
    std::memcpy(into, halves, sizeof halves);
    pack_levels<bits>(levels, into + sizeof halves);
}

// Mean squares of rows, asked for in ascending order; the last one is kept.
class RowVariances {
  public:
    explicit RowVariances(const Source& source) : source_(source) {}

    float of(std::int64_t row) {
        if (row != row_) {
            row_ = row;
            variance_ = sum_of_squares(source_.values + row * source_.cols, source_.cols) /
                        static_cast<float>(source_.cols);
        }
        return variance_;
    }

  private:
    const Source& source_;
    std::int64_t row_ = -1;
    float variance_ = 0;
};

// Blocks `first` on, one in each lane.
template <class L, int bits, bool minimum>
void quantize_weighted_lanes(const Source& source, std::int64_t first, std::int64_t total,
                             RowVariances& variances, std::uint8_t* into) {
    Samples<L, block_size> samples;
    const Starts<L> starts(first, total, block_size, source.rows * source.cols);
    const Starts<L> columns(first, total, block_size, source.cols);
    load_rows<L>(source.values, starts.at, samples.x);
    load_rows<L>(source.importance, columns.at, samples.w);
    float variance[L::count];
    for (int k = 0; k < L::count; ++k) {
        variance[k] = variances.of(starts.at[k] / source.cols);
    }
    weigh_by_importance(samples, L::load(variance));
    float scale[L::count], low[L::count], level_scale[L::count], level_low[L::count];
    if constexpr (minimum) {
        constexpr Grid grid{(1 << bits) - 1, -0.9f, 0.05f, 36};
        const AffineFit<L> fit = fit_affine(samples, grid);
        L::store(scale, fit.scale);
        L::store(low, fit.minimum);
        L::store(level_scale, fit.level_scale);
        L::store(level_low, fit.level_minimum);
    } else {
        const ScaleFit<L> fit = fit_scale(samples, 1 << (bits - 1));
        L::store(scale, fit.scale);
        L::store(level_scale, fit.level_scale);
    }
    for (int k = 0; k < L::count && first + k < total; ++k) {
        const float* x = source.values + starts.at[k];
        std::uint8_t* block = into + (first + k) * small_bytes<bits, minimum>;
        if constexpr (minimum) {
            pack_affine_fit<bits>(x, scale[k], low[k], level_scale[k], level_low[k], block);
        } else {
            pack_symmetric_fit<bits>(x, scale[k], level_scale[k], block);
        }
    }
}

template <class L, int bits, bool minimum>
void quantize_weighted(const Source& source, std::uint8_t* into) {
    const std::int64_t blocks = source.rows * source.cols / block_size;
    RowVariances variances(source);
    for (std::int64_t first = 0; first < blocks; first += L::count) {
        quantize_weighted_lanes<L, bits, minimum>(source, first, blocks, variances, into);
    }
}

}  // namespace
