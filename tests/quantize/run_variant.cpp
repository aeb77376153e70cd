// Quantizes, and dequantizes again, what stands on standard input with the NEON and the scalar variant, without Python.
// Input: format, rows, cols, whether there is importance (int64 each), importance, rows.
// Output: the blocks of both variants, each followed by their values again in float32.
#include <cstdio>
#include <vector>

#include "standard_input.h"
#include "variant.h"

int main() {
    using namespace mergesearch;
    for (auto head = read<std::int64_t>(4); !head.empty(); head = read<std::int64_t>(4)) {
        const auto format = static_cast<Format>(head[0]);
        const std::int64_t rows = head[1], cols = head[2];
        const auto importance = read<float>(head[3] ? cols : 0);
        const auto values = read<float>(rows * cols);
        const BlockShape shape = block_shape(format);
        std::vector<std::uint8_t> blocks(rows * cols / shape.elements * shape.bytes);
        for (const Variant* variant : {&neon_variant(), &scalar_variant()}) {
            variant->quantize(format, values.data(), rows, cols,
                              head[3] ? importance.data() : nullptr, blocks.data());
            std::fwrite(blocks.data(), 1, blocks.size(), stdout);
            std::vector<float> again(values.size());
            variant->dequantize(format, blocks.data(), rows * cols, again.data());
            std::fwrite(again.data(), sizeof(float), again.size(), stdout);
        }
    }
}
