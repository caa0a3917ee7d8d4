/* Which rows play which role in the layouts that are fused, stacked, shared or parallel. Facts by hand from the
 * reference layouts; that every row is covered once is test_families' business. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

struct fact {
    const char *model, *tensor;
    uint64_t first, count; /* one slice, exactly */
    enum qk_role role;
};

static const struct fact facts[] = {
    {"granitemoehybrid", "model.layers.0.block_sparse_moe.input_linear.weight", 64, 32, QK_ROLE_MLP_GATE},
    {"granitemoehybrid", "model.layers.0.block_sparse_moe.input_linear.weight", 96, 32, QK_ROLE_MLP_UP},
    {"granitemoehybrid", "model.layers.0.block_sparse_moe.output_linear.weight", 0, 256, QK_ROLE_MLP_DOWN},
    {"granitemoehybrid", "model.layers.0.shared_mlp.input_linear.weight", 64, 64, QK_ROLE_MLP_UP},
    {"granitemoehybrid", "model.layers.0.block_sparse_moe.router.layer.weight", 0, 4, QK_ROLE_ROUTER},
    {"granitemoehybrid", "model.layers.0.mamba.in_proj.weight", 0, 128, QK_ROLE_GATE},
    {"granitemoehybrid", "model.layers.0.mamba.in_proj.weight", 128, 128, QK_ROLE_V},
    {"granitemoehybrid", "model.layers.0.mamba.in_proj.weight", 256, 32, QK_ROLE_K},
    {"granitemoehybrid", "model.layers.0.mamba.in_proj.weight", 288, 32, QK_ROLE_Q},
    {"granitemoehybrid", "model.layers.0.mamba.in_proj.weight", 320, 8, QK_ROLE_DECAY},
    {"granitemoehybrid", "model.layers.0.mamba.D", 0, 8, QK_ROLE_SSM},
    {"falcon_h1", "model.layers.0.mamba.in_proj.weight", 0, 256, QK_ROLE_SSM},
    {"falcon_h1", "model.layers.0.mamba.in_proj.weight", 256, 6, QK_ROLE_DECAY},
    {"falcon_h1", "model.layers.0.mamba.out_proj.weight", 0, 64, QK_ROLE_SSM},
    {"falcon_h1", "model.layers.0.self_attn.o_proj.weight", 0, 64, QK_ROLE_O},
    {"falcon_h1", "model.layers.0.mamba.conv1d.bias", 0, 160, QK_ROLE_CONV},
    {"qwen3_next", "model.layers.2.self_attn.q_proj.weight", 16, 16, QK_ROLE_GATE},
    {"qwen3_next", "model.layers.2.self_attn.q_proj.weight", 32, 16, QK_ROLE_Q},
    {"qwen3_next", "model.layers.0.linear_attn.in_proj_qkvz.weight", 128, 32, QK_ROLE_V},
    {"qwen3_next", "model.layers.0.linear_attn.in_proj_qkvz.weight", 160, 32, QK_ROLE_GATE},
    {"qwen3_next", "model.layers.0.linear_attn.in_proj_ba.weight", 4, 2, QK_ROLE_BETA},
    {"qwen3_next", "model.layers.0.linear_attn.in_proj_ba.weight", 6, 2, QK_ROLE_DECAY},
    {"qwen3_next", "model.layers.0.mlp.shared_expert_gate.weight", 0, 1, QK_ROLE_ROUTER},
    {"qwen3_5_text", "model.layers.0.linear_attn.in_proj_qkv.weight", 64, 64, QK_ROLE_V},
    {"qwen3_5_text", "model.layers.0.linear_attn.in_proj_z.weight", 0, 64, QK_ROLE_GATE},
    {"qwen3_5_text", "model.layers.0.linear_attn.in_proj_a.weight", 0, 4, QK_ROLE_DECAY},
    {"qwen3_5_text", "model.layers.0.linear_attn.in_proj_b.weight", 0, 4, QK_ROLE_BETA},
    {"minimax", "model.layers.0.self_attn.qkv_proj.weight", 32, 16, QK_ROLE_V},
    {"minimax", "model.layers.0.self_attn.slope_rate", 0, 4, QK_ROLE_DECAY},
    {"minimax", "model.layers.0.self_attn.diagonal_decay", 0, 256, QK_ROLE_DECAY},
    {"minimax", "model.layers.0.self_attn.key_decay", 0, 256, QK_ROLE_DECAY},
    {"minimax", "model.layers.0.self_attn.output_gate.weight", 0, 64, QK_ROLE_GATE},
    {"minimax", "model.layers.0.self_attn.norm.weight", 0, 64, QK_ROLE_NORM},
    {"minimax", "model.layers.0.block_sparse_moe.experts.1.w3.weight", 0, 48, QK_ROLE_MLP_UP},
    {"jet_nemotron", "model.layers.0.self_attn.dynamic_conv1d.kernel_generator.w2.bias", 0, 384, QK_ROLE_CONV},
    {"jet_nemotron", "model.layers.0.self_attn.g_proj.weight", 0, 96, QK_ROLE_GATE},
    {"jet_nemotron", "model.layers.1.self_attn.q_proj.bias", 0, 64, QK_ROLE_QK_BIAS},
    {"jet_nemotron", "model.layers.1.self_attn.v_proj.bias", 0, 32, QK_ROLE_V},
    {"hypenet_hype", "model.layers.2.self_attn.o_gate.weight", 0, 64, QK_ROLE_GATE},
    {"hypenet_hype", "model.layers.0.self_attn.z_proj.weight", 0, 64, QK_ROLE_GATE},
    {"hypenet_hype", "model.layers.0.self_attn.o_norm.weight", 0, 64, QK_ROLE_NORM},
    {"hypenet_hype", "model.layers.0.self_attn.q_norm.weight", 0, 16, QK_ROLE_QK_NORM},
    {"kimi_linear", "model.layers.0.block_sparse_moe.gate_proj.weight", 0, 112, QK_ROLE_MLP_GATE},
    {"kimi_linear", "model.layers.1.block_sparse_moe.gate.e_score_correction_bias", 0, 4, QK_ROLE_ROUTER},
    {"kimi_linear", "model.layers.0.self_attn.A_log", 0, 4, QK_ROLE_DECAY},
    {"kimi_linear", "model.layers.0.self_attn.f_b_proj.weight", 0, 64, QK_ROLE_DECAY},
    {"kimi_linear", "model.layers.0.self_attn.g_b_proj.weight", 0, 64, QK_ROLE_GATE},
    {"kimi_linear", "model.layers.0.self_attn.k_conv1d.weight", 0, 64, QK_ROLE_CONV},
    {"kimi_linear", "model.layers.2.self_attn.kv_b_proj.weight", 16, 16, QK_ROLE_V},
    {"kimi_linear", "model.layers.2.self_attn.kv_a_proj_with_mqa.weight", 0, 32, QK_ROLE_K},
    {"jamba", "model.layers.0.mamba.in_proj.weight", 96, 96, QK_ROLE_GATE},
    {"jamba", "model.layers.0.mamba.x_proj.weight", 0, 4, QK_ROLE_DECAY},
    {"jamba", "model.layers.0.mamba.x_proj.weight", 12, 8, QK_ROLE_Q},
    {"jamba", "model.layers.0.mamba.b_layernorm.weight", 0, 8, QK_ROLE_QK_NORM},
    {"lfm2", "model.layers.0.conv.in_proj.weight", 0, 192, QK_ROLE_CONV},
    {"lfm2", "model.layers.0.feed_forward.w2.weight", 0, 64, QK_ROLE_MLP_DOWN},
    {"lfm2", "model.layers.2.self_attn.out_proj.weight", 0, 64, QK_ROLE_O},
    {"olmo_hybrid", "model.layers.0.linear_attn.b_proj.weight", 0, 4, QK_ROLE_BETA},
    {"phi3", "model.layers.0.mlp.gate_up_proj.weight", 128, 128, QK_ROLE_MLP_UP},
    {"phi3", "model.layers.0.self_attn.qkv_proj.weight", 96, 32, QK_ROLE_V},
    {"gpt2", "transformer.h.0.attn.c_attn.weight", 128, 64, QK_ROLE_V},
    {"gpt2", "transformer.h.0.attn.c_attn.bias", 0, 128, QK_ROLE_QK_BIAS},
    {"gpt2", "transformer.h.0.attn.c_proj.weight", 0, 64, QK_ROLE_O},
    {"gpt2", "transformer.h.0.mlp.c_proj.weight", 0, 256, QK_ROLE_MLP_DOWN},
    {"gpt_neox", "gpt_neox.layers.0.attention.query_key_value.bias", 32, 16, QK_ROLE_V},
    {"gpt_neox", "gpt_neox.layers.0.attention.dense.weight", 0, 64, QK_ROLE_O},
    {"gpt_neox", "gpt_neox.layers.0.mlp.dense_h_to_4h.weight", 0, 160, QK_ROLE_MLP_UP},
    {"qwen3_moe", "model.layers.0.mlp.experts.gate_up_proj", 144, 48, QK_ROLE_MLP_UP},
    {"qwen3_moe", "model.layers.0.mlp.experts.down_proj", 0, 256, QK_ROLE_MLP_DOWN},
    {"gpt_oss", "model.layers.0.mlp.experts.gate_up_proj_bias", 0, 4, QK_ROLE_MLP_UP},
    {"gpt_oss", "model.layers.0.self_attn.sinks", 0, 8, QK_ROLE_OTHER},
    {"zamba2", "model.layers.1.shared_transformer.self_attn.linear_k_adapter_list.2.0.weight", 0, 8, QK_ROLE_K},
    {"zamba2", "model.layers.1.shared_transformer.self_attn.linear_v_adapter_list.0.1.weight", 0, 128, QK_ROLE_V},
    {"zamba2", "model.layers.1.mamba_decoder.mamba.in_proj.weight", 288, 8, QK_ROLE_DECAY},
    {"nemotron_h", "backbone.layers.3.mixer.gate.weight", 0, 2, QK_ROLE_ROUTER},
    {"nemotron_h", "backbone.layers.1.mixer.up_proj.weight", 0, 128, QK_ROLE_MLP_UP},
    {"internlm2", "model.layers.0.attention.wqkv.weight", 40, 8, QK_ROLE_V},
    {"bailing_linear", "model.layers.0.attention.g_norm.weight", 0, 64, QK_ROLE_NORM},
};

