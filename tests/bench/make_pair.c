/* Writes synthetic checkpoints with HypeNet's layer shapes: bf16, random weights, every tuned tensor moved by about a
 * tenth of its norm. For `make bench`; not a model that says anything.
 *
 *   make_pair DIR N_LAYERS 9b   →   DIR/base, DIR/tuned
 *   make_pair DIR N_LAYERS 2b   →   DIR/base
 *
 * Softmax layers are the odd ones, lightning layers the even ones, so that both head counts are measured. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/str.h"

enum { HEAD_DIM = 128, VOCAB = 1024, MAX_TENSORS = 1024 };

static const struct shape {
    const char *name;
    uint64_t hidden, ffn;
    unsigned heads, kv_heads;
    bool pair;
} shapes[] = {{"9b", 4096, 12288, 32, 8, true}, {"2b", 2048, 6144, 16, 8, false}};

static const struct shape *shape;

struct tensor {
    char name[96];
    uint64_t rows, cols; /* cols 0 = rank 1 */
};

static struct tensor tensors[MAX_TENSORS];
static size_t n_tensors;

static void add(const char *prefix, const char *name, uint64_t rows, uint64_t cols)
{
    struct tensor *t = &tensors[n_tensors++];
    snprintf(t->name, sizeof t->name, "%s%s.weight", prefix, name);
    t->rows = rows;
    t->cols = cols;
}

static void add_layer(unsigned layer)
{
    char p[40];
    snprintf(p, sizeof p, "model.layers.%u.", layer);
    bool softmax = layer % 2 == 1;
    uint64_t q = shape->heads * HEAD_DIM, kv = (softmax ? shape->kv_heads : shape->heads) * HEAD_DIM;
    uint64_t hidden = shape->hidden;
    add(p, "input_layernorm", hidden, 0);
    add(p, "post_attention_layernorm", hidden, 0);
    add(p, "self_attn.q_proj", q, hidden);
    add(p, "self_attn.k_proj", kv, hidden);
    add(p, "self_attn.v_proj", kv, hidden);
    add(p, "self_attn.o_proj", hidden, q);
    add(p, softmax ? "self_attn.o_gate" : "self_attn.z_proj", q, hidden);
    add(p, "self_attn.q_norm", HEAD_DIM, 0);
    add(p, "self_attn.k_norm", HEAD_DIM, 0);
    if (!softmax) {
        add(p, "self_attn.o_norm", q, 0);
    }
    add(p, "mlp.gate_proj", shape->ffn, hidden);
    add(p, "mlp.up_proj", shape->ffn, hidden);
    add(p, "mlp.down_proj", hidden, shape->ffn);
}

static uint64_t elements(const struct tensor *t)
{
    return t->rows * (t->cols == 0 ? 1 : t->cols);
}

static void config_text(struct qk_str *s, unsigned n_layers)
{
    qk_str_addf(s,
                "{\"architectures\": [\"HypeNetForCausalLM\"], \"model_type\": \"hypenet\", \"vocab_size\": %d,\n"
                " \"hidden_size\": %u, \"intermediate_size\": %u, \"num_hidden_layers\": %u,\n"
                " \"num_attention_heads\": %u, \"num_key_value_heads\": %u, \"head_dim\": %d, \"lightning_nh\": %u,\n"
                " \"lightning_nkv\": %u, \"lightning_head_dim\": %d, \"attn_use_rope\": false,\n"
                " \"attn_use_output_gate\": true, \"lightning_use_rope\": true, \"lightning_use_qk_norm\": true,\n"
                " \"lightning_use_output_norm\": true, \"lightning_use_output_gate\": true, \"rope_theta\": 1000000,\n"
                " \"rms_norm_eps\": 1e-6, \"max_position_embeddings\": 262144, \"tie_word_embeddings\": true,\n"
                " \"torch_dtype\": \"bfloat16\", \"mixer_types\": [",
                VOCAB, (unsigned)shape->hidden, (unsigned)shape->ffn, n_layers, shape->heads, shape->kv_heads, HEAD_DIM,
                shape->heads, shape->heads, HEAD_DIM);
    for (unsigned l = 0; l < n_layers; l++) {
        qk_str_addf(s, "%s\"%s\"", l == 0 ? "" : ", ", l % 2 == 1 ? "attn" : "lightning-attn");
    }
    qk_str_add(s, "]}\n");
}

