// The kernels of one instruction set, as a table of functions.
#pragma once

#include <cstdint>

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

// One parent of a combination; the cut and the factor are for those that elect.
struct Term {
    Stored values;
    float weight;
    Cut cut;
    float factor;
};

// base + scale * (sum of weight * (value - base)) / divisor, or without a base the same of the
// values themselves. Where the terms elect, each delta is first cut and multiplied by its factor,
// only deltas of the sign of all their sum are added, and `normalize` divides an entry by the sum
// of the weights that were added (https://arxiv.org/abs/2306.01708).
struct Combination {
    const Term* terms;
    int count;
    Stored base;  // without bytes: none
    bool elect;
    bool normalize;
    float divisor;
    float scale;
    std::int64_t offset;  // of the first entry in the tensor
};

constexpr int digit_tables = 4;

// The `width` bits from `shift` on, in magnitudes that equal `prefix` above them.
struct Digit {
    std::uint32_t prefix;
    int shift;
    int width;
};

// Arrays are C-contiguous and need no alignment. No kernel touches Python: all run without the
// interpreter's lock, in as many threads as the caller likes.
struct Variant {
    const char* name;

    // Index of the first NaN or infinity, -1 where all values are finite.
    std::int64_t (*first_nonfinite)(const float* values, std::int64_t count);

    // Finite rows to blocks, row after row. `importance` holds `cols` weights, or is null.
    void (*quantize)(Format format, const float* values, std::int64_t rows, std::int64_t cols,
                     const float* importance, std::uint8_t* into);

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
};

const Variant& scalar_variant();
const Variant& avx2_variant();
const Variant& avx512_variant();
const Variant& neon_variant();

}  // namespace mergesearch
