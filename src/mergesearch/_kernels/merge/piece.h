// A piece of a combination at work: what its terms give for the piece's entries.
#pragma once

#include "merge/masks.h"

namespace {

constexpr int kept_terms = 4;

struct Piece {
    float base[piece_size];
    float terms[kept_terms][piece_size];  // what of them is needed twice
    float values[piece_size];             // of one term
    float total[piece_size];
    float merged[piece_size];
    float divisor[piece_size];
    std::int64_t start;
    std::int64_t count;
};

inline void scale(float factor, std::int64_t count, float* values) {
    if (factor != 1.f) {
        for (std::int64_t i = 0; i < count; ++i) {
            values[i] *= factor;
        }
    }
}

// Multiplies by a factor that may differ between rows or between columns.
inline void multiply(const mergesearch::Combination& of, const mergesearch::Factor& factor,
                     const Piece& piece, float* values) {
    if (!factor.each) {
        return scale(factor.all, piece.count, values);
    }
    for (std::int64_t i = 0; i < piece.count;) {
        const std::int64_t row = (piece.start + i) / of.cols, col = (piece.start + i) % of.cols;
        const std::int64_t stop = smaller_of(piece.count, i + of.cols - col);
        if (of.by_column) {
            for (std::int64_t k = i; k < stop; ++k) {
                values[k] *= factor.each[col + k - i];
            }
        } else {
            scale(factor.each[row], stop - i, values + i);
        }
        i = stop;
    }
}

// The term's values or deltas, what of them is kept, times their factor.
inline void read_term(const mergesearch::Combination& of, const mergesearch::Term& term,
                      const Piece& piece, float* values) {
    const float* base = piece.base;
    with_reader(term.values, piece.start, [&](auto read) {
        for (std::int64_t i = 0; i < piece.count; ++i) {
            values[i] = of.deltas ? read(i) - base[i] : read(i);
        }
    });
    if (term.kept) {
        apply_mask(term.kept, piece.start, piece.count, values);
    }
    scale(term.factor, piece.count, values);
}

}  // namespace
