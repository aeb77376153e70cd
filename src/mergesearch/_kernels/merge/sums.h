// Float64 sums over entries, in the order in which NumPy adds them up: halves, down to at most 128
// values, and of those every eighth apart. The order depends on nothing but the number of entries.
#pragma once

#include "merge/masks.h"

namespace {

using mergesearch::most_halvings;
using mergesearch::summed_together;
constexpr std::int64_t ways = 8;

// The sum of at most 128 numbers.
template <class Number>
inline double sum_of_few(std::int64_t count, Number number) {
    double sum = 0.0;
    if (count < ways) {
        for (std::int64_t i = 0; i < count; ++i) {
            sum += number(i);
        }
        return sum;
    }
    double sums[ways];
    for (std::int64_t way = 0; way < ways; ++way) {
        sums[way] = number(way);
    }
    std::int64_t i = ways;
    for (; i + ways <= count; i += ways) {
        for (std::int64_t way = 0; way < ways; ++way) {
            sums[way] += number(i + way);
        }
    }
    sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    for (; i < count; ++i) {
        sum += number(i);
    }
    return sum;
}

// Several sums at once: `few(start, count, sums)` gives those of at most 128 entries. `room` holds
// `sums` numbers for each halving.
template <class Few>
void add_up(std::int64_t start, std::int64_t count, int sums, const Few& few, double* room,
            double* into) {
    if (count <= summed_together) {
        return few(start, count, into);
    }
    const std::int64_t half = count / 2 / ways * ways;
    add_up(start, half, sums, few, room, into);
    add_up(start + half, count - half, sums, few, room + sums, room);
    for (int sum = 0; sum < sums; ++sum) {
        into[sum] += room[sum];
    }
}

// Sums of the magnitudes of a delta, whole and of what is kept. NumPy converts float32 to float64 in
// stretches, each of which it adds up by itself.
inline void sum_magnitudes(const mergesearch::Stored& values, const mergesearch::Stored& base,
                           std::int64_t entries, const std::uint32_t* kept, double* into) {
    constexpr std::int64_t stretch = 8192;
    const auto few = [&](std::int64_t start, std::int64_t count, double* sums) {
        float deltas[summed_together], left[summed_together];
        read_deltas(values, base, start, count, deltas);
        std::memcpy(left, deltas, sizeof left);
        apply_mask(kept, start, count, left);
        const auto whole = [&](std::int64_t i) { return double{magnitude(deltas[i])}; };
        const auto part = [&](std::int64_t i) { return double{magnitude(left[i])}; };
        sums[0] = sum_of_few(count, whole);
        sums[1] = sum_of_few(count, part);
    };
    into[0] = into[1] = 0.0;
    for (std::int64_t start = 0; start < entries; start += stretch) {
        double sums[2], room[2 * most_halvings];
        add_up(start, smaller_of(stretch, entries - start), 2, few, room, sums);
        into[0] += sums[0];
        into[1] += sums[1];
    }
}

}  // namespace