static void check_fact(const struct qk_model *m, const struct fact *fact)
{
    for (size_t i = 0; i < m->n_layers; i++) {
        for (size_t s = 0; s < m->layers[i].n_slices; s++) {
            const struct qk_slice *slice = &m->layers[i].slices[s];
            if (!strcmp(slice->rows.tensor->name, fact->tensor) && slice->rows.first == fact->first) {
                if (slice->role != fact->role || slice->rows.count != fact->count) {
                    fail_msg("%s: %s from row %llu: expected %llu rows of %s, found %llu of %s", fact->model,
                             fact->tensor, (unsigned long long)fact->first, (unsigned long long)fact->count,
                             qk_role_name(fact->role), (unsigned long long)slice->rows.count,
                             qk_role_name(slice->role));
                }
                return;
            }
        }
    }
    fail_msg("%s: no slice of %s starts at row %llu", fact->model, fact->tensor, (unsigned long long)fact->first);
}

static void test_roles(void **state)
{
    (void)state;
    struct fixture f;
    struct qk_ckpt *ckpt = NULL;
    struct qk_model *model = NULL;
    const char *open = "";
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        if (strcmp(open, facts[i].model) != 0) {
            char rest[256];
            if (model) {
                fixture_close(ckpt, model);
                fixture_release(&f);
            }
            open = facts[i].model;
            fixture_init(&f);
            snprintf(rest, sizeof rest, "models/%s/tensors.txt", open);
            fixture_add_manifest(&f, fixture_data(rest));
            snprintf(rest, sizeof rest, "models/%s/config.json", open);
            char *config = fixture_slurp(fixture_data(rest));
            fixture_write(&f, config, 1);
            free(config);
            fixture_open(&f, &ckpt, &model);
        }
        check_fact(model, &facts[i]);
    }
    fixture_close(ckpt, model);
    fixture_release(&f);
}

