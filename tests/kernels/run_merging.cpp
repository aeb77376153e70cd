// Runs every kernel of merging on what stands on standard input, without Python.
// Input: rows and cols (int64 each), a base in float16, inputs in bfloat16, float16 and float32.
// Output of the NEON and then the scalar variant: masks, sums and float32 rows, as `found_here` in
// test_merging_neon.py lists them.
#include <cstdio>
#include <vector>

#include "standard_input.h"
#include "variant.h"

using namespace mergesearch;

template <class Number>
void write(const std::vector<Number>& numbers) {
    std::fwrite(numbers.data(), sizeof(Number), numbers.size(), stdout);
}

int main() {
    const auto head = read<std::int64_t>(2);
    const std::int64_t rows = head[0], cols = head[1], entries = rows * cols;
    const auto half = read<std::uint8_t>(2 * entries), first = read<std::uint8_t>(2 * entries);
    const auto second = read<std::uint8_t>(2 * entries), third = read<std::uint8_t>(4 * entries);
    const Stored base{half.data(), Dtype::f16}, one{first.data(), Dtype::bf16};
    std::vector<std::uint32_t> thresholds;
    for (std::int64_t i = 0; i < cols; ++i) {
        thresholds.push_back(static_cast<std::uint32_t>(((i + 1) << 31) / cols));
    }
    for (const Variant* variant : {&neon_variant(), &scalar_variant()}) {
        std::vector<std::uint32_t> random(mask_words(entries)), cut(random), ranks(random);
        variant->random_mask({3, 4}, 5, entries, 1u << 31, random.data());
        variant->cut_mask(one, base, 7, entries, {0x3f000000u, entries / 2}, cut.data());
        std::vector<std::uint64_t> room(rank_room(cols));
        variant->rank_mask(one, base, 0, rows, cols, {3, 4}, thresholds.data(), room.data(),
                           ranks.data());
        write(random);
        write(cut);
        write(ranks);

        std::vector<std::uint32_t> tables(digit_tables << 11);
        variant->count_digits(one, base, entries, {0, 20, 11}, tables.data());
        write(tables);

        std::vector<double> sums(2), products(6), columns(6 * cols), place(gram_room(3));
        variant->sum_magnitudes(one, base, entries, ranks.data(), sums.data());
        const Term terms[3] = {{one, random.data(), 1.25f, {0.3f, nullptr}},
                               {{second.data(), Dtype::f16}, cut.data(), 1.f, {-0.9f, nullptr}},
                               {{third.data(), Dtype::f32}, nullptr, 1.f, {0.7f, nullptr}}};
        const Term whole[3] = {{terms[0].values, nullptr, 1.f, {1.f, nullptr}},
                               {terms[1].values, nullptr, 1.f, {1.f, nullptr}},
                               {terms[2].values, nullptr, 1.f, {1.f, nullptr}}};
        variant->gram_of_rows({whole, 3, {nullptr, Dtype::f32}, true, place.data()}, 1, entries,
                              products.data());
        const Vectors vectors{whole, 3, base, false, place.data()};
        variant->gram_of_columns(vectors, rows, cols, columns.data());
        write(sums);
        write(products);
        write(columns);

        std::vector<double> squares(3), log_sums(rows);
        std::vector<std::int64_t> best(rows);
        variant->squares(vectors, entries, squares.data());
        variant->log_sums(reinterpret_cast<const float*>(third.data()), rows, cols, best.data(),
                          log_sums.data());
        write(squares);
        write(best);
        write(log_sums);

        std::vector<float> variances(entries), divergences(rows), importances(entries);
        std::vector<double> two_rows(2 * cols);
        variant->variances(vectors, entries, variances.data());
        variant->divergences(one, base, rows, cols, two_rows.data(), divergences.data());
        variant->importances(one, base, rows, cols, divergences.data(), importances.data());
        write(variances);
        write(divergences);
        write(importances);

        std::vector<float> for_medians(median_room(3));
        for (int consensus = 0; consensus < 6; ++consensus) {
            const auto kind = static_cast<Consensus>(consensus);
            const bool near = kind == Consensus::near, median = kind == Consensus::median;
            const Combination of{terms,
                                 near ? 1 : 3,
                                 median ? Stored{nullptr, Dtype::f32} : base,
                                 kind,
                                 !near && !median,
                                 true,
                                 0.25f,
                                 1.7f,
                                 {0.8f, nullptr},
                                 {1.f, nullptr},
                                 cols,
                                 false,
                                 for_medians.data()};
            std::vector<std::uint8_t> merged(4 * entries);
            variant->combine(of, Format::f32, entries, merged.data());
            write(merged);
        }
    }
}
