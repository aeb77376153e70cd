// What a quantizing kernel reads.
#pragma once

#include <cstdint>

namespace {

// `importance` is the importance matrix's one row of `cols` weights, or null.
struct Source {
    const float* values;
    std::int64_t rows;
    std::int64_t cols;
    const float* importance;
};

}  // namespace
