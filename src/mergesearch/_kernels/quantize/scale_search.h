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

template <int lanes>
struct ScaleFit {
    Float<lanes> scale;
    // The levels of the best fit are nearest(level_scale * x); 0 marks a sub-block of zeros.
    Float<lanes> level_scale;
};

// Sums of w * x * level and of w * level^2 for the levels that one trial scale gives.
template <int lanes>
struct Moments {
    Float<lanes> xl;
    Float<lanes> l2;
};

template <int lanes, int size>
inline Moments<lanes> moments(const Samples<lanes, size>& samples, const Float<lanes> (&wx)[size],
                              Float<lanes> level_scale, int top) {
    Moments<lanes> sums{};
    for (int i = 0; i < size; ++i) {
        const Float<lanes> level =
            nearest_level<lanes>(level_scale * samples.x[i], -top, top - 1);
        sums.xl += wx[i] * level;
        sums.l2 += samples.w[i] * level * level;
    }
    return sums;
}

template <int lanes, int size>
inline ScaleFit<lanes> fit_scale(const Samples<lanes, size>& samples, int top) {
    using F = Float<lanes>;
    const F zero{};
    F largest{}, extreme{}, wx[size];
    for (int i = 0; i < size; ++i) {
        const F magnitude = absolute<lanes>(samples.x[i]);
        const auto grows = magnitude > largest;
        largest = select(grows, magnitude, largest);
        extreme = select(grows, samples.x[i], extreme);
        wx[i] = samples.w[i] * samples.x[i];
    }
    const auto empty = largest < negligible;

    F level_scale = static_cast<float>(-top) / extreme;
    Moments<lanes> sums = moments<lanes, size>(samples, wx, level_scale, top);
    ScaleFit<lanes> best{select(sums.l2 != 0.f, F(sums.xl / sums.l2), zero), level_scale};
    F explained = best.scale * sums.xl;
    for (int trial = -9; trial <= 9; ++trial) {
        if (trial == 0) {
            continue;
        }
        level_scale = -(static_cast<float>(top) + 0.1f * static_cast<float>(trial)) / extreme;
        sums = moments<lanes, size>(samples, wx, level_scale, top);
        const auto wins = (sums.l2 > 0.f) & (sums.xl * sums.xl > explained * sums.l2);
        const F scale = sums.xl / sums.l2;
        best.scale = select(wins, scale, best.scale);
        best.level_scale = select(wins, level_scale, best.level_scale);
        explained = select(wins, F(scale * sums.xl), explained);
    }
    return {select(empty, zero, best.scale), select(empty, zero, best.level_scale)};
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
