// The kernels of merging on NumPy arrays.
#include "arrays.h"

using namespace nb::literals;
using mergesearch::Variant;

namespace {

using Mask = Array<std::uint32_t, 1>;
using Kept = Array<const std::uint32_t, 1>;
using Factors = Array<const float, 1>;

const std::uint32_t* words_of(const std::optional<Kept>& kept, std::int64_t entries) {
    require(!kept || length(*kept, 0) == mergesearch::mask_words(entries),
            "a mask of another size");
    return kept ? kept->data() : nullptr;
}

std::uint32_t* words_of(const Mask& kept, std::int64_t entries) {
    require(length(kept, 0) == mergesearch::mask_words(entries), "a mask of another size");
    return kept.data();
}

std::vector<mergesearch::Term> terms_of(const std::vector<Values>& inputs, std::int64_t entries) {
    require(!inputs.empty(), "no inputs");
    std::vector<mergesearch::Term> terms;
    for (const Values& values : inputs) {
        terms.push_back({stored(values, entries), nullptr, 1.f, {1.f, nullptr}});
    }
    return terms;
}

// One factor for all, or one for each row or column.
mergesearch::Factor factor_of(const float* values, std::int64_t count, std::int64_t of_each) {
    require(count == 1 || count == of_each, "neither one factor nor one for each row or column");
    return count == 1 ? mergesearch::Factor{*values, nullptr} : mergesearch::Factor{1.f, values};
}

std::int64_t combine(const Variant& variant, int number, const std::vector<Values>& inputs,
                     const MaybeValues& base, const std::vector<std::optional<Kept>>& kept,
                     const Factors& factors, const Array<const float, 2>& weights,
                     mergesearch::Consensus consensus, bool deltas, bool normalize, double limit,
                     double divisor, const Factors& scale, const Factors& base_scale,
                     bool by_column, Array<std::uint8_t, 2> into) {
    using mergesearch::Consensus;
    const auto format = static_cast<mergesearch::Format>(number);
    const auto shape = mergesearch::block_shape(format);
    const auto count = static_cast<std::int64_t>(inputs.size());
    require(shape.elements != 0, "not the number of a type that the kernels write");
    require(!inputs.empty() && inputs[0].ndim() == 2, "inputs are rows");
    const std::int64_t rows = length(inputs[0], 0), cols = length(inputs[0], 1);
    require(length(into, 0) == rows && cols % shape.elements == 0 &&
                length(into, 1) == cols / shape.elements * shape.bytes,
            "the blocks' array does not fit the inputs");
    require(static_cast<std::int64_t>(kept.size()) == count && length(factors, 0) == count &&
                length(weights, 0) == count,
            "not as many masks, factors or weights as inputs");
    require(base || !deltas, "deltas without a base");
    const std::int64_t of_each = by_column ? cols : rows;
    const std::int64_t weighed = length(weights, 1);
    auto terms = terms_of(inputs, rows * cols);
    for (std::int64_t i = 0; i < count; ++i) {
        auto& term = terms[static_cast<std::size_t>(i)];
        term.kept = words_of(kept[static_cast<std::size_t>(i)], rows * cols);
        term.factor = factors.data()[i];
        term.weight = factor_of(weights.data() + i * weighed, weighed, of_each);
    }
    require(consensus == Consensus::sum || weighed == 1,
            "weights of each row or column are summed");
    require(consensus != Consensus::near || (base && !deltas && count == 1),
            "one input near a base");
    std::vector<float> room(consensus == Consensus::median
                                ? static_cast<std::size_t>(mergesearch::median_room(count))
                                : 0);
    const mergesearch::Combination of{terms.data(),
                                      static_cast<int>(count),
                                      stored(base, rows * cols),
                                      consensus,
                                      deltas,
                                      normalize,
                                      static_cast<float>(limit),
                                      static_cast<float>(divisor),
                                      factor_of(scale.data(), length(scale, 0), of_each),
                                      factor_of(base_scale.data(), length(base_scale, 0), of_each),
                                      cols,
                                      by_column,
                                      room.data()};
    return variant.combine(of, format, rows * cols, into.data());
}

void read_rows(const Variant& variant, const Values& values, AnyShape<float> into) {
    const std::int64_t entries = size_of(values);
    require(static_cast<std::int64_t>(into.size()) == entries, "arrays of different sizes");
    variant.read(stored(values, entries), entries, into.data());
}

void count_digits(const Variant& variant, const Values& values, const MaybeValues& base,
                  std::uint32_t prefix, int shift, Array<std::uint32_t, 2> tables) {
    const std::int64_t entries = size_of(values);
    int width = 0;
    while ((std::int64_t{1} << width) < length(tables, 1)) {
        ++width;
    }
    require((std::int64_t{1} << width) == length(tables, 1) && shift >= 0 && shift + width <= 31 &&
                length(tables, 0) == mergesearch::digit_tables,
            "four tables of a digit in the lower 31 bits");
    variant.count_digits(stored(values, entries), stored(base, entries), entries,
                         {prefix, shift, width}, tables.data());
}

std::int64_t find_equal(const Variant& variant, const Values& values, const MaybeValues& base,
                        std::uint32_t bits, std::int64_t wanted) {
    const std::int64_t entries = size_of(values);
    require(wanted >= 1, "entries are counted from 1");
    return variant.find_equal(stored(values, entries), stored(base, entries), entries, bits,
                              wanted);
}

void random_mask(const Variant& variant, std::uint64_t low, std::uint64_t high, std::int64_t offset,
                 std::int64_t entries, std::uint32_t below, Mask kept) {
    variant.random_mask({low, high}, offset, entries, below, words_of(kept, entries));
}

void cut_mask(const Variant& variant, const Values& values, const MaybeValues& base,
              std::int64_t offset, std::uint32_t bits, std::int64_t ties_end, Mask kept) {
    const std::int64_t entries = size_of(values);
    variant.cut_mask(stored(values, entries), stored(base, entries), offset, entries,
                     {bits, ties_end}, words_of(kept, entries));
}

void rank_mask(const Variant& variant, const Values& values, const MaybeValues& base,
               std::int64_t offset, std::uint64_t low, std::uint64_t high,
               const Array<const std::uint32_t, 1>& thresholds, Mask kept) {
    const std::int64_t entries = size_of(values), cols = length(thresholds, 0);
    require(cols > 0 && entries % cols == 0, "not one threshold for each entry of a row");
    std::vector<std::uint64_t> room(static_cast<std::size_t>(mergesearch::rank_room(cols)));
    variant.rank_mask(stored(values, entries), stored(base, entries), offset, entries / cols, cols,
                      {low, high}, thresholds.data(), room.data(), words_of(kept, entries));
}

std::pair<double, double> sum_magnitudes(const Variant& variant, const Values& values,
                                         const MaybeValues& base, const Kept& kept) {
    const std::int64_t entries = size_of(values);
    double sums[2];
    variant.sum_magnitudes(stored(values, entries), stored(base, entries), entries,
                           words_of(std::optional<Kept>(kept), entries), sums);
    return {sums[0], sums[1]};
}

// Inputs as vectors, with the room to work on them.
struct Held {
    std::vector<mergesearch::Term> terms;
    std::vector<double> room;
    mergesearch::Vectors vectors;

