// Float32 lanes, one independent computation in each, so that no sum is ever reordered.
#pragma once

#include <math.h>

#include "bits.h"

namespace {

// What the processor computes on at once. One lane is a plain float, for any compiler; more use
// the vector extension of GCC and Clang.
template <int width>
struct Vector {
#if defined(__GNUC__)
    typedef float Float __attribute__((vector_size(4 * width)));
    typedef std::int32_t Int __attribute__((vector_size(4 * width)));
#endif
};

template <>
struct Vector<1> {
    using Float = float;
    using Int = std::int32_t;
};

// `parts` vectors of `width` lanes that go the same way: while one waits for the sum it adds to,
// the processor works on the next.
template <int width_, int parts_>
struct Lanes {
    static constexpr int width = width_;
    static constexpr int parts = parts_;
    static constexpr int count = width * parts;
    using FloatVector = typename Vector<width>::Float;
    using IntVector = typename Vector<width>::Int;

    // Integers, and masks: a comparison sets a lane to what is true of it.
    struct Int {
        IntVector part[parts];

        Int() = default;
        Int(const Int& other) { *this = other; }
        Int& operator=(const Int& other) {
            for (int p = 0; p < parts; ++p) part[p] = other.part[p];
            return *this;
        }
        Int(std::int32_t value) {
            for (IntVector& one : part) one = value - IntVector{};
        }
        template <class Combine>
        [[gnu::always_inline]] static Int of(const Int& a, const Int& b, Combine combine) {
            Int result;
            for (int p = 0; p < parts; ++p) result.part[p] = combine(a.part[p], b.part[p]);
            return result;
        }
        friend Int operator&(const Int& a, const Int& b) {
            return of(a, b, [](IntVector x, IntVector y) { return x & y; });
        }
        friend Int operator|(const Int& a, const Int& b) {
            return of(a, b, [](IntVector x, IntVector y) { return x | y; });
        }
        friend Int smaller(const Int& a, const Int& b) {
            return of(a, b, [](IntVector x, IntVector y) { return x < y ? x : y; });
        }
        friend Int larger(const Int& a, const Int& b) {
            return of(a, b, [](IntVector x, IntVector y) { return x > y ? x : y; });
        }
    };

    struct Float {
        FloatVector part[parts];

        Float() = default;
        // Written out, because compilers copy an array of vectors in small pieces through memory.
        Float(const Float& other) { *this = other; }
        Float& operator=(const Float& other) {
            for (int p = 0; p < parts; ++p) part[p] = other.part[p];
            return *this;
        }
        Float(float value) {
            // A sum would turn -0 into 0.
            for (FloatVector& one : part) one = value - FloatVector{};
        }
        template <class Result, class Combine>
        [[gnu::always_inline]] static Result of(const Float& a, const Float& b, Combine combine) {
            Result result;
            for (int p = 0; p < parts; ++p) result.part[p] = combine(a.part[p], b.part[p]);
            return result;
        }
        friend Float operator+(const Float& a, const Float& b) {
            return of<Float>(a, b, [](FloatVector x, FloatVector y) { return x + y; });
        }
        friend Float operator-(const Float& a, const Float& b) {
            return of<Float>(a, b, [](FloatVector x, FloatVector y) { return x - y; });
        }
        friend Float operator*(const Float& a, const Float& b) {
            return of<Float>(a, b, [](FloatVector x, FloatVector y) { return x * y; });
        }
        friend Float operator/(const Float& a, const Float& b) {
            return of<Float>(a, b, [](FloatVector x, FloatVector y) { return x / y; });
        }
        friend Int operator<(const Float& a, const Float& b) {
            return of<Int>(a, b, [](FloatVector x, FloatVector y) { return x < y; });
        }
        friend Int operator>(const Float& a, const Float& b) { return b < a; }
        friend Int operator==(const Float& a, const Float& b) {
            return of<Int>(a, b, [](FloatVector x, FloatVector y) { return x == y; });
        }
        // Of equals, and beside NaN, the second.
        friend Float smaller(const Float& a, const Float& b) {
            return of<Float>(a, b, [](FloatVector x, FloatVector y) { return x < y ? x : y; });
        }
        friend Float larger(const Float& a, const Float& b) {
            return of<Float>(a, b, [](FloatVector x, FloatVector y) { return x > y ? x : y; });
        }
        Float& operator+=(const Float& other) { return *this = *this + other; }
    };

    // `yes` where the mask holds, else `no`.
    static Float select(const Int& mask, const Float& yes, const Float& no) {
        Float result;
        for (int p = 0; p < parts; ++p) {
            result.part[p] = mask.part[p] ? yes.part[p] : no.part[p];
        }
        return result;
    }

    // Whether the mask holds in every lane.
    static bool all(const Int& mask) {
        std::int32_t lanes[count], missing = 0;
        std::memcpy(lanes, mask.part, sizeof lanes);
        for (const std::int32_t lane : lanes) missing |= lane == 0;
        return missing == 0;
    }

    static Int bits_of(const Float& value) {
        Int result;
        for (int p = 0; p < parts; ++p) result.part[p] = bits_as<IntVector>(value.part[p]);
        return result;
    }

    static Float of_bits(const Int& bits) {
        Float result;
        for (int p = 0; p < parts; ++p) result.part[p] = bits_as<FloatVector>(bits.part[p]);
        return result;
    }

    static Float absolute(const Float& value) { return of_bits(bits_of(value) & 0x7fffffff); }

    static Float square_root(const Float& value) {
        float lanes[count];
        store(lanes, value);
        for (float& lane : lanes) lane = sqrtf(lane);
        return load(lanes);
    }

    static Float load(const float* from) {
        Float value;
        std::memcpy(value.part, from, sizeof value.part);
        return value;
    }

    static void store(float* into, const Float& value) {
        std::memcpy(into, value.part, sizeof value.part);
    }
};

}  // namespace
