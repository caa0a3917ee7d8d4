/* Configs and tensors that do not fit: each with the message that the user gets, naming field or tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

#define LLAMA "\"model_type\":\"llama\",\"hidden_size\":64,\"num_hidden_layers\":2"
#define HEADS "\"num_attention_heads\":4,\"num_key_value_heads\":2"

struct bad {
    const char *config;
    const char *without; /* a tensor of the llama manifest that is left out, or NULL */
    enum qk_code code;
    const char *text; /* must be in the message */
};

static const struct bad cases[] = {
    {"{}", NULL, QK_EFORMAT, "model_type: missing"},
    {"{\"model_type\":7}", NULL, QK_EFORMAT, "model_type: not a string"},
    {"{\"model_type\":\"llama\"}", NULL, QK_EFORMAT, "hidden_size: missing"},
    {"{" LLAMA "}", NULL, QK_EFORMAT, "num_attention_heads: missing"},
    {"{" LLAMA ",\"num_attention_heads\":0}", NULL, QK_EFORMAT,
     "num_attention_heads: out of range (expected 1 to 4096, found 0)"},
    {"{" LLAMA ",\"num_attention_heads\":-4}", NULL, QK_EFORMAT, "num_attention_heads: not an integer"},
    {"{" LLAMA ",\"num_attention_heads\":4.5}", NULL, QK_EFORMAT, "num_attention_heads: not an integer"},
    {"{" LLAMA ",\"num_attention_heads\":\"4\"}", NULL, QK_EFORMAT, "num_attention_heads: not an integer"},
    {"{" LLAMA ",\"num_attention_heads\":5}", NULL, QK_EFORMAT,
     "num_attention_heads: does not divide hidden_size (expected a divisor of 64, found 5)"},
    {"{" LLAMA ",\"num_attention_heads\":4,\"num_key_value_heads\":3}", NULL, QK_EFORMAT,
     "num_key_value_heads: does not divide num_attention_heads (expected a divisor of 4, found 3)"},
    {"{\"model_type\":\"llama\",\"hidden_size\":64,\"num_hidden_layers\":1000000000," HEADS "}", NULL, QK_EFORMAT,
     "num_hidden_layers: out of range (expected 1 to 4096, found 1000000000)"},
    {"{\"model_type\":\"llama\",\"hidden_size\":64,\"num_hidden_layers\":3," HEADS "}", NULL, QK_EFORMAT,
     "model.layers.2.self_attn.q_proj.weight: missing tensor"},
    {"{\"model_type\":\"llama\",\"hidden_size\":128,\"num_hidden_layers\":2," HEADS ",\"head_dim\":16}", NULL,
     QK_EFORMAT,
     "model.layers.0.self_attn.q_proj.weight: shape does not fit the config (expected [64, 128], found [64, 64])"},
    {"{" LLAMA "," HEADS ",\"head_dim\":32}", NULL, QK_EFORMAT, "(expected [128, 64], found [64, 64])"},
    {"{" LLAMA "," HEADS ",\"head_dim\":65537}", NULL, QK_EFORMAT, "head_dim: out of range"},
    {"{" LLAMA "," HEADS "}", "model.layers.1.self_attn.k_proj.weight", QK_EFORMAT,
     "model.layers.1.self_attn.k_proj.weight: missing tensor"},
    {"{" LLAMA "," HEADS "}", "model.layers.1.input_layernorm.weight", QK_EFORMAT,
     "model.layers.1.input_layernorm.weight: missing tensor"},
    {"{\"model_type\":\"gpt2\",\"n_embd\":64,\"n_layer\":2,\"n_head\":4}", NULL, QK_EFORMAT,
     "no tensor of layer 0 (expected names that start with 'transformer.h.0.')"},
    {"{" LLAMA "," HEADS ",\"rope_scaling\":{\"type\":\"spiral\",\"factor\":2}}", NULL, QK_EUNSUPPORTED,
     "rope_scaling: rope_type: unknown way of scaling 'spiral'"},
    {"{" LLAMA "," HEADS ",\"rope_scaling\":{\"type\":\"linear\"}}", NULL, QK_EFORMAT,
     "factor: missing or not positive"},
    {"{" LLAMA "," HEADS ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":-1}}", NULL, QK_EFORMAT, "factor: missing"},
    {"{" LLAMA "," HEADS ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4}}", NULL, QK_EFORMAT,
     "original_max_position_embeddings: missing"},
    {"{" LLAMA "," HEADS
     ",\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,\"original_max_position_embeddings\":64}}",
     NULL, QK_EFORMAT, "low_freq_factor, high_freq_factor: out of range"},
    {"{" LLAMA "," HEADS ",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,2]}}", NULL, QK_EFORMAT,
     "short_factor: not a list of one number per frequency (expected 8, found 2)"},
    {"{" LLAMA "," HEADS ",\"rope_scaling\":{\"type\":\"longrope\"}}", NULL, QK_EFORMAT, "short_factor: missing"},
    {"{" LLAMA "," HEADS ",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1,1,0,1,1,1,1]}}", NULL,
     QK_EFORMAT, "short_factor: value 3 is not positive"},
    {"{" LLAMA "," HEADS ",\"rope_theta\":0}", NULL, QK_EFORMAT, "rope_theta: out of range"},
    {"{" LLAMA "," HEADS ",\"rope_theta\":\"big\"}", NULL, QK_EFORMAT, "rope_theta: not a finite number"},
    {"{" LLAMA "," HEADS ",\"partial_rotary_factor\":1.5}", NULL, QK_EFORMAT, "partial_rotary_factor: out of range"},
    {"{" LLAMA "," HEADS ",\"partial_rotary_factor\":0.2}", NULL, QK_EFORMAT,
     "partial_rotary_factor: 3 rotary dimensions (expected an even number)"},
    {"{\"model_type\":\"qwen2\",\"hidden_size\":64,\"num_hidden_layers\":2," HEADS
     ",\"layer_types\":[\"full_attention\"]}",
     NULL, QK_EFORMAT, "layer_types: has not one entry per layer (expected 2, found 1)"},
    {"{\"model_type\":\"qwen2\",\"hidden_size\":64,\"num_hidden_layers\":2," HEADS
     ",\"layer_types\":[\"full_attention\",\"psychic\"]}",
     NULL, QK_EUNSUPPORTED, "layer_types: unknown kind of layer 'psychic'"},
    {"{\"model_type\":\"qwen2\",\"hidden_size\":64,\"num_hidden_layers\":2," HEADS
     ",\"layer_types\":[\"full_attention\",\"sliding_attention\"]}",
     NULL, QK_EFORMAT, "sliding_window: missing, but layer 1"},
    {"{\"model_type\":\"jet_nemotron\",\"hidden_size\":64,\"num_hidden_layers\":2," HEADS
     ",\"layer_types\":\"['attn', __import__('os')]\"}",
     NULL, QK_EFORMAT, "layer_types: a string that is not a list of quoted names"},
    {"{\"model_type\":\"jet_nemotron\",\"hidden_size\":64,\"num_hidden_layers\":2," HEADS
     ",\"layer_types\":\"['attn', 'attn'\"}",
     NULL, QK_EFORMAT, "layer_types: a string that is not a list of quoted names"},
    {"{\"model_type\":\"jet_nemotron\",\"hidden_size\":64,\"num_hidden_layers\":2," HEADS
     ",\"layer_types\":\"['attn']\"}",
     NULL, QK_EFORMAT, "layer_types: has not one entry per layer (expected 2, found 1)"},
    {"{\"model_type\":\"hypenet\",\"hidden_size\":64,\"num_hidden_layers\":2," HEADS
     ",\"mixer_types\":[\"rwkv\",\"attn\"]}",
     NULL, QK_EUNSUPPORTED, "mixer_types: layer 0 is of an unknown kind 'rwkv'"},
    {"{\"model_type\":\"nemotron_h\",\"hidden_size\":64,\"num_hidden_layers\":2," HEADS
     ",\"hybrid_override_pattern\":\"M?\"}",
     NULL, QK_EFORMAT, "hybrid_override_pattern: letter 1 is unknown"},
    {"{\"model_type\":\"kimi_linear\",\"hidden_size\":64,\"num_hidden_layers\":2," HEADS
     ",\"qk_nope_head_dim\":16,\"qk_rope_head_dim\":8,\"v_head_dim\":16,\"kv_lora_rank\":8,\"linear_attn_config\":"
     "{\"head_dim\":16,\"full_attn_layers\":[0]}}",
     NULL, QK_EFORMAT, "linear_attn_config.full_attn_layers: names a layer that does not exist (expected 1 to 2)"},
    {"{\"model_type\":\"qwen3_next\",\"hidden_size\":64,\"num_hidden_layers\":2," HEADS
     ",\"linear_num_key_heads\":3,\"linear_num_value_heads\":4,\"linear_key_head_dim\":8,\"linear_value_head_dim\":8}",
     NULL, QK_EFORMAT, "linear_num_value_heads: not a multiple of linear_num_key_heads"},
    {"{\"model_type\":\"something_else\",\"hidden_size\":64,\"num_hidden_layers\":2," HEADS "}", "*q_proj*",
     QK_EUNSUPPORTED, "model_type: 'something_else' is not known"},
    {"{\"model_type\":\"llama\",\"text_config\":{\"hidden_size\":64}}", NULL, QK_EFORMAT, "num_hidden_layers: missing"},
};

