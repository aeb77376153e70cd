// Inner products of the terms, in float64.
#pragma once

#include "merge/median.h"
#include "merge/sums.h"

namespace {

using mergesearch::pairs_of;

// Up to 128 entries of every term, and all products at every halving.
struct GramRoom {
    double* wide;
    float* floats;
    double* sums;

    explicit GramRoom(const mergesearch::Vectors& of)
        : wide(of.room),
          floats(reinterpret_cast<float*>(wide + summed_together * of.count)),
          sums(wide + 2 * summed_together * of.count) {}
};

// Up to 128 entries of every term in float64, 128 apart.
inline void read_vectors(const mergesearch::Vectors& of, std::int64_t start, std::int64_t count,
                         const GramRoom& room) {
    for (int index = 0; index < of.count; ++index) {
        float* values = room.floats + index * summed_together;
        read_deltas(of.terms[index].values, of.base, start, count, values);
        if (of.terms[index].kept) {
            apply_mask(of.terms[index].kept, start, count, values);
        }
        for (std::int64_t i = 0; i < count; ++i) {
            room.wide[index * summed_together + i] = double{values[i]};
        }
    }
}

// The mean of the terms, entry by entry.
inline void mean_of_vectors(const mergesearch::Vectors& of, std::int64_t count,
                            const GramRoom& room, double* into) {
    for (int index = 0; index < of.count; ++index) {
        const double* values = room.wide + index * summed_together;
        for (std::int64_t i = 0; i < count; ++i) {
            into[i] = index == 0 ? values[i] : into[i] + values[i];
        }
    }
    for (std::int64_t i = 0; i < count; ++i) {
        into[i] /= of.count;
    }
}

// Moves the origin to the middle between the terms' mean and their entrywise median.
inline void see_from_middle(const mergesearch::Vectors& of, std::int64_t count,
                            const GramRoom& room) {
    double middle[summed_together], mean[summed_together];
    median<double>(room.floats, of.count, summed_together, count, middle);
    mean_of_vectors(of, count, room, mean);
    for (int index = 0; index < of.count; ++index) {
        double* values = room.wide + index * summed_together;
        for (std::int64_t i = 0; i < count; ++i) {
            values[i] -= (mean[i] + middle[i]) / 2;
        }
    }
}

// All products of `entries` entries from `start` on: of each term with those before it and itself.
inline void sum_products(const mergesearch::Vectors& of, std::int64_t start, std::int64_t entries,
                         double* into) {
    const GramRoom room(of);
    const auto few = [&](std::int64_t first, std::int64_t count, double* sums) {
        read_vectors(of, first, count, room);
        if (of.from_middle) {
            see_from_middle(of, count, room);
        }
        for (int row = 0; row < of.count; ++row) {
            const double* one = room.wide + row * summed_together;
            for (int col = 0; col <= row; ++col) {
                const double* other = room.wide + col * summed_together;
                *sums++ = sum_of_few(count, [=](std::int64_t i) { return one[i] * other[i]; });
            }
        }
    };
    const int sums = static_cast<int>(pairs_of(of.count));
    add_up(start, entries, sums, few, room.sums, into);
    for (int sum = 0; sum < sums; ++sum) {
        into[sum] += 0.0;  // which leaves no negative zero
    }
}

// The sum of each term's squares.
inline void squares(const mergesearch::Vectors& of, std::int64_t entries, double* into) {
    const GramRoom room(of);
    const auto few = [&](std::int64_t start, std::int64_t count, double* sums) {
        read_vectors(of, start, count, room);
        for (int index = 0; index < of.count; ++index) {
            const double* values = room.wide + index * summed_together;
            sums[index] = sum_of_few(count, [=](std::int64_t i) { return values[i] * values[i]; });
        }
    };
    add_up(0, entries, of.count, few, room.sums, into);
}

// Over each row by itself, or over all entries where they are one row.
inline void gram_of_rows(const mergesearch::Vectors& of, std::int64_t rows, std::int64_t cols,
                         double* into) {
    for (std::int64_t row = 0; row < rows; ++row) {
        sum_products(of, row * cols, cols, into + row * pairs_of(of.count));
    }
}

// Over each column: of each pair as many sums as there are columns.
inline void gram_of_columns(const mergesearch::Vectors& of, std::int64_t rows, std::int64_t cols,
                            double* into) {
    const GramRoom room(of);
    std::memset(into, 0, static_cast<std::size_t>(pairs_of(of.count) * cols) * sizeof *into);
    for (std::int64_t start = 0; start < rows * cols; start += cols) {
        for (std::int64_t first = 0; first < cols; first += summed_together) {
            const std::int64_t count = smaller_of(summed_together, cols - first);
            read_vectors(of, start + first, count, room);
            double* sums = into + first;
            for (int row = 0; row < of.count; ++row) {
                const double* one = room.wide + row * summed_together;
                for (int col = 0; col <= row; ++col, sums += cols) {
                    const double* other = room.wide + col * summed_together;
                    for (std::int64_t i = 0; i < count; ++i) {
                        sums[i] += one[i] * other[i];
                    }
                }
            }
        }
    }
}

// Population variance of each entry between the terms.
inline void variances(const mergesearch::Vectors& of, std::int64_t entries, float* into) {
    const GramRoom room(of);
    double mean[summed_together], sums[summed_together];
    for (std::int64_t start = 0; start < entries; start += summed_together) {
        const std::int64_t count = smaller_of(summed_together, entries - start);
        read_vectors(of, start, count, room);
        mean_of_vectors(of, count, room, mean);
        for (int index = 0; index < of.count; ++index) {
            const double* values = room.wide + index * summed_together;
            for (std::int64_t i = 0; i < count; ++i) {
                const double apart = values[i] - mean[i];
                sums[i] = index == 0 ? apart * apart : sums[i] + apart * apart;
            }
        }
        for (std::int64_t i = 0; i < count; ++i) {
            into[start + i] = static_cast<float>(sums[i] / of.count);
        }
    }
}

}  // namespace
