/* What this CPU can do, which BLAS kernels are loaded, and whether better ones would run. */
#include <cblas.h>
#include <lapacke.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "num/blas.h"
#include "simd.h"

struct core_rank {
    const char *name;
    int rank;
};

#if defined(__x86_64__)
static bool cpu_has_v3(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}

static bool cpu_has_v4(void)
{
    return cpu_has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static enum qk_simd detect_level(void)
{
    __builtin_cpu_init();
    if (cpu_has_v4()) {
        return QK_SIMD_V4;
    }
    return cpu_has_v3() ? QK_SIMD_V3 : QK_SIMD_BASE;
}

static const char *best_core(void)
{
    __builtin_cpu_init();
    if (cpu_has_v4()) {
        return __builtin_cpu_supports("avx512bf16") ? "Cooperlake" : "SkylakeX";
    }
    return cpu_has_v3() ? "Haswell" : NULL;
}
#else
static enum qk_simd detect_level(void)
{
    return QK_SIMD_BASE;
}

static const char *best_core(void)
{
    return NULL;
}
#endif

static atomic_int simd_most = QK_SIMD_V4;
static atomic_int simd_found = -1;

enum qk_simd qk_simd_level(void)
{
    int found = atomic_load_explicit(&simd_found, memory_order_relaxed);
    if (found < 0) {
        found = (int)detect_level();
        atomic_store_explicit(&simd_found, found, memory_order_relaxed);
    }
    int most = atomic_load_explicit(&simd_most, memory_order_relaxed);
    return (enum qk_simd)(found < most ? found : most);
}

void qk_simd_limit(enum qk_simd most)
{
    atomic_store_explicit(&simd_most, (int)most, memory_order_relaxed);
}

void qk_blas_init(void)
{
    openblas_set_num_threads(1);
    LAPACKE_set_nancheck(0);
}

const char *qk_blas_config(void)
{
    return openblas_get_config();
}

const char *qk_blas_core(void)
{
    return openblas_get_corename();
}

/* Kernel sets of OpenBLAS for x86-64 by the vector width of their dgemm; names not listed are as old as SSE. */
static const struct core_rank core_ranks[] = {
    {"Sandybridge", 1}, {"Bulldozer", 1}, {"Piledriver", 1}, {"Steamroller", 1}, {"Haswell", 2},
    {"Excavator", 2},   {"Zen", 2},       {"SkylakeX", 3},   {"Cooperlake", 3},  {"SapphireRapids", 3},
};

static int core_rank(const char *name)
{
    for (size_t i = 0; i < sizeof core_ranks / sizeof core_ranks[0]; i++) {
        if (strcasecmp(core_ranks[i].name, name) == 0) {
            return core_ranks[i].rank;
        }
    }
    return 0;
}

const char *qk_blas_better_core(void)
{
    const char *chosen = getenv("OPENBLAS_CORETYPE");
    if (chosen != NULL && chosen[0] != '\0') {
        return NULL;
    }
    /* A library built for one core only ignores the variable: re-executing would change nothing. */
    if (strstr(openblas_get_config(), "DYNAMIC_ARCH") == NULL) {
        return NULL;
    }
    const char *best = best_core();
    return best != NULL && core_rank(best) > core_rank(openblas_get_corename()) ? best : NULL;
}

#if defined(__x86_64__)
/* __builtin_cpu_supports takes only literals. */
#define APPEND_FEATURE(name)                                                                                           \
    do {                                                                                                               \
        if (__builtin_cpu_supports(name)) {                                                                            \
            strcat(text, text[0] != '\0' ? " " name : name);                                                           \
        }                                                                                                              \
    } while (0)

static void list_features(char text[256])
{
    __builtin_cpu_init();
    APPEND_FEATURE("sse4.2");
    APPEND_FEATURE("avx");
    APPEND_FEATURE("avx2");
    APPEND_FEATURE("fma");
    APPEND_FEATURE("bmi2");
    APPEND_FEATURE("avx512f");
    APPEND_FEATURE("avx512bw");
    APPEND_FEATURE("avx512dq");
    APPEND_FEATURE("avx512vl");
    APPEND_FEATURE("avx512bf16");
}
#else
static void list_features(char text[256])
{
    (void)text;
}
#endif

const char *qk_cpu_features(void)
{
    static _Thread_local char text[256];
    text[0] = '\0';
    list_features(text);
    return text;
}
