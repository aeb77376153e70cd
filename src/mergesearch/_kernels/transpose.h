// Rows in memory to lanes: row k becomes lane k.
#pragma once

#include <utility>

#include "lanes.h"

namespace {

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define MERGESEARCH_SHUFFLES
#endif
#endif

#if defined(MERGESEARCH_SHUFFLES)
// Of two rows `step` apart, the quarters that lie across the diagonal change places.
template <int width, int step, int... k>
[[gnu::always_inline]] inline void exchange(typename Vector<width>::Float& upper,
                                            typename Vector<width>::Float& lower,
                                            std::integer_sequence<int, k...>) {
    const auto a = upper, b = lower;
    upper = __builtin_shufflevector(a, b, ((k & step) ? width + k - step : k)...);
    lower = __builtin_shufflevector(a, b, ((k & step) ? width + k : k + step)...);
}

// A square of width rows: exchanges at distance 1, 2, 4 and so on.
template <int width, int step = 1>
[[gnu::always_inline]] inline void transpose(typename Vector<width>::Float (&rows)[width]) {
    if constexpr (step < width) {
        for (int i = 0; i < width; ++i) {
            if (!(i & step)) {
                exchange<width, step>(rows[i], rows[i + step],
                                      std::make_integer_sequence<int, width>{});
            }
        }
        transpose<width, 2 * step>(rows);
    }
}
#endif

// `into[i]` takes element i of the `L::count` rows of `size` values that begin at `starts`.
template <class L, int size>
inline void load_rows(const float* values, const std::int64_t (&starts)[L::count],
                      typename L::Float (&into)[size]) {
    constexpr int width = L::width;
    for (int p = 0; p < L::parts; ++p) {
        const std::int64_t* first = starts + p * width;
#if defined(MERGESEARCH_SHUFFLES)
        if constexpr (width > 1 && size % width == 0) {
            for (int from = 0; from < size; from += width) {
                typename L::FloatVector square[width];
                for (int k = 0; k < width; ++k) {
                    std::memcpy(&square[k], values + first[k] + from, sizeof square[k]);
                }
                transpose<width>(square);
                for (int k = 0; k < width; ++k) into[from + k].part[p] = square[k];
            }
            continue;
        }
#endif
        for (int i = 0; i < size; ++i) {
            float lanes[width];
            for (int k = 0; k < width; ++k) lanes[k] = values[first[k] + i];
            std::memcpy(&into[i].part[p], lanes, sizeof lanes);
        }
    }
}

}  // namespace
