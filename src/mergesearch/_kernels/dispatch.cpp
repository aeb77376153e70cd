#include "dispatch.h"

namespace mergesearch {

std::vector<const Variant*> supported_variants() {
    std::vector<const Variant*> found;
#if defined(MERGESEARCH_X86_VARIANTS)
    // The compiler's check covers the operating system's part too (saved vector registers).
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        found.push_back(&avx512_variant());
    }
    if (__builtin_cpu_supports("avx2")) {
        found.push_back(&avx2_variant());
    }
#elif defined(MERGESEARCH_ARM_VARIANTS)
    // Every 64-bit Arm processor has NEON.
    found.push_back(&neon_variant());
#endif
    found.push_back(&scalar_variant());
    return found;
}

}  // namespace mergesearch