    Held(const std::vector<Values>& inputs, const MaybeValues& base, std::int64_t entries,
         bool from_middle = false)
        : terms(terms_of(inputs, entries)),
          room(static_cast<std::size_t>(
              mergesearch::gram_room(static_cast<std::int64_t>(inputs.size())))),
          vectors{terms.data(), static_cast<int>(terms.size()), stored(base, entries), from_middle,
                  room.data()} {}
};

void gram(const Variant& variant, const std::vector<Values>& inputs, const MaybeValues& base,
          bool from_middle, Array<double, 2> into) {
    const std::int64_t entries = inputs.empty() ? 0 : size_of(inputs[0]), rows = length(into, 0);
    require(rows > 0 && entries % rows == 0 &&
                length(into, 1) == mergesearch::pairs_of(static_cast<std::int64_t>(inputs.size())),
            "not one sum for each pair");
    Held held(inputs, base, entries, from_middle);
    variant.gram_of_rows(held.vectors, rows, entries / rows, into.data());
}

void gram_of_columns(const Variant& variant, const std::vector<Values>& inputs,
                     const MaybeValues& base, Array<double, 2> into) {
    const std::int64_t entries = inputs.empty() ? 0 : size_of(inputs[0]), cols = length(into, 1);
    require(cols > 0 && entries % cols == 0 &&
                length(into, 0) == mergesearch::pairs_of(static_cast<std::int64_t>(inputs.size())),
            "not one row of sums for each pair");
    Held held(inputs, base, entries);
    variant.gram_of_columns(held.vectors, entries / cols, cols, into.data());
}

void squares(const Variant& variant, const std::vector<Values>& inputs, const MaybeValues& base,
             const std::optional<Kept>& kept, Array<double, 1> into) {
    const std::int64_t entries = inputs.empty() ? 0 : size_of(inputs[0]);
    require(length(into, 0) == static_cast<std::int64_t>(inputs.size()), "not one sum for each");
    Held held(inputs, base, entries);
    for (auto& term : held.terms) {
        term.kept = words_of(kept, entries);
    }
    variant.squares(held.vectors, entries, into.data());
}

void variances(const Variant& variant, const std::vector<Values>& inputs, const MaybeValues& base,
               AnyShape<float> into) {
    const auto entries = static_cast<std::int64_t>(into.size());
    Held held(inputs, base, entries);
    variant.variances(held.vectors, entries, into.data());
}

void divergences(const Variant& variant, const Values& values, const Values& base,
                 Array<float, 1> into) {
    const std::int64_t entries = size_of(values), rows = length(into, 0);
    require(rows > 0 && entries % rows == 0, "not one divergence for each row");
    const std::int64_t cols = entries / rows;
    std::vector<double> room(static_cast<std::size_t>(2 * cols));
    variant.divergences(stored(values, entries), stored(base, entries), rows, cols, room.data(),
                        into.data());
}

void importances(const Variant& variant, const Values& values, const Values& base,
                 const Factors& of_rows, AnyShape<float> into) {
    const auto entries = static_cast<std::int64_t>(into.size());
    const std::int64_t rows = length(of_rows, 0);
    require(rows > 0 && entries % rows == 0, "not one divergence for each row");
    variant.importances(stored(values, entries), stored(base, entries), rows, entries / rows,
                        of_rows.data(), into.data());
}

}  // namespace

