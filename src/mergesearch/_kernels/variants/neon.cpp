#include "kernels.h"

namespace mergesearch {

const Variant& neon_variant() {
    static constexpr Variant variant = make_variant<8>("neon");
    return variant;
}

}  // namespace mergesearch
