/* A restore plan: which Q/K parts of which layers are put back, aligned or blended (docs/repair.md), and
 * plan.json, its file form:
 *
 *   {"format": "qkscope-plan", "version": 1, "base": {"name", "header_sha256", "sample_sha256"}, "tuned": {…},
 *    "units": [{"layer": 5, "kv_groups": "all" | [0, 2], "tensors": ["q", "k"], "with": ["q_norm"],
 *               "action": "restore" | "align" | "blend" | "keep",
 *               "method": "qk-pro" | "rotate", "side": "input" | "head", "lambda": 0.01, "alpha": 1.0,
 *               "score": …, "evidence": {…}, "reason": "one sentence"}],
 *    "measured": {…}, "provenance": {"qkscope", "command"}}
 *
 * A plan is plain data: no pointer into a checkpoint. All memory from the arena it was made with. */
#ifndef QK_REPAIR_PLAN_H
#define QK_REPAIR_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum qk_plan_action { QK_PLAN_KEEP, QK_PLAN_RESTORE, QK_PLAN_ALIGN, QK_PLAN_BLEND, QK_N_PLAN_ACTIONS };
const char *qk_plan_action_name(enum qk_plan_action action); /* "keep" "restore" "align" "blend" */

enum qk_plan_method { QK_PLAN_QK_PRO, QK_PLAN_ROTATE, QK_N_PLAN_METHODS };
const char *qk_plan_method_name(enum qk_plan_method method); /* "qk-pro" "rotate" */

enum qk_plan_side { QK_PLAN_SIDE_INPUT, QK_PLAN_SIDE_HEAD, QK_N_PLAN_SIDES };
const char *qk_plan_side_name(enum qk_plan_side side); /* "input" "head" */

/* Bits: what of a unit is touched. Biases of Q and K go with their matrix. */
enum qk_plan_tensor {
    QK_PLAN_Q = 1,
    QK_PLAN_K = 2,
    QK_PLAN_Q_NORM = 4, /* --with: whole tensors, restored whatever the KV groups */
    QK_PLAN_K_NORM = 8,
    QK_PLAN_LATENT = 16, /* --with: what a latent attention's Q or K goes through, its norm included; V may share it */
};

/* One number of evidence: a finding's or metric's id and its value. */
struct qk_plan_evidence {
    const char *key;
    double value; /* NaN is written as null */
};

struct qk_plan_unit {
    size_t layer;
    size_t n_kv_groups; /* 0 = all */
    const size_t *kv_groups;
    unsigned tensors; /* enum qk_plan_tensor */
    enum qk_plan_action action;
    enum qk_plan_method method; /* of align */
    enum qk_plan_side side;     /* of qk-pro */
    double lambda;              /* of qk-pro, relative to the mean eigenvalue of K0 K0ᵀ; ≥ 0, may be INFINITY */
    double alpha;               /* of blend: W := (1 − α) W1 + α W0 */
    double score;               /* NaN = none */
    size_t n_evidence;
    const struct qk_plan_evidence *evidence;
    const char *reason; /* NULL = none */
};

struct qk_plan_checkpoint {
    const char *name;
    const char *header_sha256; /* qk_ckpt.header_sha256 */
};

struct qk_plan {
    struct qk_plan_checkpoint base, tuned;
    const char *base_sample, *tuned_sample; /* qk_ckpt_sample, or NULL: not known, and not in the file */
    size_t n_units;
    const struct qk_plan_unit *units; /* by layer, then first KV group */
    const char *measured;             /* JSON text of the member, or NULL */
    const char *qkscope, *command;    /* provenance */
};

/* Reads and checks plan.json: unknown actions, doubled rows (one KV group's Q or K in two units), numbers out of range
 * and unknown members are QK_EFORMAT naming file and field. Also reads the plan in a restore's record
 * (OUT/qkscope.json).
 */
enum qk_code qk_plan_read(const char *path, struct qk_arena *arena, struct qk_plan *ret, struct qk_err *err) QK_CHECKED;
/* The same from text; name is used in errors. */
enum qk_code qk_plan_parse(const char *name, const char *text, size_t n, struct qk_arena *arena, struct qk_plan *ret,
                           struct qk_err *err) QK_CHECKED;
/* Appends plan.json (stable order, shortest numbers that read back: equal plans give equal bytes). */
void qk_plan_write(const struct qk_plan *plan, struct qk_str *out);

#endif