void bind_merging(nb::module_& module, nb::class_<Variant>& variant) {
    using mergesearch::Consensus;
    nb::enum_<Consensus>(module, "Consensus")
        .value("SUM", Consensus::sum)
        .value("ELECT", Consensus::elect)
        .value("ELECT_UNWEIGHTED", Consensus::elect_unweighted)
        .value("CHANGED", Consensus::changed)
        .value("NEAR", Consensus::near)
        .value("MEDIAN", Consensus::median);
    using Unlocked = nb::call_guard<nb::gil_scoped_release>;
    variant
        .def("combine", combine, "kind"_a, "inputs"_a, "base"_a.none(), nb::kw_only(), "kept"_a,
             "factors"_a.noconvert(), "weights"_a.noconvert(), "consensus"_a, "deltas"_a,
             "normalize"_a, "limit"_a, "divisor"_a, "scale"_a.noconvert(),
             "base_scale"_a.noconvert(), "by_column"_a, "into"_a.noconvert(), Unlocked())
        .def("read", read_rows, "values"_a, "into"_a.noconvert(), Unlocked())
        .def("count_digits", count_digits, "values"_a, "base"_a.none(), "prefix"_a, "shift"_a,
             "tables"_a.noconvert(), Unlocked())
        .def("find_equal", find_equal, "values"_a, "base"_a.none(), "bits"_a, "wanted"_a,
             Unlocked())
        .def("random_mask", random_mask, "low"_a, "high"_a, "offset"_a, "entries"_a, "below"_a,
             "kept"_a.noconvert(), Unlocked())
        .def("cut_mask", cut_mask, "values"_a, "base"_a.none(), "offset"_a, "bits"_a, "ties_end"_a,
             "kept"_a.noconvert(), Unlocked())
        .def("rank_mask", rank_mask, "values"_a, "base"_a.none(), "offset"_a, "low"_a, "high"_a,
             "thresholds"_a.noconvert(), "kept"_a.noconvert(), Unlocked())
        .def("sum_magnitudes", sum_magnitudes, "values"_a, "base"_a.none(), "kept"_a.noconvert(),
             Unlocked())
        .def("gram", gram, "inputs"_a, "base"_a.none(), "from_middle"_a, "into"_a.noconvert(),
             Unlocked())
        .def("gram_of_columns", gram_of_columns, "inputs"_a, "base"_a.none(), "into"_a.noconvert(),
             Unlocked())
        .def("squares", squares, "inputs"_a, "base"_a.none(), "kept"_a.none(), "into"_a.noconvert(),
             Unlocked())
        .def("variances", variances, "inputs"_a, "base"_a.none(), "into"_a.noconvert(), Unlocked())
        .def("divergences", divergences, "values"_a, "base"_a, "into"_a.noconvert(), Unlocked())
        .def("importances", importances, "values"_a, "base"_a, "divergences"_a.noconvert(),
             "into"_a.noconvert(), Unlocked());
    module.attr("DIGIT_TABLES") = mergesearch::digit_tables;
}
