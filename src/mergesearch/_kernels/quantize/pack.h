// Levels of a few bits, packed as ggml's blocks hold them (ggml-common.h).
#pragma once

#include <cstdint>

namespace {

// Levels i and i + half share a byte, the first in its low four bits.
template <int half>
inline void pack_nibbles(const std::uint8_t* levels, std::uint8_t* bytes) {
    for (int i = 0; i < half; ++i) {
        bytes[i] = static_cast<std::uint8_t>((levels[i] & 15) | (levels[half + i] & 15) << 4);
    }
}

// The fifth bits of 32 levels, the first level's lowest.
inline std::uint32_t fifth_bits(const std::uint8_t* levels) {
    std::uint32_t bits = 0;
    for (int i = 0; i < 32; ++i) {
        bits |= static_cast<std::uint32_t>(levels[i] >> 4 & 1) << i;
    }
    return bits;
}

}  // namespace
