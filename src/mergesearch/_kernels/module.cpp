// The Python module `_native`: variants, and their kernels on NumPy arrays.
#include <nanobind/stl/tuple.h>

#include <tuple>

#include "arrays.h"
#include "dispatch.h"

using namespace nb::literals;
using mergesearch::Format;
using mergesearch::Variant;

namespace {

using Weights = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Blocks = nb::ndarray<std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Tables = nb::ndarray<std::uint32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

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

// Weight, factor, and the cut's bits and end of ties.
using TermSettings = std::tuple<double, double, std::uint32_t, std::int64_t>;

std::int64_t combine(const Variant& variant, int number, const std::vector<Values>& inputs,
                     const std::optional<Values>& base, const std::vector<TermSettings>& settings,
                     double divisor, double scale, bool elect, bool normalize, std::int64_t offset,
                     Blocks into) {
    const auto format = static_cast<Format>(number);
    const auto shape = mergesearch::block_shape(format);
    if (inputs.empty() || inputs.size() != settings.size()) {
        throw std::invalid_argument("not as many settings as inputs, or none");
    }
    const std::int64_t entries = size_of(inputs[0]);
    if (shape.elements == 0 || (elect && !base)) {
        throw std::invalid_argument("not a type of blocks, or deltas without a base");
    }
    // Rows of whole blocks, so that their ends do not matter to the kernel.
    if (static_cast<std::int64_t>(into.size()) * shape.elements != entries * shape.bytes ||
        static_cast<std::int64_t>(into.shape(1)) % shape.bytes) {
        throw std::invalid_argument("the blocks' array does not fit the inputs");
    }
    const auto size = entries;
    std::vector<std::vector<std::uint32_t>> masks;
    std::vector<mergesearch::Term> terms;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const auto& [weight, factor, lowest, ties_end] = settings[i];
        const auto values = stored(inputs[i], size);
        masks.emplace_back(static_cast<std::size_t>(mergesearch::mask_words(size)));
        if (elect) {
            variant.cut_mask(values, stored(base, size), offset, size, {lowest, ties_end},
                             masks.back().data());
        }
        terms.push_back({values,
                         elect ? masks.back().data() : nullptr,
                         elect ? static_cast<float>(factor) : 1.f,
                         {static_cast<float>(weight), nullptr}});
    }
    using mergesearch::Consensus;
    const mergesearch::Combination of{terms.data(),
                                      static_cast<int>(terms.size()),
                                      stored(base, size),
                                      elect ? Consensus::elect : Consensus::sum,
                                      base.has_value(),
                                      normalize,
                                      0.f,
                                      static_cast<float>(divisor),
                                      {static_cast<float>(scale), nullptr},
                                      {1.f, nullptr},
                                      size,
                                      false,
                                      nullptr};
    return variant.combine(of, format, size, into.data());
}

void read_rows(const Variant& variant, const Values& values, Floats into) {
    const std::int64_t entries = size_of(values);
    if (static_cast<std::int64_t>(into.size()) != entries) {
        throw std::invalid_argument("arrays of different sizes");
    }
    variant.read(stored(values, entries), entries, into.data());
}

void count_digits(const Variant& variant, const Values& values, const std::optional<Values>& base,
                  std::uint32_t prefix, int shift, Tables tables) {
    const std::int64_t entries = size_of(values);
    int width = 0;
    while ((std::size_t{1} << width) < tables.shape(1)) {
        ++width;
    }
    if ((std::size_t{1} << width) != tables.shape(1) || shift < 0 || shift + width > 31 ||
        tables.shape(0) != mergesearch::digit_tables) {
        throw std::invalid_argument("four tables of a digit in the lower 31 bits");
    }
    variant.count_digits(stored(values, entries), stored(base, entries), entries,
                         {prefix, shift, width}, tables.data());
}

std::int64_t find_equal(const Variant& variant, const Values& values,
                        const std::optional<Values>& base, std::uint32_t bits,
                        std::int64_t wanted) {
    const std::int64_t entries = size_of(values);
    if (wanted < 1) {
        throw std::invalid_argument("entries are counted from 1");
    }
    return variant.find_equal(stored(values, entries), stored(base, entries), entries, bits,
                              wanted);
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
        .def("combine", combine, "kind"_a, "inputs"_a, "base"_a.none(), "terms"_a, "divisor"_a,
             "scale"_a, "elect"_a, "normalize"_a, "offset"_a, "into"_a.noconvert(), Unlocked())
        .def("read", read_rows, "values"_a, "into"_a.noconvert(), Unlocked())
        .def("count_digits", count_digits, "values"_a, "base"_a.none(), "prefix"_a, "shift"_a,
             "tables"_a.noconvert(), Unlocked())
        .def("find_equal", find_equal, "values"_a, "base"_a.none(), "bits"_a, "wanted"_a,
             Unlocked());
    bind_merging(kernels);
    module.attr("DIGIT_TABLES") = mergesearch::digit_tables;
    module.def("supported_variants", mergesearch::supported_variants, nb::rv_policy::reference);
}
