/* Small checkpoints made by a test. */
#include "made_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/str.h"

static void fill(double *x, size_t n, double mean, double size, struct qk_rng *rng)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = mean + size * qk_rng_normal(rng);
    }
}

void made_fill(struct made_weights *w, enum made_family family, struct qk_rng *rng)
{
    /* everything that follows the family is doubles */
    fill((double *)(void *)w->q, (sizeof(*w) - offsetof(struct made_weights, q)) / sizeof(double), 0.0, 0.1, rng);
    w->family = family;
    fill(&w->norm[0][0][0], sizeof(w->norm) / sizeof(double), 1.0, 0.2, rng);
    fill(&w->qk_norm[0][0][0], sizeof(w->qk_norm) / sizeof(double), 1.0, 0.2, rng);
}

void made_move(struct made_weights *w, double size, struct qk_rng *rng)
{
    double *x = (double *)(void *)w->q;
    size_t n = (sizeof(*w) - offsetof(struct made_weights, q)) / sizeof(double);
    for (size_t i = 0; i < n; i++) {
        x[i] *= 1.0 + size * qk_rng_normal(rng);
    }
}

struct writer {
    struct qk_str header, data;
};

static void put(struct writer *out, const char *name, const double *values, size_t rows, size_t columns)
{
    size_t bytes = rows * (columns == 0 ? 1 : columns) * sizeof(double);
    qk_str_addf(&out->header, "%s\"%s\":{\"dtype\":\"F64\",\"shape\":[%zu", out->header.len == 0 ? "{" : ",", name,
                rows);
    if (columns > 0) {
        qk_str_addf(&out->header, ",%zu", columns);
    }
    qk_str_addf(&out->header, "],\"data_offsets\":[%zu,%zu]}", out->data.len, out->data.len + bytes);
    qk_str_addn(&out->data, (const char *)values, bytes);
}

static void put_layer(struct writer *out, const struct made_weights *w, size_t l)
{
    const struct {
        const char *name;
        const double *values;
        size_t rows, columns;
    } tensors[] = {
        {"self_attn.q_proj", &w->q[l][0][0], MADE_HEADS * MADE_K, MADE_D},
        {"self_attn.k_proj", &w->k[l][0][0], MADE_KV * MADE_K, MADE_D},
        {"self_attn.v_proj", &w->v[l][0][0], MADE_KV * MADE_K, MADE_D},
        {"self_attn.o_proj", &w->o[l][0][0], MADE_D, MADE_HEADS * MADE_K},
        {"mlp.gate_proj", &w->gate[l][0][0], MADE_MLP, MADE_D},
        {"mlp.up_proj", &w->up[l][0][0], MADE_MLP, MADE_D},
        {"mlp.down_proj", &w->down[l][0][0], MADE_D, MADE_MLP},
        {"input_layernorm", w->norm[l][0], MADE_D, 0},
        {"post_attention_layernorm", w->norm[l][1], MADE_D, 0},
        {"self_attn.q_norm", w->qk_norm[l][0], MADE_K, 0},
        {"self_attn.k_norm", w->qk_norm[l][1], MADE_K, 0},
    };
    size_t n = sizeof(tensors) / sizeof(tensors[0]) - (w->family == MADE_QWEN3 ? 0 : 2);
    for (size_t t = 0; t < n; t++) {
        char name[128];
        snprintf(name, sizeof(name), "model.layers.%zu.%s.weight", l, tensors[t].name);
        put(out, name, tensors[t].values, tensors[t].rows, tensors[t].columns);
    }
}

static bool write_to(const char *dir, const char *name, const void *data, size_t n)
{
    char path[512];
    struct qk_err err;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return qk_atomic_put(path, true, data, n, &err) == QK_OK;
}

static bool write_config(const struct made_weights *w, const char *dir)
{
    struct qk_str config = {0};
    qk_str_addf(&config,
                "{\"model_type\":\"%s\",\"hidden_size\":%d,\"num_hidden_layers\":%d,\"num_attention_heads\":%d,"
                "\"num_key_value_heads\":%d,\"head_dim\":%d,\"intermediate_size\":%d,\"vocab_size\":%d,"
                "\"max_position_embeddings\":1000,\"rope_theta\":10000.0,\"tie_word_embeddings\":true,"
                "\"rms_norm_eps\":1e-6,\"attention_bias\":false",
                w->family == MADE_QWEN3 ? "qwen3" : "smollm3", MADE_D, MADE_LAYERS, MADE_HEADS, MADE_KV, MADE_K,
                MADE_MLP, MADE_VOCAB);
    qk_str_add(&config, w->family == MADE_QWEN3 ? "}" : ",\"no_rope_layers\":[1,0,1]}");
    bool ok = !config.failed && write_to(dir, "config.json", config.s, config.len);
    qk_str_release(&config);
    return ok;
}

bool made_write(const struct made_weights *w, const char *dir)
{
    struct writer out = {0};
    put(&out, "model.embed_tokens.weight", &w->embedding[0][0], MADE_VOCAB, MADE_D);
    for (size_t l = 0; l < MADE_LAYERS; l++) {
        put_layer(&out, w, l);
    }
    put(&out, "model.norm.weight", w->last_norm, MADE_D, 0);
    qk_str_addc(&out.header, '}');
    while (out.header.len % 8 != 0) {
        qk_str_addc(&out.header, ' ');
    }
    uint64_t length = out.header.len;
    struct qk_str file = {0};
    qk_str_addn(&file, (const char *)&length, sizeof(length));
    qk_str_addn(&file, out.header.s, out.header.len);
    qk_str_addn(&file, out.data.s, out.data.len);
    bool ok = !file.failed && !out.header.failed && !out.data.failed &&
              write_to(dir, "model.safetensors", file.s, file.len) && write_config(w, dir);
    qk_str_release(&file);
    qk_str_release(&out.header);
    qk_str_release(&out.data);
    return ok;
}

void made_open(struct made_input *in, const char *dir, const char *name)
{
    struct qk_err err = {0};
    if (qk_ckpt_open(dir, &in->ckpt, &err) != QK_OK || qk_model_open(in->ckpt, &in->model, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    in->input = (struct qk_run_input){.name = name, .ckpt = in->ckpt, .model = in->model};
}

void made_close(struct made_input *in)
{
    qk_model_free(in->model);
    qk_ckpt_close(in->ckpt);
}
