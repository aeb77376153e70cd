#include "kernels.h"

namespace mergesearch {

const Variant& avx2_variant() {
    static constexpr Variant variant = make_variant<8>("avx2");
    return variant;
}

}  // namespace mergesearch
