// The Python module `_native`: variants, and their kernels on NumPy arrays.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>

#include "dispatch.h"

namespace nb = nanobind;
using namespace nb::literals;
using mergesearch::Format;
using mergesearch::Variant;

namespace {

using Weights = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Blocks = nb::ndarray<std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

std::int64_t first_nonfinite(const Variant& variant, Rows rows) {
    return variant.first_nonfinite(rows.data(), static_cast<std::int64_t>(rows.size()));
}

void quantize(const Variant& variant, int number, Rows rows, Blocks into,
              std::optional<Weights> importance) {
    const auto format = static_cast<Format>(number);
    const auto shape = mergesearch::block_shape(format);
    const auto count = static_cast<std::int64_t>(rows.shape(0));
    const auto cols = static_cast<std::int64_t>(rows.shape(1));
    if (shape.elements == 0) {
        throw std::invalid_argument("not the number of a type that the kernels quantize to");
    }
    if (cols % shape.elements || into.shape(0) != rows.shape(0) ||
        static_cast<std::int64_t>(into.shape(1)) != cols / shape.elements * shape.bytes) {
        throw std::invalid_argument("the blocks' array does not fit the rows");
    }
    if (importance && static_cast<std::int64_t>(importance->shape(0)) != cols) {
        throw std::invalid_argument("importance does not have one weight per column");
    }
    variant.quantize(format, rows.data(), count, cols, importance ? importance->data() : nullptr,
                     into.data());
}

}  // namespace

NB_MODULE(_native, module) {
    // Whatever still holds a variant when the interpreter ends (a cache, a thread) is no leak.
    nb::set_leak_warnings(false);
    // Arrays are taken as they are: a silent copy would hide a wrong dtype or layout.
    using Unlocked = nb::call_guard<nb::gil_scoped_release>;
    nb::class_<Variant>(module, "Variant")
        .def_prop_ro("name", [](const Variant& variant) { return variant.name; })
        .def("first_nonfinite", first_nonfinite, "rows"_a.noconvert(), Unlocked())
        .def("quantize", quantize, "kind"_a, "rows"_a.noconvert(), "into"_a.noconvert(),
             "importance"_a.noconvert().none() = nb::none(), Unlocked());
    module.def("supported_variants", mergesearch::supported_variants, nb::rv_policy::reference);
}
