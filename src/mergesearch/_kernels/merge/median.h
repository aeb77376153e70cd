// Medians of a few values for each of many entries.
#pragma once

#include "merge/stored.h"

namespace {

// Of `count` arrays that begin `pitch` apart, entry by entry; they are sorted on the way. Between
// two middle values lies their mean, and beside NaN is NaN. A zero is positive, as NumPy's is.
template <class Mean>
inline void median(float* values, int count, std::int64_t pitch, std::int64_t entries, Mean* into) {
    for (std::int64_t i = 0; i < entries; ++i) {
        into[i] = 0;
    }
    for (int index = 0; index < count; ++index) {
        const float* value = values + index * pitch;
        for (std::int64_t i = 0; i < entries; ++i) {
            into[i] = value[i] == value[i] ? into[i] : static_cast<Mean>(value[i]);
        }
    }
    // Neighbours change places, in even and odd pairs by turns, as often as there are arrays.
    for (int round = 0; round < count; ++round) {
        for (int index = round % 2; index + 1 < count; index += 2) {
            float *lower = values + index * pitch, *upper = lower + pitch;
            for (std::int64_t i = 0; i < entries; ++i) {
                const float a = lower[i], b = upper[i];
                lower[i] = a < b ? a : b;
                upper[i] = a < b ? b : a;
            }
        }
    }
    const float *lower = values + (count - 1) / 2 * pitch, *upper = values + count / 2 * pitch;
    for (std::int64_t i = 0; i < entries; ++i) {
        const Mean mean = (static_cast<Mean>(lower[i]) + static_cast<Mean>(upper[i])) / 2;
        const Mean middle = count % 2 ? static_cast<Mean>(lower[i]) : mean;
        into[i] = into[i] == into[i] ? middle + Mean{0} : into[i];
    }
}

}  // namespace
