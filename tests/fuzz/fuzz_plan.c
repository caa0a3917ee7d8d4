/* Fuzz target: plan.json. What is accepted is written and read back as the same bytes. */
#include "both_ways.h"

#include <string.h>

#include "repair/plan.h"

static void use(const struct qk_plan *plan)
{
    struct qk_arena *arena = qk_arena_new();
    struct qk_str once = {0}, twice = {0};
    struct qk_plan back;
    struct qk_err err = {0};
    qk_fuzz_require(arena != NULL, "memory");
    for (size_t i = 1; i < plan->n_units; i++) {
        qk_fuzz_require(plan->units[i - 1].layer <= plan->units[i].layer, "units are in order");
    }
    qk_plan_write(plan, &once);
    qk_fuzz_require(!once.failed, "memory");
    qk_fuzz_require(qk_plan_parse("f", once.s, once.len, arena, &back, &err) == QK_OK, "what is written can be read");
    qk_plan_write(&back, &twice);
    qk_fuzz_require(!twice.failed && strcmp(once.s, twice.s) == 0, "reading and writing changes nothing");
    qk_str_release(&once);
    qk_str_release(&twice);
    qk_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qk_arena *arena = qk_arena_new();
    struct qk_plan plan;
    struct qk_err err = {0};
    qk_fuzz_require(arena != NULL, "memory");
    enum qk_code code = qk_plan_parse("f", (const char *)data, size, arena, &plan, &err);
    qk_fuzz_require(code == QK_OK || code == QK_EFORMAT || code == QK_EUNSUPPORTED, "no error but that of the file");
    for (const unsigned char *p = (const unsigned char *)err.text; *p != 0; p++) {
        qk_fuzz_require(*p >= 0x20 && *p != 0x7f, "texts have no control characters");
    }
    if (code == QK_OK) {
        use(&plan);
    }
    qk_arena_free(arena);
    return 0;
}
