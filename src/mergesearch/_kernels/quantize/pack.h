// Levels of a few bits, packed as ggml's blocks hold them (ggml-common.h).
#pragma once

#include <cstdint>
#include <cstring>

namespace {

// Eight bytes as one integer: compilers make little of loops over single bytes.
inline std::uint64_t eight_bytes(const std::uint8_t* bytes) {
    std::uint64_t eight;
    std::memcpy(&eight, bytes, sizeof eight);
    return eight;
}

// Levels i and i + half share a byte, the first in its low four bits.
template <int half>
inline void pack_nibbles(const std::uint8_t* levels, std::uint8_t* bytes) {
    constexpr std::uint64_t low = 0x0f0f0f0f0f0f0f0fu;
    for (int i = 0; i < half; i += 8) {
        const std::uint64_t pairs =
            (eight_bytes(levels + i) & low) | (eight_bytes(levels + half + i) & low) << 4;
        std::memcpy(bytes + i, &pairs, sizeof pairs);
    }
}

// The fifth bits of 32 levels, the first level's lowest.
inline std::uint32_t fifth_bits(const std::uint8_t* levels) {
    std::uint32_t bits = 0;
    for (int i = 0; i < 32; i += 8) {
        // Eight bytes of 0 or 1; the product brings byte k of them to bit 56 + k.
        const std::uint64_t ones = eight_bytes(levels + i) >> 4 & 0x0101010101010101u;
        bits |= static_cast<std::uint32_t>(ones * 0x0102040810204080u >> 56) << i;
    }
    return bits;
}

}  // namespace
