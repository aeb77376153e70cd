// Are all values finite?
#pragma once

#include <cstdint>
#include <cstring>

namespace {

// A float is NaN or infinite where all bits of its exponent are set.
std::int64_t first_nonfinite(const float* values, std::int64_t count) {
    constexpr std::int64_t stride = 1024;
    constexpr std::uint32_t exponent = 0x7f800000u;
    for (std::int64_t start = 0; start < count; start += stride) {
        const std::int64_t stop = start + stride < count ? start + stride : count;
        std::uint32_t largest = 0;
        for (std::int64_t i = start; i < stop; ++i) {
            std::uint32_t bits;
            std::memcpy(&bits, values + i, sizeof bits);
            bits &= exponent;
            largest = bits > largest ? bits : largest;
        }
        for (std::int64_t i = start; largest == exponent; ++i) {
            std::uint32_t bits;
            std::memcpy(&bits, values + i, sizeof bits);
            if ((bits & exponent) == exponent) {
                return i;
            }
        }
    }
    return -1;
}

}  // namespace
