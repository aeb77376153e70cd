// The scale and minimum that fit each sub-block best: x ~ scale * level + minimum.
//
// Works as `make_qkx2_quants` and `make_qkx3_quants` of ggml-quants.c do: levels are taken on a
// series of trial grids, each is refitted by weighted least squares, and the least error wins. A
// winner's minimum is the one that the next grids start from.
#pragma once

#include "quantize/levels.h"
#include "quantize/samples.h"

namespace {

// Levels 0..top; trial i of 0..last spreads first + step * i + top levels over the range.
struct Grid {
    int top;
    float first;
    float step;
    int last;
};

template <class L>
struct AffineFit {
    typename L::Float scale;
    typename L::Float minimum;
    // The levels of the best fit are nearest(level_scale * (x - level_minimum)).
    typename L::Float level_scale;
    typename L::Float level_minimum;
};

// What a sub-block is without any levels.
template <class L>
struct Whole {
    typename L::Float low;  // 0 where all values are positive
    typename L::Float high;
    typename L::Float sum_w;
    typename L::Float sum_x;
};

template <class L, int size>
inline Whole<L> whole(const Samples<L, size>& samples) {
    const auto& x = samples.x;
    const auto& w = samples.w;
    Whole<L> found{x[0], x[0], w[0], w[0] * x[0]};
    for (int i = 1; i < size; ++i) {
        found.low = smaller(x[i], found.low);
        found.high = larger(x[i], found.high);
        found.sum_w += w[i];
        found.sum_x += w[i] * x[i];
    }
    found.low = L::select(found.low > 0.f, 0.f, found.low);
    return found;
}

// The levels for one grid, and their weighted sums.
template <class L, int size>
struct Leveled {
    typename L::Float levels[size];
    typename L::Float sum_l, sum_l2, sum_xl;

    template <bool any_bits>
    void take(const Samples<L, size>& samples, const typename L::Float& level_scale,
              const typename L::Float& minimum, int top) {
        typename L::Float l{}, l2{}, xl{};  // in registers, which members would not be
        for (int i = 0; i < size; ++i) {
            const auto& x = samples.x[i];
            const auto level = nearest_level<L, any_bits>(level_scale * (x - minimum), 0, top);
            const auto weighted = samples.w[i] * level;
            levels[i] = level;
            l += weighted;
            l2 += weighted * level;
            xl += weighted * x;
        }
        sum_l = l;
        sum_l2 = l2;
        sum_xl = xl;
    }

    typename L::Float error(const Samples<L, size>& samples, const typename L::Float& scale,
                            const typename L::Float& minimum) const {
        typename L::Float sum{};
        for (int i = 0; i < size; ++i) {
            const auto off = scale * levels[i] + minimum - samples.x[i];
            sum += samples.w[i] * (off * off);
        }
        return sum;
    }
};

// Keeps the best fit. `usual` loses the lanes whose levels are taken of values beyond
// `level_limit`: products and differences are monotonic, so the ends of the range tell.
template <class L, int size, bool any_bits>
inline AffineFit<L> search_affine(const Samples<L, size>& samples, const Whole<L>& all,
                                  const Grid& grid, typename L::Int& usual) {
    using Float = typename L::Float;
    const auto top = static_cast<float>(grid.top);
    Leveled<L, size> tried;
    AffineFit<L> best;
    best.minimum = best.level_minimum = all.low;
    const auto take_levels = [&](const Float& level_scale) {
        if constexpr (!any_bits) {
            const Float first = L::absolute(level_scale * (all.low - best.minimum));
            const Float last = L::absolute(level_scale * (all.high - best.minimum));
            usual = usual & (first < level_limit) & (last < level_limit);
        }
        tried.template take<any_bits>(samples, level_scale, best.minimum, grid.top);
    };

    best.level_scale = top / (all.high - all.low);
    best.scale = 1.f / best.level_scale;
    take_levels(best.level_scale);
    Float least = tried.error(samples, best.scale, all.low);
    for (int trial = 0; trial <= grid.last; ++trial) {
        const float spread = grid.first + grid.step * static_cast<float>(trial) + top;
        const Float level_scale = spread / (all.high - best.minimum);
        take_levels(level_scale);
        const Float determinant = all.sum_w * tried.sum_l2 - tried.sum_l * tried.sum_l;
        Float scale = (all.sum_w * tried.sum_xl - all.sum_x * tried.sum_l) / determinant;
        Float minimum = (tried.sum_l2 * all.sum_x - tried.sum_l * tried.sum_xl) / determinant;
        const auto above = minimum > 0.f;
        scale = L::select(above, tried.sum_xl / tried.sum_l2, scale);
        minimum = L::select(above, 0.f, minimum);
        const Float error = tried.error(samples, scale, minimum);
        const auto wins = (determinant > 0.f) & (error < least);
        least = L::select(wins, error, least);
        best.level_scale = L::select(wins, level_scale, best.level_scale);
        best.level_minimum = L::select(wins, best.minimum, best.level_minimum);
        best.scale = L::select(wins, scale, best.scale);
        best.minimum = L::select(wins, minimum, best.minimum);
    }
    return best;
}

template <class L, int size>
inline AffineFit<L> fit_affine(const Samples<L, size>& samples, const Grid& grid) {
    const Whole<L> all = whole(samples);
    typename L::Int usual = -1;
    AffineFit<L> best = search_affine<L, size, false>(samples, all, grid, usual);
    const auto flat = all.high == all.low;
    if (!L::all(usual | flat)) {
        best = search_affine<L, size, true>(samples, all, grid, usual);
    }
    best.scale = L::select(flat, 0.f, best.scale);
    best.minimum = L::select(flat, all.low, best.minimum);
    best.level_scale = L::select(flat, 0.f, best.level_scale);
    best.level_minimum = L::select(flat, 0.f, best.level_minimum);
    return best;
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
