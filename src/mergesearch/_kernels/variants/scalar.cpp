#include "kernels.h"

namespace mergesearch {

const Variant& scalar_variant() {
    static constexpr Variant variant = make_variant<1>("scalar");
    return variant;
}

}  // namespace mergesearch
