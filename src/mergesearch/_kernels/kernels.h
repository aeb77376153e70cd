// The kernels as templates over `Lanes`. Included once by each file in variants/.
//
// Everything in these headers has internal linkage, and of the standard library they use C functions
// and types only, no function templates: the linker would keep one copy of a function that several
// variants share, perhaps the one with instructions that the processor lacks.
#pragma once

#include "finite.h"
#include "lanes.h"
#include "logits.h"
#include "merge/combine.h"
#include "merge/counts.h"
#include "merge/divergence.h"
#include "merge/gram.h"
#include "merge/ranks.h"
#include "merge/sums.h"
#include "quantize/dequantize.h"
#include "quantize/quantize.h"
#include "variant.h"

namespace {

template <class L>
constexpr mergesearch::Variant make_variant(const char* name) {
    return {name,      first_nonfinite, quantize_rows<L>, dequantize,      combine_rows<L>,
            read_rows, count_digits,    find_equal,       random_mask,     cut_mask,
            rank_mask, sum_magnitudes,  gram_of_rows,     gram_of_columns, squares,
            variances, divergences,     importances,      log_sums};
}

}  // namespace
