// Values as checkpoints store them, read as float32; every value is exact.
#pragma once

#include "bits.h"
#include "half.h"
#include "merge/types.h"

namespace {

using mergesearch::piece_size;

inline std::int64_t smaller_of(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// Calls `use` with the first entry of each piece and their number.
template <class Use>
inline void for_pieces(std::int64_t entries, Use use) {
    for (std::int64_t start = 0; start < entries; start += piece_size) {
        use(start, smaller_of(piece_size, entries - start));
    }
}

// Each gives the i-th value at `bytes`, which need no alignment.
struct ReadF32 {
    const std::uint8_t* bytes;
    float operator()(std::int64_t i) const {
        float value;
        std::memcpy(&value, bytes + 4 * i, sizeof value);
        return value;
    }
};

struct ReadF16 {
    const std::uint8_t* bytes;
    float operator()(std::int64_t i) const {
        std::uint16_t half;
        std::memcpy(&half, bytes + 2 * i, sizeof half);
        return from_half(half);
    }
};

struct ReadBF16 {
    const std::uint8_t* bytes;
    float operator()(std::int64_t i) const {
        std::uint16_t high;
        std::memcpy(&high, bytes + 2 * i, sizeof high);
        return bits_as<float>(static_cast<std::uint32_t>(high) << 16);
    }
};

inline std::int64_t bytes_of(mergesearch::Dtype dtype) {
    return dtype == mergesearch::Dtype::f32 ? 4 : 2;
}

// Asks for values to be brought into the cache; none are asked for where there are no bytes.
[[gnu::always_inline]] inline void fetch(const mergesearch::Stored& values, std::int64_t start,
                                         std::int64_t stop) {
#if defined(__GNUC__)
    constexpr std::int64_t line = 64;
    const std::int64_t size = bytes_of(values.dtype);
    for (std::int64_t at = start * size; values.bytes && at < stop * size; at += line) {
        __builtin_prefetch(values.bytes + at, 0, 3);
    }
#endif
}

// Calls `use` with the reader of values from the `start`-th on, so that its loops are compiled for
// each type.
template <class Use>
inline void with_reader(const mergesearch::Stored& values, std::int64_t start, Use use) {
    using mergesearch::Dtype;
    switch (values.dtype) {
        case Dtype::f32: return use(ReadF32{values.bytes + 4 * start});
        case Dtype::f16: return use(ReadF16{values.bytes + 2 * start});
        case Dtype::bf16: return use(ReadBF16{values.bytes + 2 * start});
    }
}

inline void read_floats(const mergesearch::Stored& values, std::int64_t start, std::int64_t count,
                        float* into) {
    with_reader(values, start, [=](auto read) {
        for (std::int64_t i = 0; i < count; ++i) {
            into[i] = read(i);
        }
    });
}

// Values from the `start`-th on, minus those of the base where there is one.
inline void read_deltas(const mergesearch::Stored& values, const mergesearch::Stored& base,
                        std::int64_t start, std::int64_t count, float* into) {
    read_floats(values, start, count, into);
    if (base.bytes) {
        with_reader(base, start, [=](auto read) {
            for (std::int64_t i = 0; i < count; ++i) {
                into[i] -= read(i);
            }
        });
    }
}

// The bits of their magnitudes, which order as these do.
inline void read_magnitudes(const mergesearch::Stored& values, const mergesearch::Stored& base,
                            std::int64_t start, std::int64_t count, std::uint32_t* into) {
    float deltas[piece_size];
    for_pieces(count, [&](std::int64_t first, std::int64_t here) {
        read_deltas(values, base, start + first, here, deltas);
        for (std::int64_t i = 0; i < here; ++i) {
            into[first + i] = bits_as<std::uint32_t>(deltas[i]) & 0x7fffffffu;
        }
    });
}

inline void read_rows(const mergesearch::Stored& values, std::int64_t entries, float* into) {
    read_floats(values, 0, entries, into);
}

}  // namespace
