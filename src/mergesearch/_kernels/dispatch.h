// Which variants this build holds and this processor runs.
#pragma once

#include <vector>

#include "variant.h"

namespace mergesearch {

// Fastest first; the scalar variant is always there and always last.
std::vector<const Variant*> supported_variants();

}  // namespace mergesearch
