// The kernels of one instruction set, as a table of functions.
#pragma once

#include <cstdint>

#include "merge/types.h"

namespace mergesearch {

// Types of blocks, by their numbers in `enum ggml_type` (ggml.h).
enum class Format : int {
    f32 = 0,
    f16 = 1,
    q4_0 = 2,
    q4_1 = 3,
    q5_0 = 6,
    q5_1 = 7,
    q8_0 = 8,
    q4_k = 12,
    q5_k = 13,
    q6_k = 14,
    bf16 = 30,
};

struct BlockShape {
    std::int64_t elements;
    std::int64_t bytes;
};

// Zeros for a number that is none of the above.
constexpr BlockShape block_shape(Format format) {
    switch (format) {
        case Format::f32: return {1, 4};
        case Format::f16: return {1, 2};
        case Format::q4_0: return {32, 18};
        case Format::q4_1: return {32, 20};
        case Format::q5_0: return {32, 22};
        case Format::q5_1: return {32, 24};
        case Format::q8_0: return {32, 34};
        case Format::q4_k: return {256, 144};
        case Format::q5_k: return {256, 176};
        case Format::q6_k: return {256, 210};
        case Format::bf16: return {1, 2};
    }
    return {0, 0};
}

// Arrays are C-contiguous and need no alignment. No kernel touches Python: all run without the
// interpreter's lock, in as many threads as the caller likes.
struct Variant {
    const char* name;

    // Index of the first NaN or infinity, -1 where all values are finite.
    std::int64_t (*first_nonfinite)(const float* values, std::int64_t count);

    // Finite rows to blocks, row after row. `importance` holds `cols` weights, or is null.
    void (*quantize)(Format format, const float* values, std::int64_t rows, std::int64_t cols,
                     const float* importance, std::uint8_t* into);

    // Blocks back to float32; `entries` fill whole blocks.
    void (*dequantize)(Format format, const std::uint8_t* blocks, std::int64_t entries,
                       float* into);

    // Entries of a combination to blocks; -1, or the index of the first that is not finite, after
    // which nothing is written.
    std::int64_t (*combine)(const Combination& of, Format format, std::int64_t entries,
                            std::uint8_t* into);

    // Stored values as float32.
    void (*read)(const Stored& values, std::int64_t entries, float* into);

    // Counts of a digit, added to `digit_tables` tables of `1 << width` counters; the counts are
    // the sums of the tables.
    void (*count_digits)(const Stored& values, const Stored& base, std::int64_t entries,
                         const Digit& digit, std::uint32_t* tables);

    // Index of the `wanted`-th entry (from 1) whose magnitude has these bits; where there are
    // fewer, the negated count of them, minus 1.
    std::int64_t (*find_equal)(const Stored& values, const Stored& base, std::int64_t entries,
                               std::uint32_t bits, std::int64_t wanted);

    // Masks of what stays: by random numbers below `below`, by a cut, or by random numbers below the
    // threshold of the rank in the row. `offset` is the first entry's place in the tensor.
    void (*random_mask)(const Key& key, std::int64_t offset, std::int64_t entries,
                        std::uint32_t below, std::uint32_t* kept);
    void (*cut_mask)(const Stored& values, const Stored& base, std::int64_t offset,
                     std::int64_t entries, const Cut& cut, std::uint32_t* kept);
    void (*rank_mask)(const Stored& values, const Stored& base, std::int64_t offset,
                      std::int64_t rows, std::int64_t cols, const Key& key,
                      const std::uint32_t* thresholds, std::uint64_t* room, std::uint32_t* kept);

    // The sums of the magnitudes of all entries, and of those that are kept.
    void (*sum_magnitudes)(const Stored& values, const Stored& base, std::int64_t entries,
                           const std::uint32_t* kept, double* into);

    // Inner products of all pairs over each row, or over each column: of each vector with those
    // before it and itself. Rows are written one after the other, columns pair by pair.
    void (*gram_of_rows)(const Vectors& of, std::int64_t rows, std::int64_t cols, double* into);
    void (*gram_of_columns)(const Vectors& of, std::int64_t rows, std::int64_t cols, double* into);

    // The sum of each vector's squares.
    void (*squares)(const Vectors& of, std::int64_t entries, double* into);

    // Population variance of each entry between the vectors.
    void (*variances)(const Vectors& of, std::int64_t entries, float* into);

    // Of each row, the Kullback-Leibler divergence between the softmax of both; and of each entry,
    // the magnitude of the difference times its row's divergence. `room` holds two rows.
    void (*divergences)(const Stored& values, const Stored& base, std::int64_t rows,
                        std::int64_t cols, double* room, float* into);
    void (*importances)(const Stored& values, const Stored& base, std::int64_t rows,
                        std::int64_t cols, const float* of_rows, float* into);

    // Of each row of logits, the first column of the largest, and ln(sum(e^logit)).
    void (*log_sums)(const float* logits, std::int64_t rows, std::int64_t cols, std::int64_t* best,
                     double* into);
};

const Variant& scalar_variant();
const Variant& avx2_variant();
const Variant& avx512_variant();
const Variant& neon_variant();

}  // namespace mergesearch
