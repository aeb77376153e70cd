// The kernels as templates over the number of lanes. Included once by each file in variants/.
//
// Everything in these headers has internal linkage, and no function template of the standard
// library is used: the linker would keep only one copy of a function that several variants share,
// perhaps the one with instructions that the processor lacks.
#pragma once

#include "finite.h"
#include "quantize/quantize.h"
#include "variant.h"

namespace {

template <int lanes>
constexpr mergesearch::Variant make_variant(const char* name) {
    return {name, first_nonfinite, quantize_rows<lanes>};
}

}  // namespace
