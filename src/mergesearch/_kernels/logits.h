// What logits say of tokens: the likeliest of each row, and the sum that makes chances of them.
//
// e^x is computed here, from float32 sums and products alone, and added up in float64 in an order
// that depends on nothing but the number of columns: every processor gives the same bits.
#pragma once

#include "merge/divergence.h"

namespace {

// e^x for -87 <= x <= 0, and for smaller x as of -87: x = n ln 2 + r, the series of e^r times 2^n.
inline float exponential_of(float x) {
    constexpr float lowest = -87.f, log2_e = 0x1.715476p0f, rounding = 0x1.8p23f;
    constexpr float high = 0x1.62e4p-1f, low = 0x1.7f7d1cp-20f;  // of ln 2
    x = x < lowest ? lowest : x;
    const float shifted = x * log2_e + rounding;
    const float n = shifted - rounding;
    const float r = (x - n * high) - n * low;
    float sum = 1.f / 5040.f;  // 1 / 7!
    sum = sum * r + 1.f / 720.f;
    sum = sum * r + 1.f / 120.f;
    sum = sum * r + 1.f / 24.f;
    sum = sum * r + 1.f / 6.f;
    sum = sum * r + 0.5f;
    sum = sum * r + 1.f;
    sum = sum * r + 1.f;
    return sum * bits_as<float>((bits_as<std::uint32_t>(shifted) + 127u) << 23);
}

// ln(sum(e^logit)), NaN where a logit is; `largest` is the largest of them.
inline double log_sum(const float* logits, std::int64_t cols, float largest) {
    const auto few = [=](std::int64_t start, std::int64_t count, double* sum) {
        float raised[summed_together];
        for (std::int64_t i = 0; i < count; ++i) {
            raised[i] = exponential_of(logits[start + i] - largest);
        }
        *sum = sum_of_few(count, [&](std::int64_t i) { return double{raised[i]}; });
    };
    double room[most_halvings], sum;
    add_up(0, cols, 1, few, room, &sum);
    return sum == sum ? double{largest} + logarithm(sum) : sum;
}

// The first column of a value; where there is none, some column.
inline std::int64_t first_equal(const float* logits, std::int64_t cols, float value) {
    std::int64_t col = 0;
    for (std::int64_t next = summed_together; next < cols; next += summed_together) {
        int found = 0;
        for (std::int64_t i = col; i < next; ++i) {
            found |= logits[i] == value;
        }
        if (found) {
            break;
        }
        col = next;
    }
    while (col + 1 < cols && logits[col] != value) {
        ++col;
    }
    return col;
}

// Of each row, the first column of the largest logit, and ln(sum(e^logit)).
inline void log_sums(const float* logits, std::int64_t rows, std::int64_t cols, std::int64_t* best,
                     double* into) {
    for (std::int64_t row = 0; row < rows; ++row, logits += cols) {
        const float largest = largest_of(logits, cols);
        best[row] = first_equal(logits, cols, largest);
        into[row] = log_sum(logits, cols, largest);
    }
}

}  // namespace
