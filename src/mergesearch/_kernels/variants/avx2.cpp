#include "kernels.h"

namespace mergesearch {

const Variant& avx2_variant() {
    static constexpr Variant variant = make_variant<Lanes<8, 2>>("avx2");
    return variant;
}

}  // namespace mergesearch
