// F16 and BF16: every value rounded by itself, ties to even.
#pragma once

#include "half.h"
#include "quantize/source.h"

namespace {

// The high half of a float32; the input holds no NaN, whose mantissa could round away.
inline std::uint16_t to_bfloat(float value) {
    const auto bits = bits_as<std::uint32_t>(value);
    return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

template <std::uint16_t (*convert)(float)>
void quantize_floats(const Source& source, std::uint8_t* into) {
    const std::int64_t count = source.rows * source.cols;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::uint16_t bits = convert(source.values[i]);
        std::memcpy(into + 2 * i, &bits, sizeof bits);
    }
}

}  // namespace
