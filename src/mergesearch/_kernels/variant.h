// The kernels of one instruction set, as a table of functions.
#pragma once

#include <cstdint>

namespace mergesearch {

// Arrays are C-contiguous and need no alignment. No kernel touches Python: all run without the
// interpreter's lock, in as many threads as the caller likes.
struct Variant {
    const char* name;

    // Index of the first NaN or infinity, -1 where all values are finite.
    std::int64_t (*first_nonfinite)(const float* values, std::int64_t count);
};

const Variant& scalar_variant();
const Variant& avx2_variant();
const Variant& avx512_variant();
const Variant& neon_variant();

}  // namespace mergesearch
