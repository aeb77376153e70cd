// Combines what stands on standard input with the NEON and the scalar variant, without Python.
// Input, once: entries and elect (int64 each), a base in float16, and inputs in bfloat16, float16
// and float32. Output: the float32 rows of both variants, and the counts of their upper digit.
#include <cstdio>
#include <vector>

#include "standard_input.h"
#include "variant.h"

int main() {
    using namespace mergesearch;
    const auto head = read<std::int64_t>(2);
    const std::int64_t entries = head[0];
    const auto base = read<std::uint8_t>(2 * entries), first = read<std::uint8_t>(2 * entries);
    const auto second = read<std::uint8_t>(2 * entries), third = read<std::uint8_t>(4 * entries);
    const Cut cut{0x3f000000u, entries / 2};
    const Term terms[3] = {{{first.data(), Dtype::bf16}, 0.3f, cut, 1.25f},
                           {{second.data(), Dtype::f16}, -0.9f, cut, 1.f},
                           {{third.data(), Dtype::f32}, 0.7f, cut, 1.f}};
    const bool elect = head[1] != 0;
    const Combination of{terms, 3, {base.data(), Dtype::f16}, elect, elect, elect ? 1.f : 1.7f,
                         0.8f,  0};
    for (const Variant* variant : {&neon_variant(), &scalar_variant()}) {
        std::vector<std::uint8_t> rows(4 * entries);
        variant->combine(of, Format::f32, entries, rows.data());
        std::fwrite(rows.data(), 1, rows.size(), stdout);
        std::vector<std::uint32_t> tables(digit_tables << 11);
        variant->count_digits(terms[0].values, of.base, entries, {0, 20, 11}, tables.data());
        std::fwrite(tables.data(), sizeof tables[0], tables.size(), stdout);
    }
}
