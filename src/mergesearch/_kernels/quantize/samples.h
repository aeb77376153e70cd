// Sub-blocks side by side, one in each lane, with the weight of every element.
#pragma once

#include "transpose.h"

namespace {

// Element i of the sub-block in lane k is lane k of x[i], its weight that of w[i].
template <class L, int size>
struct Samples {
    typename L::Float x[size];
    typename L::Float w[size];
};

// Where the sub-block of each lane begins: sub-blocks `first` on of `total`, in rows that repeat
// after `period` elements. Lanes past the end take the last sub-block again.
template <class L>
struct Starts {
    std::int64_t at[L::count];

    Starts(std::int64_t first, std::int64_t total, int size, std::int64_t period) {
        for (int k = 0; k < L::count; ++k) {
            const std::int64_t index = first + k < total ? first + k : total - 1;
            at[k] = index * size % period;
        }
    }
};

// Without an importance matrix: root mean square of the sub-block plus the element's magnitude.
template <class L, int size>
inline void weigh_by_magnitude(Samples<L, size>& samples) {
    typename L::Float squares{};
    for (int i = 0; i < size; ++i) {
        squares += samples.x[i] * samples.x[i];
    }
    const typename L::Float spread = L::square_root(squares / static_cast<float>(size));
    for (int i = 0; i < size; ++i) {
        samples.w[i] = spread + L::absolute(samples.x[i]);
    }
}

// With one: importance times the root of variance plus square; `w` holds the importance before.
template <class L, int size>
inline void weigh_by_importance(Samples<L, size>& samples, const typename L::Float& variance) {
    for (int i = 0; i < size; ++i) {
        const auto spread = L::square_root(variance + samples.x[i] * samples.x[i]);
        samples.w[i] = samples.w[i] * spread;
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
