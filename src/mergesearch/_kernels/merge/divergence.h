// How far each row's softmax is from another's, and how important that makes its entries.
//
// exp and log are computed here, from sums and products alone: the C library's give other last bits
// on other processors.
#pragma once

#include "merge/sums.h"

namespace {

constexpr double ln2_high = 0x1.62e42fefa38p-1;  // its products with small integers are exact
constexpr double ln2_low = 0x1.ef35793c7673p-45;
constexpr double to_integer =
    0x1.8p52;  // added, it leaves a small number's integer in the low bits
constexpr std::uint64_t exponent_of_one = 1023;

// e^x for -708 <= x <= 0, and for smaller x as of -708: x = n ln 2 + r, the series of e^r times 2^n.
inline double exponential(double x) {
    constexpr double lowest = -708.0, log2_e = 0x1.71547652b82fep0;
    x = x < lowest ? lowest : x;
    const double shifted = x * log2_e + to_integer;
    const double n = shifted - to_integer;
    const double r = (x - n * ln2_high) - n * ln2_low;
    double sum = 1.0 / 6227020800.0;  // 1 / 13!
    sum = sum * r + 1.0 / 479001600.0;
    sum = sum * r + 1.0 / 39916800.0;
    sum = sum * r + 1.0 / 3628800.0;
    sum = sum * r + 1.0 / 362880.0;
    sum = sum * r + 1.0 / 40320.0;
    sum = sum * r + 1.0 / 5040.0;
    sum = sum * r + 1.0 / 720.0;
    sum = sum * r + 1.0 / 120.0;
    sum = sum * r + 1.0 / 24.0;
    sum = sum * r + 1.0 / 6.0;
    sum = sum * r + 0.5;
    sum = sum * r + 1.0;
    sum = sum * r + 1.0;
    return sum * bits_as<double>((bits_as<std::uint64_t>(shifted) + exponent_of_one) << 52);
}

// ln y for normal y > 0: y = 2^e m with m between the roots of 1/2 and 2, and the series of
// ln m = 2 artanh s, s = (m - 1) / (m + 1).
inline double logarithm(double y) {
    constexpr std::uint64_t root_of_half = 0x3fe6a09e667f3bcdu;
    const std::uint64_t bits = bits_as<std::uint64_t>(y);
    const std::uint64_t biased = (bits - root_of_half + (std::uint64_t{1024} << 52)) >> 52;
    const double e = bits_as<double>(biased | std::uint64_t{0x433} << 52) - (0x1p52 + 1024.0);
    const double m = bits_as<double>(bits - ((biased - 1024) << 52));
    const double s = (m - 1.0) / (m + 1.0), square = s * s;
    double sum = 1.0 / 23.0;
    sum = sum * square + 1.0 / 21.0;
    sum = sum * square + 1.0 / 19.0;
    sum = sum * square + 1.0 / 17.0;
    sum = sum * square + 1.0 / 15.0;
    sum = sum * square + 1.0 / 13.0;
    sum = sum * square + 1.0 / 11.0;
    sum = sum * square + 1.0 / 9.0;
    sum = sum * square + 1.0 / 7.0;
    sum = sum * square + 1.0 / 5.0;
    sum = sum * square + 1.0 / 3.0;
    return e * ln2_high + (2.0 * s + (2.0 * s * square * sum + e * ln2_low));
}

inline double sum_of(const double* values, std::int64_t count) {
    double room[most_halvings], sum;
    const auto few = [=](std::int64_t start, std::int64_t here, double* into) {
        *into = sum_of_few(here, [=](std::int64_t i) { return values[start + i]; });
    };
    add_up(0, count, 1, few, room, &sum);
    return sum;
}

inline float largest_of(const float* values, std::int64_t count) {
    float largest[ways];
    for (float& each : largest) {
        each = values[0];
    }
    std::int64_t i = 0;
    for (; i + ways <= count; i += ways) {
        for (std::int64_t way = 0; way < ways; ++way) {
            largest[way] = values[i + way] > largest[way] ? values[i + way] : largest[way];
        }
    }
    for (; i < count; ++i) {
        largest[0] = values[i] > largest[0] ? values[i] : largest[0];
    }
    for (const float each : largest) {
        largest[0] = each > largest[0] ? each : largest[0];
    }
    return largest[0];
}

// The chances of a row's softmax, all a little above zero.
inline void softmax(const mergesearch::Stored& values, std::int64_t start, std::int64_t cols,
                    double* into) {
    constexpr double smallest = 1e-8;
    float floats[piece_size], largest = -INFINITY;
    for_pieces(cols, [&](std::int64_t first, std::int64_t count) {
        read_floats(values, start + first, count, floats);
        const float here = largest_of(floats, count);
        largest = here > largest ? here : largest;
        for (std::int64_t i = 0; i < count; ++i) {
            into[first + i] = double{floats[i]};
        }
    });
    for (std::int64_t i = 0; i < cols; ++i) {
        into[i] = exponential(into[i] - double{largest});
    }
    const double sum = sum_of(into, cols);
    for (std::int64_t i = 0; i < cols; ++i) {
        into[i] = into[i] / sum + smallest;
    }
}

// Of each row, the Kullback-Leibler divergence KL(softmax(values) || softmax(base)), not below 0.
inline void divergences(const mergesearch::Stored& values, const mergesearch::Stored& base,
                        std::int64_t rows, std::int64_t cols, double* room, float* into) {
    double *chances = room, *others = room + cols;
    for (std::int64_t row = 0; row < rows; ++row) {
        softmax(values, row * cols, cols, chances);
        softmax(base, row * cols, cols, others);
        for (std::int64_t i = 0; i < cols; ++i) {
            others[i] = chances[i] * logarithm(chances[i] / others[i]);
        }
        const double sum = sum_of(others, cols);
        into[row] = static_cast<float>(sum > 0.0 ? sum : 0.0);
    }
}

// The magnitude of each delta times its row's divergence.
inline void importances(const mergesearch::Stored& values, const mergesearch::Stored& base,
                        std::int64_t rows, std::int64_t cols, const float* of_rows, float* into) {
    read_deltas(values, base, 0, rows * cols, into);
    for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t i = row * cols; i < (row + 1) * cols; ++i) {
            into[i] = magnitude(into[i]) * of_rows[row];
        }
    }
}

}  // namespace
