#include "kernels.h"

namespace mergesearch {

const Variant& scalar_variant() {
    static constexpr Variant variant = make_variant<Lanes<1, 4>>("scalar");
    return variant;
}

}  // namespace mergesearch
