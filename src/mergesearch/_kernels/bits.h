// A value's bits, and float32 as they show them.
#pragma once

#include <cstdint>
#include <cstring>

namespace {

template <class To, class From>
inline To bits_as(const From& from) {
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

// Place of the lowest bit that is set; one is.
inline int lowest_bit(std::uint32_t word) {
#if defined(__GNUC__)
    return __builtin_ctz(word);
#else
    int place = 0;
    for (; !(word & 1u); word >>= 1) {
        ++place;
    }
    return place;
#endif
}

inline float magnitude(float value) {
    return bits_as<float>(bits_as<std::int32_t>(value) & 0x7fffffff);
}

}  // namespace
