/* Small checkpoints made by a test: weights as doubles in memory, written as F64 safetensors with a config. */
#ifndef QK_TESTS_MADE_PAIR_H
#define QK_TESTS_MADE_PAIR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rng.h"
#include "run/drift.h"

enum { MADE_LAYERS = 3, MADE_HEADS = 4, MADE_KV = 2, MADE_K = 6, MADE_D = 40, MADE_MLP = 16, MADE_VOCAB = 24 };

/* The two models: SmolLM3 (no q/k norm; layer 1 without rotation) and Qwen3 (q/k norm per head, all layers rotate). */
enum made_family { MADE_SMOLLM3, MADE_QWEN3 };

struct made_weights {
    enum made_family family;
    double q[MADE_LAYERS][MADE_HEADS * MADE_K][MADE_D], k[MADE_LAYERS][MADE_KV * MADE_K][MADE_D];
    double v[MADE_LAYERS][MADE_KV * MADE_K][MADE_D], o[MADE_LAYERS][MADE_D][MADE_HEADS * MADE_K];
    double up[MADE_LAYERS][MADE_MLP][MADE_D], gate[MADE_LAYERS][MADE_MLP][MADE_D], down[MADE_LAYERS][MADE_D][MADE_MLP];
    double norm[MADE_LAYERS][2][MADE_D], qk_norm[MADE_LAYERS][2][MADE_K];
    double embedding[MADE_VOCAB][MADE_D], last_norm[MADE_D];
};

struct made_input {
    struct qk_ckpt *ckpt;
    struct qk_model *model;
    struct qk_run_input input;
};

void made_fill(struct made_weights *w, enum made_family family, struct qk_rng *rng);
/* Every value moved by about size, relative. */
void made_move(struct made_weights *w, double size, struct qk_rng *rng);
/* Writes dir/config.json and dir/model.safetensors. False when a file cannot be written. */
bool made_write(const struct made_weights *w, const char *dir);
/* Opens what was written under a name; asserts on failure. */
void made_open(struct made_input *in, const char *dir, const char *name);
void made_close(struct made_input *in);

#endif
