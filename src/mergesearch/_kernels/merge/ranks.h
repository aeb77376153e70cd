// Chances to stay that grow with a magnitude's rank in its row (https://arxiv.org/abs/2406.11617).
//
// An entry stays where its random number is below the threshold of its rank. Ranks are exact, but
// hardly any has to be known: magnitudes are counted in buckets, whose ranks lie next to each other,
// and most random numbers are below all thresholds of a bucket or above them. The few columns whose
// number lies between the thresholds of their bucket are ranked one by one; where there are many, their
// buckets are sorted.
#pragma once

#include "merge/masks.h"

namespace {

using mergesearch::most_buckets;

constexpr int octaves_log2 = 3;  // below a row's largest magnitude; all lower ones share a bucket
constexpr std::int64_t few_keys = 32;
constexpr std::int64_t few_columns = 12;

// A row, and where it is worked on: an array of 64-bit words from the caller, cut up.
struct RankedRow {
    std::int64_t cols;
    std::int64_t buckets;
    int shift;                        // of magnitudes, to their buckets
    const std::uint32_t* thresholds;  // by rank
    const std::uint32_t* numbers;     // random, by column
    std::uint64_t* keys;              // magnitude and column, by rank
    std::uint64_t* spare;
    std::uint32_t* magnitudes;
    std::uint32_t* bucket;  // by column
    std::uint32_t* kept;
    std::uint32_t* drawn;
    std::uint32_t* members;  // columns of the buckets to be sorted
    std::uint32_t* starts;   // first rank of each bucket
    std::uint32_t* next;     // rank of the next member
    std::uint8_t* unsorted;  // whether a bucket has to be sorted

    RankedRow(std::int64_t cols_, const std::uint32_t* thresholds_, std::uint64_t* room)
        : cols(cols_), buckets(4), shift(23 + octaves_log2 - 2), thresholds(thresholds_) {
        for (; buckets < most_buckets && 2 * buckets < cols; buckets *= 2) {
            --shift;
        }
        keys = room;
        spare = keys + cols;
        magnitudes = reinterpret_cast<std::uint32_t*>(spare + cols);
        bucket = magnitudes + cols;
        kept = bucket + cols;
        members = kept + mergesearch::mask_words(cols);
        drawn = members + cols;
        starts = drawn + noise_room(cols);
        next = starts + buckets + 1;
        unsorted = reinterpret_cast<std::uint8_t*>(next + buckets);
    }
};

inline void insertion_sort(std::uint64_t* keys, std::int64_t count) {
    for (std::int64_t i = 1; i < count; ++i) {
        const std::uint64_t key = keys[i];
        std::int64_t at = i;
        for (; at > 0 && keys[at - 1] > key; --at) {
            keys[at] = keys[at - 1];
        }
        keys[at] = key;
    }
}

// By the upper half, least digit first; a digit that all keys share is passed over.
inline void radix_sort(std::uint64_t* keys, std::int64_t count, std::uint64_t* spare) {
    std::uint64_t* from = keys;
    for (int shift = 32; shift < 64; shift += 8) {
        std::int64_t places[256] = {};
        for (std::int64_t i = 0; i < count; ++i) {
            ++places[from[i] >> shift & 255u];
        }
        if (places[from[0] >> shift & 255u] == count) {
            continue;
        }
        std::int64_t before = 0;
        for (std::int64_t& place : places) {
            const std::int64_t equal = place;
            place = before;
            before += equal;
        }
        std::uint64_t* into = from == keys ? spare : keys;
        for (std::int64_t i = 0; i < count; ++i) {
            into[places[from[i] >> shift & 255u]++] = from[i];
        }
        from = into;
    }
    if (from != keys) {
        std::memcpy(keys, from, static_cast<std::size_t>(count) * sizeof *keys);
    }
}

// Sorts keys that come in the order of their lower halves.
inline void sort_keys(std::uint64_t* keys, std::int64_t count, std::uint64_t* spare) {
    if (count <= few_keys) {
        return insertion_sort(keys, count);
    }
    bool sorted = true;
    for (std::int64_t i = 1; i < count; ++i) {
        sorted &= keys[i - 1] < keys[i];
    }
    if (!sorted) {
        radix_sort(keys, count, spare);
    }
}

// Finds each column's bucket: equal steps of the magnitudes' bits, counted from the largest down, the
// smallest ones together in the first. Counts them.
inline void fill_buckets(RankedRow& row) {
    const std::uint32_t* magnitudes = row.magnitudes;
    const std::uint32_t span = 1u << (23 + octaves_log2);
    std::uint32_t largest = 0, *bucket = row.bucket, *starts = row.starts;
    for (std::int64_t i = 0; i < row.cols; ++i) {
        largest = magnitudes[i] > largest ? magnitudes[i] : largest;
    }
    const std::uint32_t lowest = largest >= span ? largest - span + 1 : 0;
    const int shift = row.shift;
    for (std::int64_t i = 0; i < row.cols; ++i) {
        bucket[i] = (magnitudes[i] > lowest ? magnitudes[i] - lowest : 0) >> shift;
    }
    std::memset(starts, 0, static_cast<std::size_t>(row.buckets + 1) * sizeof *starts);
    for (std::int64_t i = 0; i < row.cols; ++i) {
        ++starts[bucket[i] + 1];
    }
    for (std::int64_t index = 0; index < row.buckets; ++index) {
        starts[index + 1] += starts[index];
    }
}

// Decides what thresholds of all ranks and of a column's bucket decide. Writes the other columns to
// `members`, marks their buckets, and returns how many there are.
inline std::int64_t decide_by_bucket(RankedRow& row) {
    const std::uint32_t lowest = row.thresholds[0], highest = row.thresholds[row.cols - 1];
    std::memset(row.unsorted, 0, static_cast<std::size_t>(row.buckets));
    std::int64_t undecided = 0;
    for (std::int64_t first = 0; first < row.cols; first += word_bits) {
        const std::uint32_t* numbers = row.numbers + first;
        const int count = static_cast<int>(smaller_of(word_bits, row.cols - first));
        const auto below = [=](std::uint32_t limit) {
            return [=](std::int64_t i) { return numbers[i] < limit; };
        };
        std::uint32_t word = mask_word(0, count, below(lowest));
        std::uint32_t open = mask_word(0, count, below(highest)) & ~word;
        for (; open; open &= open - 1) {
            const int i = lowest_bit(open);
            const std::uint32_t number = numbers[i], bucket = row.bucket[first + i];
            const bool stays = number < row.thresholds[row.starts[bucket]];
            const bool may_stay = number < row.thresholds[row.starts[bucket + 1] - 1];
            const bool open_still = !stays & may_stay;
            word |= static_cast<std::uint32_t>(stays) << i;
            row.unsorted[bucket] |= open_still;
            row.members[undecided] = static_cast<std::uint32_t>(first + i);
            undecided += open_still;
        }
        row.kept[first / word_bits] = word;
    }
    return undecided;
}

inline void decide(RankedRow& row, std::uint32_t col, std::uint32_t rank) {
    const std::uint32_t stays = row.numbers[col] < row.thresholds[rank];
    std::uint32_t& word = row.kept[col / word_bits];
    word = (word & ~(1u << col % word_bits)) | stays << col % word_bits;
}

// Decides single columns, whose ranks are counted: what is smaller, and what is equal before them.
inline void decide_one_by_one(RankedRow& row, std::int64_t count) {
    const std::uint32_t* magnitudes = row.magnitudes;
    for (std::int64_t member = 0; member < count; ++member) {
        const std::uint32_t col = row.members[member], own = magnitudes[col];
        std::uint32_t rank = 0;
        for (std::uint32_t i = 0; i < col; ++i) {
            rank += magnitudes[i] <= own;
        }
        for (std::int64_t i = col + 1; i < row.cols; ++i) {
            rank += magnitudes[i] < own;
        }
        decide(row, col, rank);
    }
}

// Decides the columns of the marked buckets by their ranks.
inline void decide_by_rank(RankedRow& row) {
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < row.cols; ++i) {
        row.members[count] = static_cast<std::uint32_t>(i);
        count += row.unsorted[row.bucket[i]];
    }
    std::memcpy(row.next, row.starts, static_cast<std::size_t>(row.buckets) * sizeof *row.next);
    for (std::int64_t member = 0; member < count; ++member) {
        const std::uint32_t col = row.members[member];
        const std::uint64_t magnitude = row.magnitudes[col];
        row.keys[row.next[row.bucket[col]]++] = magnitude << 32 | col;
    }
    for (std::int64_t index = 0; index < row.buckets; ++index) {
        if (!row.unsorted[index]) {
            continue;
        }
        const std::uint32_t start = row.starts[index], stop = row.starts[index + 1];
        sort_keys(row.keys + start, stop - start, row.spare);
        for (std::uint32_t rank = start; rank < stop; ++rank) {
            decide(row, static_cast<std::uint32_t>(row.keys[rank]), rank);
        }
    }
}

