// Which entries of a delta stay: one bit for each, in words of 32, the first entry lowest.
#pragma once

#include "merge/noise.h"
#include "merge/stored.h"

namespace {

constexpr int word_bits = 32;

// Bits of up to 32 entries from `first` on, set where they stay.
template <class Stays>
inline std::uint32_t mask_word(std::int64_t first, int count, Stays stays) {
    std::uint32_t word = 0;
    for (int i = 0; i < count; ++i) {
        word |= static_cast<std::uint32_t>(stays(first + i)) << i;
    }
    return word;
}

template <class Stays>
inline void write_mask(std::int64_t count, Stays stays, std::uint32_t* kept) {
    std::int64_t first = 0;
    for (; first + word_bits <= count; first += word_bits) {
        *kept++ = mask_word(first, word_bits, stays);
    }
    if (first < count) {
        *kept = mask_word(first, static_cast<int>(count - first), stays);
    }
}

// Multiplies up to 32 values by one where their bit is set, else by zero.
inline void keep_by_word(std::uint32_t word, int count, float* values) {
    for (int i = 0; i < count; ++i) {
        values[i] *= static_cast<float>(static_cast<std::int32_t>(word >> i & 1u));
    }
}

// The first value's bit is `place`.
inline void apply_mask(const std::uint32_t* kept, std::int64_t place, std::int64_t count,
                       float* values) {
    kept += place / word_bits;
    const int shift = static_cast<int>(place % word_bits);
    for (; count > 0; count -= word_bits, values += word_bits, ++kept) {
        const std::uint64_t two = kept[0] | static_cast<std::uint64_t>(kept[1]) << word_bits;
        const auto word = static_cast<std::uint32_t>(two >> shift);
        if (count >= word_bits) {
            keep_by_word(word, word_bits, values);
        } else {
            keep_by_word(word, static_cast<int>(count), values);
        }
    }
}

// Entries stay whose random number is below `below`; `offset` is the first one's place.
inline void random_mask(const mergesearch::Key& key, std::int64_t offset, std::int64_t entries,
                        std::uint32_t below, std::uint32_t* kept) {
    std::uint32_t room[noise_room(piece_size)];
    for_pieces(entries, [&](std::int64_t start, std::int64_t count) {
        const std::uint32_t* numbers = draw(key, offset + start, count, room);
        const auto stays = [=](std::int64_t i) { return numbers[i] < below; };
        write_mask(count, stays, kept + start / word_bits);
    });
}

// Entries stay as the cut says; `offset` is the first one's place.
inline void cut_mask(const mergesearch::Stored& values, const mergesearch::Stored& base,
                     std::int64_t offset, std::int64_t entries, const mergesearch::Cut& cut,
                     std::uint32_t* kept) {
    std::uint32_t magnitudes[piece_size];
    for_pieces(entries, [&](std::int64_t start, std::int64_t count) {
        read_magnitudes(values, base, start, count, magnitudes);
        const std::uint32_t* read = magnitudes;
        const std::uint32_t lowest = cut.lowest;
        const std::int64_t ties_end = cut.ties_end - offset - start;
        const auto stays = [=](std::int64_t i) { return read[i] >= lowest; };
        const auto before_end = [=](std::int64_t i) {
            return (read[i] > lowest) | ((read[i] == lowest) & (i < ties_end));
        };
        if (ties_end >= count) {
            write_mask(count, stays, kept + start / word_bits);
        } else {
            write_mask(count, before_end, kept + start / word_bits);
        }
    });
}

}  // namespace
