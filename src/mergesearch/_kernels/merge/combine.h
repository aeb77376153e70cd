// Weighted sums of parents, or of their deltas on a base, written as blocks of one of ggml's types.
//
// Plain loops over pieces that stay in the cache, which the compiler vectorizes: every entry is
// computed by itself, products and sums one after the other in the order of the terms.
#pragma once

#include "finite.h"
#include "merge/stored.h"
#include "quantize/quantize.h"

namespace {

constexpr std::int64_t piece_size = 2048;
constexpr std::int64_t fetch_size = 1024;  // a multiple of all blocks that go in one vector

// The pieces' entries, and how many.
struct Piece {
    float base[piece_size];
    float delta[piece_size];
    float total[piece_size];
    float merged[piece_size];
    float divisor[piece_size];
    std::int64_t count;
};

// total (+)= weight * (value - base)
template <bool first, bool onto_base, class Read>
inline void add_product(Read read, float weight, Piece& piece) {
    float* total = piece.total;
    const float* base = piece.base;
    for (std::int64_t i = 0; i < piece.count; ++i) {
        const float value = onto_base ? read(i) - base[i] : read(i);
        total[i] = first ? value * weight : total[i] + value * weight;
    }
}

template <bool onto_base>
void add_terms(const mergesearch::Combination& of, std::int64_t start, Piece& piece) {
    for (int term = 0; term < of.count; ++term) {
        const float weight = of.terms[term].weight;
        with_reader(of.terms[term].values, start, [&](auto read) {
            if (term == 0) {
                add_product<true, onto_base>(read, weight, piece);
            } else {
                add_product<false, onto_base>(read, weight, piece);
            }
        });
    }
}

// Entries whose magnitude's bits are at least `lowest` stay, others are multiplied by zero.
inline void cut_below(std::uint32_t lowest, float* values, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
        const std::uint32_t bits = bits_as<std::uint32_t>(values[i]) & 0x7fffffffu;
        values[i] *= bits >= lowest ? 1.f : 0.f;
    }
}

// The term's delta, cut, scaled and weighted. `place` is the piece's first entry in the tensor.
inline void read_term(const mergesearch::Term& term, std::int64_t start, std::int64_t place,
                      Piece& piece) {
    float* delta = piece.delta;
    const float* base = piece.base;
    with_reader(term.values, start, [&](auto read) {
        for (std::int64_t i = 0; i < piece.count; ++i) {
            delta[i] = read(i) - base[i];
        }
    });
    const mergesearch::Cut& cut = term.cut;
    std::int64_t equals = cut.ties_end - place;  // so many of the piece stay where they are equal
    equals = equals < 0 ? 0 : equals > piece.count ? piece.count : equals;
    const bool none_above = cut.lowest == UINT32_MAX;
    cut_below(cut.lowest, delta, equals);
    cut_below(none_above ? cut.lowest : cut.lowest + 1, delta + equals, piece.count - equals);
    for (std::int64_t i = 0; i < piece.count; ++i) {
        delta[i] = delta[i] * term.factor * term.weight;
    }
}

// Per entry the sum of those deltas that have the sign of the sum of all, a sum of zero counting
// as positive; the divisor is the sum of their weights.
inline void elect_terms(const mergesearch::Combination& of, std::int64_t start, Piece& piece) {
    float *delta = piece.delta, *total = piece.total;
    float *merged = piece.merged, *divisor = piece.divisor;
    for (int term = 0; term < of.count; ++term) {
        read_term(of.terms[term], start, of.offset + start, piece);
        for (std::int64_t i = 0; i < piece.count; ++i) {
            total[i] = term == 0 ? delta[i] : total[i] + delta[i];
        }
    }
    for (int term = 0; term < of.count; ++term) {
        const float weight = of.terms[term].weight;
        if (of.count > 1) {
            read_term(of.terms[term], start, of.offset + start, piece);
        }
        for (std::int64_t i = 0; i < piece.count; ++i) {
            const bool positive = total[i] >= 0.f;
            const bool agrees = positive ? delta[i] > 0.f : delta[i] < 0.f;
            const float share = agrees ? 1.f : 0.f;
            merged[i] = (term == 0 ? 0.f : merged[i]) + delta[i] * share;
            divisor[i] = (term == 0 ? 0.f : divisor[i]) + weight * share;
        }
    }
    for (std::int64_t i = 0; i < piece.count; ++i) {
        const float by = of.normalize && divisor[i] != 0.f ? divisor[i] : 1.f;
        total[i] = merged[i] / by;
    }
}

// Entries `start` to `start + piece.count` of the combination, in `piece.total`.
inline void combine_piece(const mergesearch::Combination& of, std::int64_t start, Piece& piece) {
    float* total = piece.total;
    if (of.base.bytes) {
        read_floats(of.base, start, piece.count, piece.base);
    }
    if (of.elect) {
        elect_terms(of, start, piece);
    } else if (of.base.bytes) {
        add_terms<true>(of, start, piece);
    } else {
        add_terms<false>(of, start, piece);
    }
    for (std::int64_t i = 0; i < piece.count && of.divisor != 1.f; ++i) {
        total[i] /= of.divisor;
    }
    for (std::int64_t i = 0; i < piece.count && of.scale != 1.f; ++i) {
        total[i] *= of.scale;
    }
    for (std::int64_t i = 0; i < piece.count && of.base.bytes; ++i) {
        total[i] += piece.base[i];
    }
}

inline std::int64_t smaller_of(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// Asks for entries that will be combined soon. Parents lie in mapped files, and what the processor
// fetches by itself ends with each page of 4 KiB: without this the merge waits for memory while
// quantizing leaves memory idle. (Inlined by force: GCC takes a function that only fetches for one
// without effects, and drops it.)
[[gnu::always_inline]] inline void fetch(const mergesearch::Combination& of, std::int64_t start,
                                         std::int64_t stop) {
    fetch(of.base, start, stop);
    for (int term = 0; term < of.count; ++term) {
        fetch(of.terms[term].values, start, stop);
    }
}

template <class L>
std::int64_t combine_rows(const mergesearch::Combination& of, mergesearch::Format format,
                          std::int64_t entries, std::uint8_t* into) {
    const mergesearch::BlockShape shape = mergesearch::block_shape(format);
    // Floats are written as fast as memory gives the parents: nothing is gained by asking early.
    const bool fetches = shape.elements > 1;
    const std::int64_t step = fetches ? fetch_size : piece_size;
    Piece piece;
    for (std::int64_t start = 0; start < entries; start += piece_size) {
        piece.count = smaller_of(piece_size, entries - start);
        combine_piece(of, start, piece);
        const std::int64_t bad = first_nonfinite(piece.total, piece.count);
        if (bad >= 0) {
            return start + bad;
        }
        for (std::int64_t at = 0; at < piece.count; at += step) {
            const std::int64_t next = start + at + piece_size;
            if (fetches) {
                fetch(of, next, smaller_of(next + step, entries));
            }
            // Blocks do not know of rows, as long as there is no importance matrix.
            quantize_rows<L>(format, piece.total + at, 1, smaller_of(step, piece.count - at),
                             nullptr, into + (start + at) / shape.elements * shape.bytes);
        }
    }
    return -1;
}

}  // namespace