static void add_llama(struct fixture *f, const char *without)
{
    static const struct {
        const char *name, *dims;
    } tensors[] = {
        {"model.layers.%d.self_attn.q_proj.weight", "64,64"}, {"model.layers.%d.self_attn.k_proj.weight", "32,64"},
        {"model.layers.%d.self_attn.v_proj.weight", "32,64"}, {"model.layers.%d.self_attn.o_proj.weight", "64,64"},
        {"model.layers.%d.input_layernorm.weight", "64"},
    };
    for (int layer = 0; layer < 2; layer++) {
        for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
            char name[128];
            snprintf(name, sizeof name, tensors[i].name, layer);
            bool all = without && without[0] == '*';
            if (!without || (all ? !strstr(name, "q_proj") : strcmp(name, without) != 0)) {
                fixture_add(f, name, "BF16", tensors[i].dims, NULL);
            }
        }
    }
}

static void test_bad(void **state)
{
    const struct bad *bad = *state;
    struct fixture f;
    struct qk_ckpt *ckpt = NULL;
    struct qk_model *model = NULL;
    struct qk_err err = {0};
    fixture_init(&f);
    add_llama(&f, bad->without);
    fixture_write(&f, bad->config, 1);
    if (qk_ckpt_open(f.dir, &ckpt, &err) != QK_OK) {
        fail_msg("%s", err.text);
    }
    enum qk_code code = qk_model_open(ckpt, &model, &err);
    if (code == QK_OK) {
        qk_model_free(model);
        fail_msg("opened: %s", bad->config);
    }
    if (code != bad->code || !strstr(err.text, bad->text)) {
        fail_msg("%s\n  expected %d … %s\n  found %d %s", bad->config, bad->code, bad->text, code, err.text);
    }
    assert_null(model);
    assert_true(strstr(err.text, f.dir) != NULL); /* every message names the file or directory */
    qk_ckpt_close(ckpt);
    fixture_release(&f);
}

/* The manifest itself is fine, so that each case fails for its own reason. */
static void test_good(void **state)
{
    (void)state;
    struct fixture f;
    struct qk_ckpt *ckpt = NULL;
    struct qk_model *model = NULL;
    fixture_init(&f);
    add_llama(&f, NULL);
    fixture_write(&f, "{" LLAMA "," HEADS "}", 1);
    fixture_open(&f, &ckpt, &model);
    fixture_close(ckpt, model);
    fixture_release(&f);
}

int main(void)
{
    enum { N = sizeof cases / sizeof *cases };
    static struct CMUnitTest tests[N + 1];
    static char names[N][96];
    for (size_t i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "%zu %.80s", i, cases[i].text);
        tests[i] =
            (struct CMUnitTest){.name = names[i], .test_func = test_bad, .initial_state = (void *)(uintptr_t)&cases[i]};
    }
    tests[N] = (struct CMUnitTest){.name = "good", .test_func = test_good};
    return _cmocka_run_group_tests("errors", tests, N + 1, NULL, NULL);
}
