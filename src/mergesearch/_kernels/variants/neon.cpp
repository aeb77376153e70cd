#include "kernels.h"

namespace mergesearch {

const Variant& neon_variant() {
    static constexpr Variant variant = make_variant<Lanes<4, 4>>("neon");
    return variant;
}

}  // namespace mergesearch
