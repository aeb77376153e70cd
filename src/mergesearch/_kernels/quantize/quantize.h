// Rows of float32 to blocks of one of ggml's types.
#pragma once

#include "quantize/affine_k.h"
#include "quantize/floats.h"
#include "quantize/q6_k.h"
#include "quantize/weighted_blocks.h"
#include "variant.h"

namespace {

template <class L, int bits, bool minimum>
void quantize_32(const Source& source, std::uint8_t* into) {
    constexpr auto block = minimum ? quantize_affine<bits> : quantize_symmetric<bits>;
    if (source.importance) {
        quantize_weighted<L, bits, minimum>(source, into);
    } else {
        quantize_small<block, small_bytes<bits, minimum>>(source, into);
    }
}

template <class L>
void quantize_rows(mergesearch::Format format, const float* values, std::int64_t rows,
                   std::int64_t cols, const float* importance, std::uint8_t* into) {
    using mergesearch::Format;
    const Source source{values, rows, cols, importance};
    switch (format) {
        case Format::f32:
            std::memcpy(into, values, static_cast<std::size_t>(rows * cols) * sizeof(float));
            return;
        case Format::f16: return quantize_floats<to_half>(source, into);
        case Format::bf16: return quantize_floats<to_bfloat>(source, into);
        case Format::q4_0: return quantize_32<L, 4, false>(source, into);
        case Format::q4_1: return quantize_32<L, 4, true>(source, into);
        case Format::q5_0: return quantize_32<L, 5, false>(source, into);
        case Format::q5_1: return quantize_32<L, 5, true>(source, into);
        case Format::q8_0: return quantize_small<quantize_q8_0_block, 34>(source, into);
        case Format::q4_k: return quantize_affine_k<L, 4>(source, into);
        case Format::q5_k: return quantize_affine_k<L, 5>(source, into);
        case Format::q6_k: return quantize_q6_k<L>(source, into);
    }
}

}  // namespace
