/* Run-time choice between instruction sets for loops that the compiler vectorises.
 *
 * A kernel is one body that is compiled once per instruction set; the function calls the widest one that this CPU has.
 * Floating-point contraction is off in the whole project and every body fixes the order of its sums, so all copies give
 * the same bits. Loops over QK_LANES elements are what the compiler turns into vectors without reordering a sum. */
#ifndef QK_FORWARD_SIMD_H
#define QK_FORWARD_SIMD_H

#include <stddef.h>

#define QK_BODY  static inline __attribute__((always_inline))
#define QK_LANES ((size_t)16)

#if defined(__x86_64__)
#define QK_HAS_V3 (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
#define QK_HAS_V4                                                                                                      \
    (QK_HAS_V3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&                           \
     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
/* give: "return" or empty (functions without a value). */
#define QK_KERNEL_COPIES(storage, type, give, name, params, args)                                                      \
    __attribute__((target("avx2,fma,bmi2"))) static type name##_v3 params                                              \
    {                                                                                                                  \
        give name##_body args;                                                                                         \
    }                                                                                                                  \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2"))) static type name##_v4 params           \
    {                                                                                                                  \
        give name##_body args;                                                                                         \
    }                                                                                                                  \
    storage type name params                                                                                           \
    {                                                                                                                  \
        if (QK_HAS_V4) {                                                                                               \
            give name##_v4 args;                                                                                       \
        } else if (QK_HAS_V3) {                                                                                        \
            give name##_v3 args;                                                                                       \
        } else {                                                                                                       \
            give name##_body args;                                                                                     \
        }                                                                                                              \
    }
#else
#define QK_KERNEL_COPIES(storage, type, give, name, params, args)                                                      \
    storage type name params                                                                                           \
    {                                                                                                                  \
        give name##_body args;                                                                                         \
    }
#endif
/* storage: "static" or empty. <name>_body must be a QK_BODY with the same parameters. */
#define QK_KERNEL(storage, name, params, args)             QK_KERNEL_COPIES(storage, void, , name, params, args)
#define QK_KERNEL_VALUE(storage, type, name, params, args) QK_KERNEL_COPIES(storage, type, return, name, params, args)

/* Halves the lanes until one is left. lanes is overwritten. */
QK_BODY double qk_lane_sum(double *lanes)
{
    for (size_t half = QK_LANES / 2; half > 0; half /= 2) {
        for (size_t j = 0; j < half; j++) {
            lanes[j] += lanes[j + half];
        }
    }
    return lanes[0];
}

#endif
