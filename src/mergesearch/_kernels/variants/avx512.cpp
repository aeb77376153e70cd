#include "kernels.h"

namespace mergesearch {

const Variant& avx512_variant() {
    static constexpr Variant variant = make_variant<16>("avx512");
    return variant;
}

}  // namespace mergesearch
