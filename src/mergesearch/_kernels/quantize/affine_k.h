// Q4_K and Q5_K: 256 elements in eight sub-blocks of 32, x ~ d * scale * level - dmin * minimum.
#pragma once

#include "half.h"
#include "quantize/affine_search.h"
#include "quantize/pack.h"
#include "quantize/shared_scale.h"
#include "quantize/source.h"

namespace {

template <int bits>
struct AffineK {
    static constexpr int super = 256;
    static constexpr int size = 32;
    static constexpr int count = super / size;
    static constexpr int top = (1 << bits) - 1;
    static constexpr int bytes = 16 + (bits == 5 ? 32 : 0) + 128;
    static constexpr Grid plain = bits == 4 ? Grid{15, -1.f, 0.1f, 20} : Grid{31, -0.5f, 0.1f, 15};
    static constexpr Grid weighted{top, -0.9f, 0.05f, 36};
};

// Of `count` sub-blocks: their fits, `minimum` negated as ggml keeps it, and summed weights.
template <int count>
struct AffineFits {
    float scale[count];
    float minimum[count];
    float level_scale[count];
    float level_minimum[count];
    float weight[count];
};

// Six bits each: those of the last four sub-blocks are split over the low four bits of a byte of
// their own and the high two of the first four's.
inline void pack_scales(const Shared& scale, const Shared& minimum, std::uint8_t* into) {
    for (int j = 0; j < 4; ++j) {
        const unsigned s = scale.levels[j + 4], m = minimum.levels[j + 4];
        into[j] = static_cast<std::uint8_t>(scale.levels[j] | (s >> 4) << 6);
        into[j + 4] = static_cast<std::uint8_t>(minimum.levels[j] | (m >> 4) << 6);
        into[j + 8] = static_cast<std::uint8_t>((s & 15) | (m & 15) << 4);
    }
}

// Sub-block j's level from the four bytes (j mod 4) of `pack_scales`; `half` 0: scale, 1: minimum.
inline int unpack_scale(const std::uint8_t* packed, int j, int half) {
    const int first = packed[j % 4 + 4 * half];
    return j < 4 ? first & 63 : (packed[j + 4] >> 4 * half & 15) | first >> 6 << 4;
}

// The fifth bit of element 64 * g + 32 * h + i is bit 2 * g + h of byte i.
inline void pack_fifth_bits(const std::uint8_t* levels, std::uint8_t* into) {
    for (int i = 0; i < 32; i += 8) {
        std::uint64_t bytes = 0;
        for (int j = 0; j < 8; ++j) {
            bytes |= (eight_bytes(levels + 32 * j + i) >> 4 & 0x0101010101010101u) << j;
        }
        std::memcpy(into + i, &bytes, sizeof bytes);
    }
}

// One super-block, whose fits begin at `place`.
template <int bits, int count>
void pack_affine_k(const float* x, const AffineFits<count>& fits, int place, bool weighted,
                   std::uint8_t* into) {
    using Kind = AffineK<bits>;
    // A negative scale's level has wrapped around as a byte; ggml limits it in Q5_K alone.
    constexpr int limit = bits == 5 ? shared_top : 255;
    const float* weights = fits.weight + place;
    const Shared scale = weighted ? share_by_weight(fits.scale + place, weights, limit)
                                  : share_by_largest(fits.scale + place);
    const Shared minimum = weighted ? share_by_weight(fits.minimum + place, weights, limit)
                                    : share_by_largest(fits.minimum + place);
    const std::uint16_t halves[2] = {to_half(scale.scale), to_half(minimum.scale)};
    std::memcpy(into, halves, sizeof halves);
    pack_scales(scale, minimum, into + 4);

    std::uint8_t levels[Kind::super];
    for (int j = 0; j < Kind::count; ++j) {
        const float* values = x + Kind::size * j;
        std::uint8_t* found = levels + Kind::size * j;
        const float d = from_half(halves[0]) * static_cast<float>(unpack_scale(into + 4, j, 0));
        const float dm = from_half(halves[1]) * static_cast<float>(unpack_scale(into + 4, j, 1));
        if (d == 0.f) {
            // ggml leaves what its search left here.
            levels_of<Kind::size>(values, fits.level_scale[place + j],
                                  fits.level_minimum[place + j], Kind::top, found);
            continue;
        }
        for (int i = 0; i < Kind::size; ++i) {
            found[i] =
                static_cast<std::uint8_t>(clamped(nearest((values[i] + dm) / d), 0, Kind::top));
        }
    }
    std::uint8_t* low = into + 16;
    if constexpr (bits == 5) {
        pack_fifth_bits(levels, low);
        low += 32;
    }
    for (int j = 0; j < Kind::super; j += 64) {
        pack_nibbles<32>(levels + j, low + j / 2);
    }
}

// Variance of lane k's element: twice the mean square of its super-block.
template <class L>
inline typename L::Float super_variances(const float* x, const Starts<L>& starts) {
    float variances[L::count];
    for (int k = 0; k < L::count; ++k) {
        const bool fresh = k == 0 || starts.at[k] / 256 != starts.at[k - 1] / 256;
        variances[k] = fresh ? 2 * sum_of_squares(x + starts.at[k] / 256 * 256, 256) / 256.f
                             : variances[k - 1];
    }
    return L::load(variances);
}

// Fits of `L::count` sub-blocks from `first` on, of `total` in all.
template <class L, int bits, int count>
void fit_affine_k(const Source& source, std::int64_t first, std::int64_t total,
                  AffineFits<count>& fits, int place) {
    using Kind = AffineK<bits>;
    Samples<L, Kind::size> samples;
    const Starts<L> starts(first, total, Kind::size, source.rows * source.cols);
    load_rows<L>(source.values, starts.at, samples.x);
    typename L::Float weight{};
    if (source.importance) {
        const Starts<L> columns(first, total, Kind::size, source.cols);
        load_rows<L>(source.importance, columns.at, samples.w);
        weigh_by_importance(samples, super_variances<L>(source.values, starts));
        for (int i = 0; i < Kind::size; ++i) {
            weight += samples.w[i];
        }
    } else {
        weigh_by_magnitude(samples);
    }
    const AffineFit<L> fit = fit_affine(samples, source.importance ? Kind::weighted : Kind::plain);
    L::store(fits.scale + place, fit.scale);
    L::store(fits.minimum + place, 0.f - fit.minimum);
    L::store(fits.level_scale + place, fit.level_scale);
    L::store(fits.level_minimum + place, fit.level_minimum);
    L::store(fits.weight + place, weight);
}

template <class L, int bits>
void quantize_affine_k(const Source& source, std::uint8_t* into) {
    using Kind = AffineK<bits>;
    constexpr int together = L::count > Kind::count ? L::count / Kind::count : 1;
    constexpr int count = together * Kind::count;
    const std::int64_t blocks = source.rows * source.cols / Kind::super;
    for (std::int64_t block = 0; block < blocks; block += together) {
        AffineFits<count> fits;
        for (int place = 0; place < count; place += L::count) {
            fit_affine_k<L, bits>(source, block * Kind::count + place, blocks * Kind::count, fits,
                                  place);
        }
        for (int i = 0; i < together && block + i < blocks; ++i) {
            pack_affine_k<bits>(source.values + (block + i) * Kind::super, fits, i * Kind::count,
                                source.importance != nullptr, into + (block + i) * Kind::bytes);
        }
    }
}

}  // namespace
