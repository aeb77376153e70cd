// Counting the digits of magnitudes, for selecting the k-th largest without sorting.
//
// Magnitudes order as their 31 bits do. Of the entries that agree with `prefix` above a digit, it
// is counted how often the digit has each value.
#pragma once

#include "merge/stored.h"

namespace {

constexpr std::int64_t tested_together = 32;

// Neighbours are counted in different tables: where equal values follow each other, a counter
// would wait for itself.
inline void count_all(const std::uint32_t* magnitudes, std::int64_t count,
                      const mergesearch::Digit& digit, std::uint32_t* tables) {
    constexpr std::int64_t ways = mergesearch::digit_tables;
    const std::int64_t pitch = std::int64_t{1} << digit.width;
    std::int64_t i = 0;
    for (; i + ways <= count; i += ways) {
        for (std::int64_t way = 0; way < ways; ++way) {
            ++tables[way * pitch + (magnitudes[i + way] >> digit.shift)];
        }
    }
    for (; i < count; ++i) {
        ++tables[magnitudes[i] >> digit.shift];
    }
}

inline void count_agreeing(const std::uint32_t* magnitudes, std::int64_t count,
                           const mergesearch::Digit& digit, std::uint32_t* table) {
    const std::uint32_t mask = (1u << digit.width) - 1u;
    const int above = digit.shift + digit.width;
    const std::uint32_t wanted = digit.prefix >> above;
    for (std::int64_t first = 0; first < count; first += tested_together) {
        const std::int64_t stop = first + tested_together < count ? first + tested_together : count;
        std::uint32_t found = 0;
        for (std::int64_t i = first; i < stop; ++i) {
            found |= magnitudes[i] >> above == wanted;
        }
        for (std::int64_t i = first; found && i < stop; ++i) {
            if (magnitudes[i] >> above == wanted) {
                ++table[magnitudes[i] >> digit.shift & mask];
            }
        }
    }
}

inline void count_digits(const mergesearch::Stored& values, const mergesearch::Stored& base,
                         std::int64_t entries, const mergesearch::Digit& digit,
                         std::uint32_t* tables) {
    std::uint32_t magnitudes[piece_size];
    for_pieces(entries, [&](std::int64_t start, std::int64_t count) {
        read_magnitudes(values, base, start, count, magnitudes);
        if (digit.shift + digit.width >= 31) {
            count_all(magnitudes, count, digit, tables);
        } else {
            count_agreeing(magnitudes, count, digit, tables);
        }
    });
}

// Index of the `wanted`-th entry (from 1) whose magnitude has these bits; where there are fewer,
// the negated count of them, minus 1.
inline std::int64_t find_equal(const mergesearch::Stored& values, const mergesearch::Stored& base,
                               std::int64_t entries, std::uint32_t bits, std::int64_t wanted) {
    std::uint32_t magnitudes[piece_size];
    std::int64_t before = 0;
    for (std::int64_t start = 0; start < entries; start += piece_size) {
        const std::int64_t count = smaller_of(piece_size, entries - start);
        read_magnitudes(values, base, start, count, magnitudes);
        std::int64_t equal = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            equal += magnitudes[i] == bits;
        }
        for (std::int64_t i = 0; before + equal >= wanted; ++i) {
            before += magnitudes[i] == bits;
            if (before == wanted) {
                return start + i;
            }
        }
        before += equal;
    }
    return -before - 1;
}

}  // namespace