// Adds the bits of a row to a mask of zeros, from bit `place` on.
inline void add_row(const std::uint32_t* row, std::int64_t cols, std::int64_t place,
                    std::uint32_t* kept) {
    kept += place / word_bits;
    const int shift = static_cast<int>(place % word_bits);
    for (std::int64_t i = 0; i * word_bits < cols; ++i) {
        const std::uint64_t two = static_cast<std::uint64_t>(row[i]) << shift;
        kept[i] |= static_cast<std::uint32_t>(two);
        kept[i + 1] |= static_cast<std::uint32_t>(two >> word_bits);
    }
}

// Entries stay whose random number is below the threshold of their magnitude's rank in their row;
// of equal ones the first has the lowest. `thresholds` never fall; `offset` is the place of the
// first entry.
inline void rank_mask(const mergesearch::Stored& values, const mergesearch::Stored& base,
                      std::int64_t offset, std::int64_t rows, std::int64_t cols,
                      const mergesearch::Key& key, const std::uint32_t* thresholds,
                      std::uint64_t* room, std::uint32_t* kept) {
    RankedRow row(cols, thresholds, room);
    const auto size = static_cast<std::size_t>(mergesearch::mask_words(rows * cols));
    std::memset(kept, 0, size * sizeof *kept);
    for (std::int64_t start = 0; start < rows * cols; start += cols) {
        read_magnitudes(values, base, start, cols, row.magnitudes);
        row.numbers = draw(key, offset + start, cols, row.drawn);
        fill_buckets(row);
        const std::int64_t undecided = decide_by_bucket(row);
        if (undecided <= few_columns) {
            decide_one_by_one(row, undecided);
        } else {
            decide_by_rank(row);
        }
        add_row(row.kept, cols, start, kept);
    }
}

}  // namespace
