// Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 without an importance matrix: blocks of 32 elements with a scale
// (and a minimum), rounded once (`quantize_row_q4_0_ref` and its siblings, ggml-quants.c).
//
// Plain loops that the compiler vectorizes: comparisons are made on integers, which it may reorder.
#pragma once

#include <float.h>
#include <math.h>

#include "half.h"
#include "quantize/pack.h"
#include "quantize/source.h"

namespace {

constexpr int block_size = 32;

// Scale, minimum (where the type has one), fifth bits (where it has them), low four bits.
template <int bits, bool minimum>
constexpr int small_bytes = 2 + (minimum ? 2 : 0) + (bits == 5 ? 4 : 0) + 16;

template <int bits>
inline void pack_levels(const std::uint8_t* levels, std::uint8_t* into) {
    if constexpr (bits == 5) {
        const std::uint32_t high = fifth_bits(levels);
        std::memcpy(into, &high, sizeof high);
        into += sizeof high;
    }
    pack_nibbles<16>(levels, into);
}

// Bits that order as the floats do, -0 before 0.
inline std::int32_t ordered(std::int32_t bits) { return bits ^ (bits >> 31 & 0x7fffffff); }

struct Range {
    float low;
    float high;
};

inline Range range_of(const float* x) {
    std::int32_t low = INT32_MAX, high = INT32_MIN;
    for (int i = 0; i < block_size; ++i) {
        const std::int32_t key = ordered(bits_as<std::int32_t>(x[i]));
        low = key < low ? key : low;
        high = key > high ? key : high;
    }
    return {bits_as<float>(ordered(low)), bits_as<float>(ordered(high))};
}

// The value of largest magnitude, the first of equals; 0 in a block of zeros.
inline float extreme_of(const float* x) {
    const Range range = range_of(x);
    const float larger = -range.low > range.high ? range.low : range.high;
    if (-range.low == range.high) {
        for (int i = 0; i < block_size; ++i) {
            if (magnitude(x[i]) == range.high) {
                return x[i] + 0.f;
            }
        }
    }
    return larger;
}

// Of zeros as minimum ggml keeps the first, and its sign shows in the file.
inline float first_of_equals(const float* x, float low) {
    for (int i = 0; low == 0.f && i < block_size; ++i) {
        if (x[i] == 0.f) {
            return x[i];
        }
    }
    return low;
}

// 1 / d with the half that rounds to nearest, or 0 and 0 where d or its inverse is not a usable
// number: the conversion to integer that ggml makes there gives 0 on x86.
struct Inverse {
    float factor;
    float offset;

    Inverse(float d, float half) {
        const float inverse = 1.f / d;
        const bool usable = magnitude(inverse) <= FLT_MAX && magnitude(d) <= FLT_MAX;
        factor = usable ? inverse : 0.f;
        offset = usable || d == 0.f ? half : 0.f;
    }
};

// x ~ d * (level - middle): the value of largest magnitude takes level 0.
template <int bits>
void quantize_symmetric(const float* x, std::uint8_t* into) {
    constexpr int middle = 1 << (bits - 1), top = 2 * middle - 1;
    const float d = extreme_of(x) / -middle;
    const Inverse inverse(d, middle + 0.5f);
    std::uint8_t levels[block_size];
    for (int i = 0; i < block_size; ++i) {
        const int level = static_cast<int>(x[i] * inverse.factor + inverse.offset);
        levels[i] = static_cast<std::uint8_t>(level < top ? level : top);
    }
    const std::uint16_t half = to_half(d);
    std::memcpy(into, &half, sizeof half);
    pack_levels<bits>(levels, into + 2);
}

// x ~ d * level + minimum.
template <int bits>
void quantize_affine(const float* x, std::uint8_t* into) {
    constexpr int top = (1 << bits) - 1;
    const Range range = range_of(x);
    const float low = first_of_equals(x, range.low);
    const float d = (range.high - low) / top;
    const Inverse inverse(d, 0.5f);
    std::uint8_t levels[block_size];
    for (int i = 0; i < block_size; ++i) {
        // Where the range overflows, so may the difference; infinity times 0 would be NaN.
        const float above = x[i] - low;
        const float finite = above < FLT_MAX ? above : FLT_MAX;
        const int level = static_cast<int>(finite * inverse.factor + inverse.offset);
        levels[i] = static_cast<std::uint8_t>(level < top ? level : top);
    }
    const std::uint16_t halves[2] = {to_half(d), to_half(low)};
    std::memcpy(into, halves, sizeof halves);
    pack_levels<bits>(levels, into + sizeof halves);
}

// x ~ d * level, ties away from zero.
inline void quantize_q8_0_block(const float* x, std::uint8_t* into) {
    constexpr float before_half = 0.49999997f;  // 0.5 itself would carry 0.49999997 to 1
    std::int32_t largest = 0;
    for (int i = 0; i < block_size; ++i) {
        const std::int32_t size = bits_as<std::int32_t>(x[i]) & 0x7fffffff;
        largest = size > largest ? size : largest;
    }
    const float d = bits_as<float>(largest) / 127;
    const Inverse inverse(d, 0.f);
    const std::uint16_t half = to_half(d);
    std::memcpy(into, &half, sizeof half);
    for (int i = 0; i < block_size; ++i) {
        const float scaled = x[i] * inverse.factor;
        const float rounded = scaled + copysignf(before_half, scaled);
        into[2 + i] = static_cast<std::uint8_t>(static_cast<int>(rounded));
    }
}

template <void (*quantize)(const float*, std::uint8_t*), int bytes>
void quantize_small(const Source& source, std::uint8_t* into) {
    const std::int64_t blocks = source.rows * source.cols / block_size;
    for (std::int64_t block = 0; block < blocks; ++block) {
        quantize(source.values + block * block_size, into + block * bytes);
    }
}

}  // namespace
