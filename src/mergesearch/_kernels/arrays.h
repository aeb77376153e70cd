// NumPy arrays as the kernels take them. Arrays are taken as they are: a silent copy would hide a
// wrong dtype or layout.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <vector>

#include "variant.h"

namespace nb = nanobind;

template <class Number, std::size_t dims>
using Array = nb::ndarray<Number, nb::ndim<dims>, nb::c_contig, nb::device::cpu>;
template <class Number>
using AnyShape = nb::ndarray<Number, nb::c_contig, nb::device::cpu>;
// float32, float16, or uint16 that holds the bits of bfloat16; of any shape.
using Values = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using MaybeValues = std::optional<Values>;

inline void require(bool holds, const char* what) {
    if (!holds) {
        throw std::invalid_argument(what);
    }
}

inline std::int64_t size_of(const Values& values) {
    return static_cast<std::int64_t>(values.size());
}

template <class Any>
std::int64_t length(const Any& array, std::size_t dimension) {
    return static_cast<std::int64_t>(array.shape(dimension));
}

inline mergesearch::Stored stored(const Values& values, std::int64_t entries) {
    using mergesearch::Dtype;
    require(size_of(values) == entries, "arrays of different sizes");
    const auto* bytes = static_cast<const std::uint8_t*>(values.data());
    if (values.dtype() == nb::dtype<float>()) {
        return {bytes, Dtype::f32};
    }
    if (values.dtype() == nb::dtype<std::uint16_t>()) {
        return {bytes, Dtype::bf16};
    }
    require(values.dtype().code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float) &&
                values.dtype().bits == 16,
            "stored values are float32, float16 or uint16");
    return {bytes, Dtype::f16};
}

inline mergesearch::Stored stored(const MaybeValues& values, std::int64_t entries) {
    return values ? stored(*values, entries)
                  : mergesearch::Stored{nullptr, mergesearch::Dtype::f32};
}

// Adds the kernels of merging to the class of variants, and what they are told.
void bind_merging(nb::module_& module, nb::class_<mergesearch::Variant>& variant);