static void test_names(void **state)
{
    (void)state;
    enum qk_layer_kind kind = QK_LAYER_FULL;
    for (unsigned i = 0; i < QK_N_LAYER_KINDS; i++) {
        assert_true(qk_layer_kind_by_name(qk_layer_kind_name((enum qk_layer_kind)i), &kind));
        assert_int_equal(kind, i);
    }
    assert_false(qk_layer_kind_by_name("softmax", &kind));
    for (unsigned i = 0; i < QK_N_ROLES; i++) {
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(qk_role_name((enum qk_role)i), qk_role_name((enum qk_role)k));
        }
    }
    assert_string_equal(qk_position_name(QK_POSITION_NONE), "nope");
}

/* Every family is complete, names and model types are unique, and the fallback is last. */
static void test_table(void **state)
{
    (void)state;
    size_t n = qk_family_count();
    assert_true(n > 30);
    for (size_t i = 0; i < n; i++) {
        const struct qk_family *f = qk_family_at(i);
        assert_true(f->name && f->title && f->layout && f->build && (f->support & QK_SUPPORT_WEIGHTS));
        assert_true(i + 1 == n || f->model_types[0]);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(f->name, qk_family_at(k)->name);
            for (const char *const *a = f->model_types; *a; a++) {
                for (const char *const *b = qk_family_at(k)->model_types; *b; b++) {
                    assert_string_not_equal(*a, *b);
                }
            }
        }
    }
    assert_string_equal(qk_family_at(n - 1)->name, "by_names");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_roles), cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_table)};
    return cmocka_run_group_tests_name("roles", tests, NULL, NULL);
}
