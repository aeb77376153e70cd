// What the kernels of merging are given.
#pragma once

#include <cstdint>

namespace mergesearch {

// How a checkpoint stores values.
enum class Dtype { f32, f16, bf16 };

struct Stored {
    const std::uint8_t* bytes;
    Dtype dtype;
};

// Entries stay whose magnitude's bits are above `lowest`, or equal to it and before `ties_end`, an
// index in the tensor. Beside UINT32_MAX none stays.
struct Cut {
    std::uint32_t lowest;
    std::int64_t ties_end;
};

// A factor of entries: the same for all, or one for each row or column.
struct Factor {
    float all;
    const float* each;  // null: the same for all
};

// One parent of a combination.
struct Term {
    Stored values;
    const std::uint32_t* kept;  // which entries are not multiplied by zero, a bit each; null: all
    float factor;               // of what is kept
    Factor weight;              // the same for all entries unless the consensus is a sum
};

// How terms become one.
enum class Consensus : int {
    sum,
    elect,             // the sum of those that have the sign of the sum
    elect_unweighted,  // their mean, weighted after signs are elected
    changed,           // the mean of those above `limit`; one that is alone times its weight
    near,              // the term, or as much of it as moves the base by `limit`
    median,
};

// base_scale * base + scale * consensus / divisor, the consensus of the terms' values or, on a base,
// of their deltas; without a base there is nothing to add, and `near` has added it.
struct Combination {
    const Term* terms;
    int count;
    Stored base;  // without bytes: none
    Consensus consensus;
    bool deltas;
    bool normalize;  // divide elected entries by the sum of the weights that agreed
    float limit;
    float divisor;
    Factor scale;
    Factor base_scale;
    std::int64_t cols;
    bool by_column;  // of factors that are not the same for all
    float* room;     // for medians: `median_room` numbers
};

// Terms seen as vectors, or their differences from a base; weights and factors do not count.
struct Vectors {
    const Term* terms;
    int count;
    Stored base;
    bool from_middle;  // of the terms' mean and entrywise median
    double* room;
};

// Of random numbers.
struct Key {
    std::uint64_t low, high;
};

constexpr int digit_tables = 4;

// The `width` bits from `shift` on, in magnitudes that equal `prefix` above them.
struct Digit {
    std::uint32_t prefix;
    int shift;
    int width;
};

constexpr std::int64_t piece_size = 2048;       // entries that are merged together, in the cache
constexpr std::int64_t summed_together = 128;   // entries of a sum of a few, or of a few medians
constexpr std::int64_t most_halvings = 60;      // until a tensor's entries are so few
constexpr std::int64_t most_buckets = 1 << 12;  // of a row's magnitudes

// Words of a mask, one more than its bits need, so that two neighbours can always be read.
constexpr std::int64_t mask_words(std::int64_t entries) { return entries / 32 + 2; }

// Pairs of vectors, each with itself too.
constexpr std::int64_t pairs_of(std::int64_t count) { return count * (count + 1) / 2; }

// Numbers of the kernels' rooms.
constexpr std::int64_t median_room(std::int64_t count) { return count * summed_together; }
constexpr std::int64_t gram_room(std::int64_t count) {
    return 2 * summed_together * count + most_halvings * pairs_of(count);
}
constexpr std::int64_t rank_room(std::int64_t cols) {
    return (8 * cols + mask_words(cols)) / 2 + 3 * most_buckets;
}

}  // namespace mergesearch
