// Blocks of ggml's types as float32 (`dequantize_row_q4_0` and its siblings, ggml-quants.c): products
// and sums of a scale, a level and a minimum, each rounded by itself.
#pragma once

#include "merge/stored.h"
#include "quantize/small_blocks.h"
#include "variant.h"

namespace {

inline float half_at(const std::uint8_t* bytes) {
    std::uint16_t half;
    std::memcpy(&half, bytes, sizeof half);
    return from_half(half);
}

// d * level + minimum, or d * (level - middle) in types without a minimum.
template <int bits, bool minimum>
inline void dequantize_32(const std::uint8_t* block, float* into) {
    constexpr int half = block_size / 2, middle = minimum ? 0 : 1 << (bits - 1);
    const float d = half_at(block), low = minimum ? half_at(block + 2) : 0.f;
    const std::uint8_t* pairs = block + small_bytes<bits, minimum> - half;
    std::uint32_t fifths = 0;
    if (bits == 5) {
        std::memcpy(&fifths, pairs - sizeof fifths, sizeof fifths);
    }
    for (int i = 0; i < half; ++i) {
        const int first = static_cast<int>((pairs[i] & 15u) | (fifths >> i & 1u) << 4);
        const int second = static_cast<int>(pairs[i] >> 4 | (fifths >> (i + half) & 1u) << 4);
        into[i] = d * static_cast<float>(first - middle);
        into[i + half] = d * static_cast<float>(second - middle);
    }
    for (int i = 0; minimum && i < block_size; ++i) {
        into[i] += low;
    }
}

inline void dequantize_q8_0(const std::uint8_t* block, float* into) {
    const float d = half_at(block);
    for (int i = 0; i < block_size; ++i) {
        into[i] = d * static_cast<float>(static_cast<std::int8_t>(block[2 + i]));
    }
}

struct ScaleAndMinimum {
    float scale;
    float minimum;
};

// Six bits each for one of eight groups, packed into twelve bytes.
inline ScaleAndMinimum scale_and_minimum(const std::uint8_t* packed, int group) {
    unsigned scale = packed[group] & 63u, minimum = packed[group + 4] & 63u;
    if (group >= 4) {
        scale = (packed[group + 4] & 15u) | packed[group - 4] >> 6 << 4;
        minimum = packed[group + 4] >> 4 | packed[group] >> 6 << 4;
    }
    return {static_cast<float>(scale), static_cast<float>(minimum)};
}

// Eight groups of 32 elements: (d * scale) * level - (other d * minimum).
template <int bits>
inline void dequantize_affine_k(const std::uint8_t* block, float* into) {
    constexpr int groups = 8, size = 32;
    const float d = half_at(block), of_minimums = half_at(block + 2);
    const std::uint8_t *packed = block + 4, *fifths = packed + 12;
    const std::uint8_t* pairs = bits == 5 ? fifths + size : fifths;
    for (int group = 0; group < groups; ++group) {
        const ScaleAndMinimum own = scale_and_minimum(packed, group);
        const float scale = d * own.scale, minimum = of_minimums * own.minimum;
        const std::uint8_t* nibbles = pairs + group / 2 * size;
        for (int i = 0; i < size; ++i) {
            int level = nibbles[i] >> 4 * (group % 2) & 15;
            if (bits == 5) {
                level |= (fifths[i] >> group & 1) << 4;
            }
            into[group * size + i] = scale * static_cast<float>(level) - minimum;
        }
    }
}

// Sixteen groups of 16 elements: (d * scale) * (level - 32). Of 128 elements, four times 32 share the
// bytes of their upper two bits, and the first and the last 64 those of their lower four.
inline void dequantize_q6_k(const std::uint8_t* block, float* into) {
    constexpr int halves = 2, parts = 4, size = 32;
    const std::uint8_t *lower = block, *upper = block + 128, *scales = block + 192;
    const float d = half_at(block + 208);
    for (int half = 0; half < halves; ++half) {
        for (int part = 0; part < parts; ++part) {
            const std::uint8_t* nibbles = lower + half * 64 + part % 2 * size;
            float* values = into + half * 128 + part * size;
            for (int i = 0; i < size; ++i) {
                const int low = nibbles[i] >> 4 * (part / 2) & 15;
                const int level = low | (upper[half * size + i] >> 2 * part & 3) << 4;
                values[i] = static_cast<float>(level - 32);
            }
            for (int i = 0; i < size; ++i) {
                const auto scale = static_cast<std::int8_t>(scales[half * 8 + part * 2 + i / 16]);
                values[i] *= d * static_cast<float>(scale);
            }
        }
    }
}

template <void (*dequantize)(const std::uint8_t*, float*)>
void dequantize_blocks(mergesearch::BlockShape shape, const std::uint8_t* blocks,
                       std::int64_t entries, float* into) {
    for (std::int64_t start = 0; start < entries; start += shape.elements) {
        dequantize(blocks + start / shape.elements * shape.bytes, into + start);
    }
}

inline void dequantize(mergesearch::Format format, const std::uint8_t* blocks, std::int64_t entries,
                       float* into) {
    using mergesearch::Dtype;
    using mergesearch::Format;
    const auto shape = mergesearch::block_shape(format);
    switch (format) {
        case Format::f32: return read_floats({blocks, Dtype::f32}, 0, entries, into);
        case Format::f16: return read_floats({blocks, Dtype::f16}, 0, entries, into);
        case Format::bf16: return read_floats({blocks, Dtype::bf16}, 0, entries, into);
        case Format::q4_0:
            return dequantize_blocks<dequantize_32<4, false>>(shape, blocks, entries, into);
        case Format::q4_1:
            return dequantize_blocks<dequantize_32<4, true>>(shape, blocks, entries, into);
        case Format::q5_0:
            return dequantize_blocks<dequantize_32<5, false>>(shape, blocks, entries, into);
        case Format::q5_1:
            return dequantize_blocks<dequantize_32<5, true>>(shape, blocks, entries, into);
        case Format::q8_0: return dequantize_blocks<dequantize_q8_0>(shape, blocks, entries, into);
        case Format::q4_k:
            return dequantize_blocks<dequantize_affine_k<4>>(shape, blocks, entries, into);
        case Format::q5_k:
            return dequantize_blocks<dequantize_affine_k<5>>(shape, blocks, entries, into);
        case Format::q6_k: return dequantize_blocks<dequantize_q6_k>(shape, blocks, entries, into);
    }
}

}  // namespace
