// The Python module `_native`: variants, and their kernels on NumPy arrays.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include "dispatch.h"

namespace nb = nanobind;
using namespace nb::literals;
using mergesearch::Variant;

namespace {

using Rows = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

std::int64_t first_nonfinite(const Variant& variant, Rows rows) {
    return variant.first_nonfinite(rows.data(), static_cast<std::int64_t>(rows.size()));
}

}  // namespace

NB_MODULE(_native, module) {
    // Arrays are taken as they are: a silent copy would hide a wrong dtype or layout.
    using Unlocked = nb::call_guard<nb::gil_scoped_release>;
    nb::class_<Variant>(module, "Variant")
        .def_prop_ro("name", [](const Variant& variant) { return variant.name; })
        .def("first_nonfinite", first_nonfinite, "rows"_a.noconvert(), Unlocked());
    module.def("supported_variants", mergesearch::supported_variants, nb::rv_policy::reference);
}
