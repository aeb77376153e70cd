// The scale that fits each sub-block best: x ~ scale * level, levels from -top to top - 1.
//
// Works as `make_qx_quants` of ggml-quants.c does with its `rmse_type` 1: nineteen trial scales
// around the one that gives the largest value the level -top; the one whose refitted scale
// explains most wins.
#pragma once

#include "quantize/levels.h"
#include "quantize/samples.h"

namespace {

// A sub-block whose values are all smaller counts as zero (`GROUP_MAX_EPS`).
constexpr float negligible = 1e-15f;

template <class L>
struct ScaleFit {
    typename L::Float scale;
    // The levels of the best fit are nearest(level_scale * x); 0 marks a sub-block of zeros.
    typename L::Float level_scale;
};

// Sums of w * x * level and of w * level^2 for the levels that one trial scale gives.
template <class L>
struct Moments {
    typename L::Float xl;
    typename L::Float l2;
};

template <class L, int size>
inline Moments<L> moments(const Samples<L, size>& samples, const typename L::Float (&wx)[size],
                          typename L::Float level_scale, int top) {
    Moments<L> sums{};
    for (int i = 0; i < size; ++i) {
        const typename L::Float level =
            nearest_level<L, false>(level_scale * samples.x[i], -top, top - 1);
        sums.xl += wx[i] * level;
        sums.l2 += samples.w[i] * level * level;
    }
    return sums;
}

template <class L, int size>
inline ScaleFit<L> fit_scale(const Samples<L, size>& samples, int top) {
    using F = typename L::Float;
    const F zero{};
    F largest{}, extreme{}, wx[size];
    for (int i = 0; i < size; ++i) {
        const F size_of_x = L::absolute(samples.x[i]);
        const auto grows = size_of_x > largest;
        largest = L::select(grows, size_of_x, largest);
        extreme = L::select(grows, samples.x[i], extreme);
        wx[i] = samples.w[i] * samples.x[i];
    }
    const auto empty = largest < negligible;

    F level_scale = static_cast<float>(-top) / extreme;
    Moments<L> sums = moments<L, size>(samples, wx, level_scale, top);
    ScaleFit<L> best{L::select(sums.l2 == 0.f, zero, sums.xl / sums.l2), level_scale};
    F explained = best.scale * sums.xl;
    for (int trial = -9; trial <= 9; ++trial) {
        if (trial == 0) {
            continue;
        }
        level_scale = -(static_cast<float>(top) + 0.1f * static_cast<float>(trial)) / extreme;
        sums = moments<L, size>(samples, wx, level_scale, top);
        const auto wins = (sums.l2 > 0.f) & (sums.xl * sums.xl > explained * sums.l2);
        const F scale = sums.xl / sums.l2;
        best.scale = L::select(wins, scale, best.scale);
        best.level_scale = L::select(wins, level_scale, best.level_scale);
        explained = L::select(wins, scale * sums.xl, explained);
    }
    return {L::select(empty, zero, best.scale), L::select(empty, zero, best.level_scale)};
}

// Levels of the fit of one sub-block, counted from 0 up.
template <int size>
inline void levels_of(const float* x, float level_scale, int top, std::uint8_t* levels) {
    for (int i = 0; i < size; ++i) {
        const int level = clamped(nearest(level_scale * x[i]), -top, top - 1) + top;
        levels[i] = static_cast<std::uint8_t>(level_scale == 0.f ? 0 : level);
    }
}

}  // namespace
