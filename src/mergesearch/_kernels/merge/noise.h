// Random numbers that depend on an entry's place alone: Philox4x64-10 (Salmon et al., "Parallel
// random numbers: as easy as 1, 2, 3", 2011), with the counters of NumPy's `Philox`.
//
// One step of the counter gives eight 32-bit numbers by twenty products of 64 bits. Lanes would not
// be faster: vectors have products of 32 bits only, and one core has several 64-bit ones under way.
#pragma once

#include <cstdint>
#include <cstring>

#include "merge/types.h"

namespace {

constexpr std::int64_t numbers_per_step = 8;

inline std::uint64_t low_half(std::uint64_t value) { return value & 0xffffffffu; }

// The product's upper 64 bits; the lower ones are written to `low`.
inline std::uint64_t multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& low) {
#if defined(__SIZEOF_INT128__)
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    low = static_cast<std::uint64_t>(product);
    return static_cast<std::uint64_t>(product >> 64);
#else
    const std::uint64_t lower = low_half(a) * low_half(b);
    const std::uint64_t middle = (a >> 32) * low_half(b) + (lower >> 32);
    const std::uint64_t crossed = low_half(a) * (b >> 32) + low_half(middle);
    low = crossed << 32 | low_half(lower);
    return (a >> 32) * (b >> 32) + (middle >> 32) + (crossed >> 32);
#endif
}

// The eight numbers of one value of the counter, in four words of which each holds two.
inline void philox(mergesearch::Key key, std::uint64_t counter, std::uint32_t* into) {
    constexpr int rounds = 10;
    std::uint64_t words[4] = {counter, 0, 0, 0};
    for (int round = 0; round < rounds; ++round) {
        std::uint64_t low, other_low;
        const std::uint64_t high = multiply(0xd2e7470ee14c6c93u, words[0], low);
        const std::uint64_t other_high = multiply(0xca5a826395121157u, words[2], other_low);
        words[0] = other_high ^ words[1] ^ key.low;
        words[1] = other_low;
        words[2] = high ^ words[3] ^ key.high;
        words[3] = low;
        key.low += 0x9e3779b97f4a7c15u;
        key.high += 0xbb67ae8584caa73bu;
    }
    std::memcpy(into, words, sizeof words);
}

// Room for the numbers of `count` entries, wherever their first one stands.
constexpr std::int64_t noise_room(std::int64_t count) { return count + 2 * numbers_per_step; }

// The uniform numbers of the entries from `offset` on, written somewhere into `room`.
inline const std::uint32_t* draw(const mergesearch::Key& key, std::int64_t offset,
                                 std::int64_t count, std::uint32_t* room) {
    const std::int64_t skipped = offset % numbers_per_step;
    auto counter = static_cast<std::uint64_t>(offset / numbers_per_step);
    for (std::int64_t i = 0; i < skipped + count; i += numbers_per_step) {
        philox(key, ++counter, room + i);  // NumPy counts before it draws
    }
    return room + skipped;
}

}  // namespace
