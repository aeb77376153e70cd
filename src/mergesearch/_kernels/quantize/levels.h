// Rounding to integer levels as ggml does, for every bit pattern.
#pragma once

#include "lanes.h"

namespace {

// Added to a float below 2^22, it leaves the nearest integer in the mantissa's low bits.
constexpr float rounder = 0x1.8p23f;
constexpr std::int32_t mantissa = 0x007fffff;
constexpr std::int32_t mantissa_zero = 0x00400000;

// The nearest integer, ties to even. Outside of +-2^22 it is whatever the low bits say (NaN gives
// 0, infinity -2^22), because ggml takes them too (`nearest_int`, ggml-quants.c).
inline std::int32_t nearest(float value) {
    return (bits_as<std::int32_t>(value + rounder) & mantissa) - mantissa_zero;
}

inline int clamped(int value, int low, int high) {
    return value < low ? low : value > high ? high : value;
}

// `nearest` clamped to [low, high], in lanes and as floats. The clamp is on integers: they order
// as the floats do, and every pattern stays what `nearest` makes of it.
template <int lanes>
inline Float<lanes> nearest_level(Float<lanes> value, int low, int high) {
    constexpr auto exponent = static_cast<std::int32_t>(0x4b000000);
    const Float<lanes> shifted = value + rounder;
    Int<lanes> bits = bits_as<Int<lanes>>(shifted) & mantissa;
    bits = larger<Int<lanes>>(bits, all<lanes>(mantissa_zero + low));
    bits = smaller<Int<lanes>>(bits, all<lanes>(mantissa_zero + high));
    return bits_as<Float<lanes>>(bits | exponent) - rounder;
}

}  // namespace
