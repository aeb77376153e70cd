// Vectors of float32 lanes, one independent computation in each, so that no sum is reordered.
#pragma once

#include <cstdint>
#include <cstring>

namespace {

// One lane is a plain float, for any compiler; more use the vector extension of GCC and Clang.
template <int lanes>
struct Vectors {
#if defined(__GNUC__)
    typedef float Float __attribute__((vector_size(4 * lanes)));
    typedef std::int32_t Int __attribute__((vector_size(4 * lanes)));
#endif
};

template <>
struct Vectors<1> {
    using Float = float;
    using Int = std::int32_t;
};

template <int lanes>
using Float = typename Vectors<lanes>::Float;
template <int lanes>
using Int = typename Vectors<lanes>::Int;

template <class To, class From>
inline To bits_as(const From& from) {
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

// `yes` where the mask (the result of a comparison) holds, else `no`.
template <class Mask, class Value>
inline Value select(Mask mask, Value yes, Value no) {
    return mask ? yes : no;
}

template <class Value>
inline Value smaller(Value a, Value b) {
    return a < b ? a : b;
}

template <class Value>
inline Value larger(Value a, Value b) {
    return a > b ? a : b;
}

template <int lanes>
inline Float<lanes> all(float value) {
    return value - Float<lanes>{};  // a sum would turn -0 into 0
}

template <int lanes>
inline Int<lanes> all(std::int32_t value) {
    return value + Int<lanes>{};
}

template <int lanes>
inline Float<lanes> absolute(Float<lanes> value) {
    return bits_as<Float<lanes>>(bits_as<Int<lanes>>(value) & 0x7fffffff);
}

template <int lanes>
inline Float<lanes> square_root(Float<lanes> value) {
    if constexpr (lanes == 1) {
        return __builtin_sqrtf(value);
    } else {
        Float<lanes> root;
        for (int k = 0; k < lanes; ++k) {
            root[k] = __builtin_sqrtf(value[k]);
        }
        return root;
    }
}

template <int lanes>
inline void store(float* into, const Float<lanes>& values) {
    std::memcpy(into, &values, sizeof values);
}

}  // namespace
