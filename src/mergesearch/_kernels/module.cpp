// The Python module `_native`: variants, and their kernels on NumPy arrays.
#include "arrays.h"
#include "dispatch.h"

using namespace nb::literals;
using mergesearch::Format;
using mergesearch::Variant;

namespace {

std::int64_t first_nonfinite(const Variant& variant, Array<const float, 2> rows) {
    return variant.first_nonfinite(rows.data(), static_cast<std::int64_t>(rows.size()));
}

void quantize(const Variant& variant, int number, Array<const float, 2> rows,
              Array<std::uint8_t, 2> into, std::optional<Array<const float, 1>> importance) {
    const auto format = static_cast<Format>(number);
    const auto shape = mergesearch::block_shape(format);
    const std::int64_t count = length(rows, 0), cols = length(rows, 1);
    require(shape.elements != 0, "not the number of a type that the kernels quantize to");
    require(cols % shape.elements == 0 && length(into, 0) == count &&
                length(into, 1) == cols / shape.elements * shape.bytes,
            "the blocks' array does not fit the rows");
    require(!importance || length(*importance, 0) == cols,
            "importance does not have one weight per column");
    variant.quantize(format, rows.data(), count, cols, importance ? importance->data() : nullptr,
                     into.data());
}

void dequantize(const Variant& variant, int number, Array<const std::uint8_t, 2> blocks,
                Array<float, 2> into) {
    const auto format = static_cast<Format>(number);
    const auto shape = mergesearch::block_shape(format);
    const std::int64_t count = length(into, 0), cols = length(into, 1);
    require(shape.elements != 0, "not the number of a type that the kernels dequantize");
    require(cols % shape.elements == 0 && length(blocks, 0) == count &&
                length(blocks, 1) == cols / shape.elements * shape.bytes,
            "the blocks' array does not fit the rows");
    variant.dequantize(format, blocks.data(), count * cols, into.data());
}

void log_sums(const Variant& variant, Array<const float, 2> logits, Array<std::int64_t, 1> best,
              Array<double, 1> into) {
    const std::int64_t rows = length(logits, 0);
    require(length(logits, 1) > 0 && length(best, 0) == rows && length(into, 0) == rows,
            "not one result for each row");
    variant.log_sums(logits.data(), rows, length(logits, 1), best.data(), into.data());
}

}  // namespace

NB_MODULE(_native, module) {
    // Whatever still holds a variant when the interpreter ends (a cache, a thread) is no leak.
    nb::set_leak_warnings(false);
    using Unlocked = nb::call_guard<nb::gil_scoped_release>;
    nb::class_<Variant> kernels(module, "Variant");
    kernels.def_prop_ro("name", [](const Variant& variant) { return variant.name; })
        .def("first_nonfinite", first_nonfinite, "rows"_a.noconvert(), Unlocked())
        .def("quantize", quantize, "kind"_a, "rows"_a.noconvert(), "into"_a.noconvert(),
             "importance"_a.noconvert().none() = nb::none(), Unlocked())
        .def("dequantize", dequantize, "kind"_a, "blocks"_a.noconvert(), "into"_a.noconvert(),
             Unlocked())
        .def("log_sums", log_sums, "logits"_a.noconvert(), "best"_a.noconvert(),
             "into"_a.noconvert(), Unlocked());
    bind_merging(module, kernels);
    module.def("supported_variants", mergesearch::supported_variants, nb::rv_policy::reference);
}