static void header_text(struct qk_str *s)
{
    uint64_t at = 0;
    qk_str_add(s, "{");
    for (size_t i = 0; i < n_tensors; i++) {
        const struct tensor *t = &tensors[i];
        uint64_t n = elements(t) * 2;
        qk_str_addf(s, "%s\"%s\":{\"dtype\":\"BF16\",\"shape\":[%llu", i == 0 ? "" : ",", t->name,
                    (unsigned long long)t->rows);
        if (t->cols > 0) {
            qk_str_addf(s, ",%llu", (unsigned long long)t->cols);
        }
        qk_str_addf(s, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at, (unsigned long long)(at + n));
        at += n;
    }
    qk_str_add(s, "}");
    while (s->len % 8 != 0) {
        qk_str_addc(s, ' ');
    }
}

static uint16_t bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Uniform in [−1, 1) from 32 bits: quick, and the metrics do not care for the shape of the distribution. */
static float uniform(uint32_t bits)
{
    return (float)(int32_t)bits * 0x1p-31f;
}

static void fill(const struct tensor *t, bool tuned, uint64_t seed, uint64_t chunk, uint16_t *dst, size_t n)
{
    struct qk_rng rng;
    qk_rng_seed(&rng, seed * 1000003 + chunk);
    float centre = t->cols == 0 ? 1.0f : 0.0f, width = t->cols == 0 ? 0.2f : 0.02f;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = qk_rng_u64(&rng);
        float x = centre + width * uniform((uint32_t)bits);
        x += tuned ? 0.1f * width * uniform((uint32_t)(bits >> 32)) : 0.0f;
        dst[i] = bf16(x);
    }
}

static enum qk_code write_weights(const char *path, bool tuned, struct qk_err *err)
{
    enum { CHUNK = 1 << 20 };
    struct qk_str header = {0};
    header_text(&header);
    struct qk_atomic_file *file;
    QK_TRY(qk_atomic_open(path, true, &file, err));
    uint64_t length = header.len;
    enum qk_code code = qk_atomic_write(file, &length, sizeof length, err);
    if (code == QK_OK) {
        code = qk_atomic_write(file, header.s, header.len, err);
    }
    uint16_t *chunk = qk_alloc_aligned(CHUNK, sizeof *chunk);
    for (size_t i = 0; i < n_tensors && code == QK_OK; i++) {
        uint64_t n = elements(&tensors[i]);
        for (uint64_t at = 0; at < n && code == QK_OK; at += CHUNK) {
            size_t take = (size_t)(n - at < CHUNK ? n - at : CHUNK);
            fill(&tensors[i], tuned, i, at, chunk, take);
            code = qk_atomic_write(file, chunk, take * 2, err);
        }
    }
    qk_free(chunk);
    qk_str_release(&header);
    if (code != QK_OK) {
        qk_atomic_abort(file);
        return code;
    }
    return qk_atomic_commit(file, err);
}

static enum qk_code write_checkpoint(const char *dir, bool tuned, unsigned n_layers, struct qk_err *err)
{
    char path[4096];
    struct qk_str config = {0};
    config_text(&config, n_layers);
    snprintf(path, sizeof path, "%s/%s/config.json", dir, tuned ? "tuned" : "base");
    enum qk_code code = qk_atomic_put(path, true, config.s, config.len, err);
    qk_str_release(&config);
    QK_TRY(code);
    snprintf(path, sizeof path, "%s/%s/model.safetensors", dir, tuned ? "tuned" : "base");
    return write_weights(path, tuned, err);
}

int main(int argc, char **argv)
{
    uint64_t n_layers;
    for (size_t i = 0; argc == 4 && i < sizeof shapes / sizeof *shapes; i++) {
        shape = qk_streq(argv[3], shapes[i].name) ? &shapes[i] : shape;
    }
    if (shape == NULL || !qk_parse_u64(argv[2], 1, 36, &n_layers)) {
        fprintf(stderr, "usage: make_pair DIR N_LAYERS (1 to 36) 9b|2b\n");
        return 2;
    }
    add("", "model.embed_tokens", VOCAB, shape->hidden);
    for (unsigned l = 0; l < n_layers; l++) {
        add_layer(l);
    }
    add("", "model.norm", shape->hidden, 0);
    struct qk_err err = {0};
    enum qk_code code = write_checkpoint(argv[1], false, (unsigned)n_layers, &err);
    if (code == QK_OK && shape->pair) {
        code = write_checkpoint(argv[1], true, (unsigned)n_layers, &err);
    }
    if (code != QK_OK) {
        fprintf(stderr, "make_pair: error: %s\n", err.text);
    }
    return qk_exit_status(code);
}
