// What several terms agree on, entry by entry, written to a piece's `total`.
//
// Plain loops over pieces that stay in the cache, which the compiler vectorizes: every entry is
// computed by itself, products and sums one after the other in the order of the terms.
#pragma once

#include "merge/median.h"
#include "merge/piece.h"

namespace {

using mergesearch::summed_together;

// total (+)= weight * (value, or value - base), and the same of another term that is stored alike.
template <bool first, bool delta, bool two, class Read>
inline void add_products(Read read, Read other, float weight, float other_weight, Piece& piece) {
    float* total = piece.total;
    const float* base = piece.base;
    for (std::int64_t i = 0; i < piece.count; ++i) {
        const float value = delta ? read(i) - base[i] : read(i);
        float sum = first ? value * weight : total[i] + value * weight;
        if (two) {
            sum += (delta ? other(i) - base[i] : other(i)) * other_weight;
        }
        total[i] = sum;
    }
}

template <bool first, bool delta>
inline void add_whole(const mergesearch::Term* terms, bool two, Piece& piece) {
    const mergesearch::Term &term = terms[0], &next = terms[two];
    with_reader(term.values, piece.start, [&](auto read) {
        const decltype(read) other{next.values.bytes + (read.bytes - term.values.bytes)};
        const auto add = two ? add_products<first, delta, true, decltype(read)>
                             : add_products<first, delta, false, decltype(read)>;
        add(read, other, term.weight.all, next.weight.all, piece);
    });
}

// Whether a term is added as it is stored, times one weight.
inline bool is_whole(const mergesearch::Term& term) {
    return !term.kept && term.factor == 1.f && !term.weight.each;
}

// The weighted sum. Terms are taken in pairs where they can be, which spares half of the ways
// between memory and the sums; each sum is the same.
inline void add_terms(const mergesearch::Combination& of, Piece& piece) {
    for (int index = 0; index < of.count;) {
        const mergesearch::Term* terms = of.terms + index;
        const bool first = index == 0;
        if (is_whole(*terms)) {
            const bool two = index + 1 < of.count && is_whole(terms[1]) &&
                             terms[0].values.dtype == terms[1].values.dtype;
            const auto add = of.deltas ? first ? add_whole<true, true> : add_whole<false, true>
                             : first   ? add_whole<true, false>
                                       : add_whole<false, false>;
            add(terms, two, piece);
            index += two ? 2 : 1;
            continue;
        }
        read_term(of, *terms, piece, piece.values);
        multiply(of, terms->weight, piece, piece.values);
        for (std::int64_t i = 0; i < piece.count; ++i) {
            piece.total[i] = first ? piece.values[i] : piece.total[i] + piece.values[i];
        }
        ++index;
    }
}

// The sum of those deltas that have the sign of the sum of all, a sum of zero counting as positive
// (https://arxiv.org/abs/2306.01708). Deltas are weighted before their signs are elected or, for
// SCE (https://arxiv.org/abs/2408.07990), afterwards.
template <bool before>
inline void elect_terms(const mergesearch::Combination& of, Piece& piece) {
    float *total = piece.total, *merged = piece.merged, *divisor = piece.divisor;
    const bool keeps = of.count <= kept_terms;
    const auto read = [&](int index) {
        float* values = keeps ? piece.terms[index] : piece.values;
        read_term(of, of.terms[index], piece, values);
        if (before) {
            multiply(of, of.terms[index].weight, piece, values);
        }
        return values;
    };
    for (int index = 0; index < of.count; ++index) {
        const float* values = read(index);
        for (std::int64_t i = 0; i < piece.count; ++i) {
            total[i] = index == 0 ? values[i] : total[i] + values[i];
        }
    }
    for (int index = 0; index < of.count; ++index) {
        const float weight = of.terms[index].weight.all;
        const float* values = keeps ? piece.terms[index] : read(index);
        for (std::int64_t i = 0; i < piece.count; ++i) {
            const float value = values[i];
            const float towards = total[i] >= 0.f ? value : -value;
            const float agrees = towards > 0.f ? 1.f : 0.f;
            const float share = weight * agrees;
            merged[i] = (index == 0 ? 0.f : merged[i]) + value * (before ? agrees : share);
            divisor[i] = (index == 0 ? 0.f : divisor[i]) + share;
        }
    }
    for (std::int64_t i = 0; i < piece.count; ++i) {
        const float whole = of.normalize && divisor[i] != 0.f ? divisor[i] : 1.f;
        const float limited = divisor[i] > of.limit ? divisor[i] : of.limit;
        total[i] = merged[i] / (before ? whole : limited);
    }
}

// The mean of the deltas above the limit; one that is alone, times its weight
// (https://arxiv.org/abs/2601.13572).
inline void average_changed(const mergesearch::Combination& of, Piece& piece) {
    float *values = piece.values, *total = piece.total;
    float *merged = piece.merged, *changing = piece.divisor;
    for (int index = 0; index < of.count; ++index) {
        const float weight = of.terms[index].weight.all;
        read_term(of, of.terms[index], piece, values);
        for (std::int64_t i = 0; i < piece.count; ++i) {
            const float changes = magnitude(values[i]) > of.limit ? 1.f : 0.f;
            merged[i] = (index == 0 ? 0.f : merged[i]) + values[i] * changes;
            changing[i] = (index == 0 ? 0.f : changing[i]) + changes;
            total[i] = (index == 0 ? 0.f : total[i]) + weight * changes;
        }
    }
    for (std::int64_t i = 0; i < piece.count; ++i) {
        const float mean = merged[i] / (changing[i] > 1.f ? changing[i] : 1.f);
        total[i] = mean * (changing[i] == 1.f ? total[i] : 1.f);
    }
}

// w x + (1 - w) b, w = limit / |x - b| but at most 1.
inline void swap_near(const mergesearch::Combination& of, Piece& piece) {
    constexpr float smallest = 1e-6f;
    read_term(of, of.terms[0], piece, piece.values);
    for (std::int64_t i = 0; i < piece.count; ++i) {
        const float value = piece.values[i], base = piece.base[i];
        const float difference = magnitude(base - value);
        const float ratio = of.limit / (difference > smallest ? difference : smallest);
        const float share = ratio < 1.f ? ratio : 1.f;
        piece.total[i] = share * value + (1.f - share) * base;
    }
}

// Each entry's median.
inline void take_median(const mergesearch::Combination& of, Piece& piece) {
    for (std::int64_t first = 0; first < piece.count; first += summed_together) {
        const std::int64_t count = smaller_of(summed_together, piece.count - first);
        for (int index = 0; index < of.count; ++index) {
            read_floats(of.terms[index].values, piece.start + first, count,
                        of.room + index * summed_together);
        }
        median<float>(of.room, of.count, summed_together, count, piece.total + first);
    }
}

inline void agree(const mergesearch::Combination& of, Piece& piece) {
    using mergesearch::Consensus;
    switch (of.consensus) {
        case Consensus::sum: return add_terms(of, piece);
        case Consensus::elect: return elect_terms<true>(of, piece);
        case Consensus::elect_unweighted: return elect_terms<false>(of, piece);
        case Consensus::changed: return average_changed(of, piece);
        case Consensus::near: return swap_near(of, piece);
        case Consensus::median: return take_median(of, piece);
    }
}

}  // namespace
