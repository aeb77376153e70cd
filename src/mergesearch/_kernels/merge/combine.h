// Merged entries, written as blocks of one of ggml's types: the composition of all methods.
#pragma once

#include "finite.h"
#include "merge/consensus.h"
#include "quantize/quantize.h"

namespace {

constexpr std::int64_t fetch_size = 1024;  // a multiple of all blocks that go in one vector

// The piece's entries of the combination, in `piece.total`.
inline void combine_piece(const mergesearch::Combination& of, Piece& piece) {
    float* total = piece.total;
    if (of.base.bytes) {
        read_floats(of.base, piece.start, piece.count, piece.base);
    }
    agree(of, piece);
    if (of.divisor != 1.f) {
        const float divisor = of.divisor;
        for (std::int64_t i = 0; i < piece.count; ++i) {
            total[i] /= divisor;
        }
    }
    multiply(of, of.scale, piece, total);
    if (of.base.bytes && of.consensus != mergesearch::Consensus::near) {
        multiply(of, of.base_scale, piece, piece.base);
        for (std::int64_t i = 0; i < piece.count; ++i) {
            total[i] += piece.base[i];
        }
    }
}

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
        piece.start = start;
        piece.count = smaller_of(piece_size, entries - start);
        combine_piece(of, piece);
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
