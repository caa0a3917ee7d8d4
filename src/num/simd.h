/* Run-time choice between instruction sets, for kernels that the compiler vectorises.
 *
 * A kernel is one body that is compiled once per instruction set; the public function calls the widest one that this
 * CPU has. (Written out instead of target_clones: its resolvers run before the sanitizers' runtime is up, and not every
 * clang has them.) Floating-point contraction is off in the whole project, so all copies give the same bits. */
#ifndef QK_NUM_SIMD_H
#define QK_NUM_SIMD_H

enum qk_simd { QK_SIMD_BASE, QK_SIMD_V3, QK_SIMD_V4 };

/* The widest set that this CPU has and qk_simd_limit allows. */
enum qk_simd qk_simd_level(void);
/* For tests: at most this one from now on. Process-wide. */
void qk_simd_limit(enum qk_simd most);

#define QK_SIMD_BODY static inline __attribute__((always_inline))

#if defined(__x86_64__)
/* storage: "static" or empty. <name>_body must be a QK_SIMD_BODY with the same parameters. */
#define QK_SIMD_KERNEL(storage, name, params, args)                                                                    \
    __attribute__((target("avx2,fma,bmi2"))) static void name##_v3 params                                              \
    {                                                                                                                  \
        name##_body args;                                                                                              \
    }                                                                                                                  \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2"))) static void name##_v4 params           \
    {                                                                                                                  \
        name##_body args;                                                                                              \
    }                                                                                                                  \
    storage void name params                                                                                           \
    {                                                                                                                  \
        enum qk_simd qk_level_ = qk_simd_level();                                                                      \
        if (qk_level_ == QK_SIMD_V4) {                                                                                 \
            name##_v4 args;                                                                                            \
        } else if (qk_level_ == QK_SIMD_V3) {                                                                          \
            name##_v3 args;                                                                                            \
        } else {                                                                                                       \
            name##_body args;                                                                                          \
        }                                                                                                              \
    }
#else
#define QK_SIMD_KERNEL(storage, name, params, args)                                                                    \
    storage void name params                                                                                           \
    {                                                                                                                  \
        name##_body args;                                                                                              \
    }
#endif

#endif
