/* A command that measures checkpoints: it opens them, fills a result table piece by piece, keeps what is finished for
 * --resume, writes RUN.h5 and answers in short. What drift, probe, niah and eval differ in is a row of functions. */
#ifndef QK_CLI_MEASUREMENT_H
#define QK_CLI_MEASUREMENT_H

#include "base/pool.h"
#include "base/str.h"
#include "checkpoint_inputs.h"
#include "run/part.h"
#include "sidecar.h"

/* A measurement at work. */
struct qk_measurement {
    struct qk_cli *cli;
    struct qk_checkpoint_inputs c;
    size_t base; /* index of the base among the checkpoints */
    struct qk_table *table;
    struct qk_sidecar sidecar;
};

/* In the order in which they are called; ctx is the caller's. NULL: there is nothing to do. */
struct qk_measurement_steps {
    const char *pieces; /* what --resume counts: "sequences" */
    const char *unit;   /* of progress */
    bool has_base;      /* --base NAME says which is the base; else it is the first */
    /* Options that need no checkpoint. */
    enum qk_code (*read_options)(void *ctx, struct qk_err *err);
    /* What is measured, the checkpoints being open and compared with the base. */
    enum qk_code (*read_inputs)(void *ctx, struct qk_err *err);
    /* The layout of the table, which is empty. */
    enum qk_code (*prepare)(void *ctx, struct qk_pool *pool, struct qk_err *err);
    /* Takes over the finished pieces of a partial run: how many, and how many there are to finish. */
    enum qk_code (*resume)(void *ctx, const struct qk_table *partial, size_t *ret_done, size_t *ret_n,
                           struct qk_err *err);
    enum qk_code (*run)(void *ctx, struct qk_pool *pool, struct qk_err *err);
    enum qk_code (*finish)(struct qk_table *table, struct qk_err *err);
    /* Appends the short answer. */
    enum qk_code (*answer)(void *ctx, bool json, struct qk_str *out, struct qk_err *err);
};

/* Runs the command. *m is part of the caller's ctx, zeroed, and not to be used after. */
enum qk_code qk_measurement_run(struct qk_cli *cli, const struct qk_measurement_steps *steps, struct qk_measurement *m,
                                void *ctx, struct qk_err *err) QK_CHECKED;
/* Another piece is finished: for the callbacks of src/run; ctx is the measurement. */
enum qk_code qk_measurement_keep(void *ctx, const struct qk_table *table, struct qk_err *err) QK_CHECKED;

/* --shard; all when it is not given. */
enum qk_code qk_measurement_part(const struct qk_cli *cli, struct qk_part *ret, struct qk_err *err) QK_CHECKED;
/* --max-new; 0 when it is not given, and QK_EUSAGE when that is given. */
enum qk_code qk_measurement_max_new(const struct qk_cli *cli, size_t *ret, struct qk_err *err) QK_CHECKED;
/* Appends that "scores" are made of all parts, unless part is all. */
void qk_measurement_add_part(struct qk_str *out, const struct qk_part *part, const char *what);

#endif
