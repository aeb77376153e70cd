// The kernels of one instruction set, as a table of functions.
#pragma once

#include <cstdint>

namespace mergesearch {

// Types of blocks, by their numbers in `enum ggml_type` (ggml.h).
enum class Format : int {
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
};

const Variant& scalar_variant();
const Variant& avx2_variant();
const Variant& avx512_variant();
const Variant& neon_variant();

}  // namespace mergesearch
