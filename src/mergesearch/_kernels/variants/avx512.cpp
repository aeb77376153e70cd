#include "kernels.h"

namespace mergesearch {

const Variant& avx512_variant() {
    static constexpr Variant variant = make_variant<Lanes<16, 2>>("avx512");
    return variant;
}

}  // namespace mergesearch
