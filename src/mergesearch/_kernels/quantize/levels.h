// Rounding to integer levels as ggml does, for every bit pattern.
#pragma once

#include "lanes.h"

namespace {

// Added to a float below 2^22, it leaves the nearest integer in the mantissa's low bits.
constexpr float rounder = 0x1.8p23f;
constexpr std::int32_t mantissa = 0x007fffff;
constexpr std::int32_t mantissa_zero = 0x00400000;
constexpr float level_limit = 0x1p21f;

// The nearest integer, ties to even. Outside of +-2^22 it is whatever the low bits say (NaN gives
// 0, infinity -2^22), because ggml takes them too (`nearest_int`, ggml-quants.c).
inline std::int32_t nearest(float value) {
    return (bits_as<std::int32_t>(value + rounder) & mantissa) - mantissa_zero;
}

inline int clamped(int value, int low, int high) {
    return value < low ? low : value > high ? high : value;
}

// `nearest` clamped to [low, high], in lanes and as floats. The clamp is on integers: they order as
// the floats do. `any_bits` takes any float; without it, values must lie within +-`level_limit`.
template <class L, bool any_bits>
inline typename L::Float nearest_level(const typename L::Float& value, int low, int high) {
    constexpr auto exponent = static_cast<std::int32_t>(0x4b000000);
    auto bits = L::bits_of(value + rounder);
    if constexpr (any_bits) {
        bits = (bits & mantissa) | exponent;
    }
    bits = larger(bits, typename L::Int(exponent + mantissa_zero + low));
    bits = smaller(bits, typename L::Int(exponent + mantissa_zero + high));
    return L::of_bits(bits) - rounder;
}

}  // namespace
