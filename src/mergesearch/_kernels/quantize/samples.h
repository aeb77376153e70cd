// Sub-blocks side by side, one in each lane, with the weight of every element.
#pragma once

#include "lanes.h"

namespace {

// Element i of the sub-block in lane k is x[i][k], its weight w[i][k].
template <int lanes, int size>
struct Samples {
    Float<lanes> x[size];
    Float<lanes> w[size];
};

// Where the sub-block of each lane begins. Lanes past the end repeat the last sub-block.
template <int lanes>
struct Starts {
    std::int64_t at[lanes];

    Starts(std::int64_t first, std::int64_t count, int size, std::int64_t period) {
        for (int k = 0; k < lanes; ++k) {
            const std::int64_t index = first + k < count ? first + k : count - 1;
            at[k] = index * size % period;
        }
    }
};

template <int lanes, int size>
inline void load(const float* values, const Starts<lanes>& starts, Float<lanes> (&into)[size]) {
    if constexpr (lanes == 1) {
        std::memcpy(into, values + starts.at[0], sizeof into);
    } else {
        for (int i = 0; i < size; ++i) {
            for (int k = 0; k < lanes; ++k) {
                into[i][k] = values[starts.at[k] + i];
            }
        }
    }
}

// Without an importance matrix: root mean square of the sub-block plus the element's magnitude.
template <int lanes, int size>
inline void weigh_by_magnitude(Samples<lanes, size>& samples) {
    Float<lanes> squares{};
    for (int i = 0; i < size; ++i) {
        squares += samples.x[i] * samples.x[i];
    }
    const Float<lanes> spread = square_root<lanes>(squares / static_cast<float>(size));
    for (int i = 0; i < size; ++i) {
        samples.w[i] = spread + absolute<lanes>(samples.x[i]);
    }
}

// With one: importance times the root of variance plus square; `w` holds the importance before.
template <int lanes, int size>
inline void weigh_by_importance(Samples<lanes, size>& samples, Float<lanes> variance) {
    for (int i = 0; i < size; ++i) {
        const Float<lanes> spread = variance + samples.x[i] * samples.x[i];
        samples.w[i] = samples.w[i] * square_root<lanes>(spread);
    }
}

// Sum of squares, one element after the other.
inline float sum_of_squares(const float* values, std::int64_t count) {
    float sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        sum += values[i] * values[i];
    }
    return sum;
}

}  // namespace
