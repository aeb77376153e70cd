// float16 (IEEE binary16) as bits, to and from float32.
#pragma once

#include <cstdint>

#include "bits.h"

namespace {

// Rounds to nearest, ties to even; too large becomes infinity. Every NaN becomes the negative quiet
// one: x86 makes no other here, Arm's would be positive.
inline std::uint16_t to_half(float value) {
    const auto bits = bits_as<std::uint32_t>(value);
    const std::uint32_t sign = (bits >> 16) & 0x8000u;
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return 0xfe00u;
    }
    if (magnitude >= 0x47800000u) {  // 2^16
        return static_cast<std::uint16_t>(sign | 0x7c00u);
    }
    if (magnitude < 0x38800000u) {  // 2^-14: a subnormal half, counted in units of 2^-24
        const float shifted = bits_as<float>(magnitude) + 0.5f;
        return static_cast<std::uint16_t>(sign | (bits_as<std::uint32_t>(shifted) - 0x3f000000u));
    }
    const std::uint32_t tie_to_even = (magnitude >> 13) & 1u;
    const std::uint32_t rounded = magnitude + 0x0fffu + tie_to_even - 0x38000000u;
    return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

inline float from_half(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000u) << 16;
    const std::uint32_t magnitude = (half & 0x7fffu) << 13;
    // The power of two moves the exponent, subnormal halves' too, without rounding.
    const std::uint32_t finite = bits_as<std::uint32_t>(bits_as<float>(magnitude) * 0x1p112f);
    return bits_as<float>(sign | (magnitude < 0x0f800000u ? finite : magnitude | 0x7f800000u));
}

}  // namespace
