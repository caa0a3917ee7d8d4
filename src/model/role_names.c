/* What a tensor's name says about its role: the words that families share. */
#include "slices.h"

#include <string.h>

#include "base/str.h"

struct word {
    const char *leaf;      /* last component, ".weight" and ".bias" taken off */
    enum qk_role in_mixer; /* QK_N_ROLES: says nothing there */
    enum qk_role in_mlp;   /* below mlp, feed_forward, experts … */
    bool halves;           /* first half of the rows gate, second half up */
};

#define NOWHERE QK_N_ROLES

static const struct word words[] = {
    {"q_proj", QK_ROLE_Q, NOWHERE, false},
    {"k_proj", QK_ROLE_K, NOWHERE, false},
    {"v_proj", QK_ROLE_V, NOWHERE, false},
    {"o_proj", QK_ROLE_O, NOWHERE, false},
    {"out_proj", QK_ROLE_O, NOWHERE, false},
    {"dense", QK_ROLE_O, NOWHERE, false},
    {"wo", QK_ROLE_O, NOWHERE, false},
    {"c_proj", QK_ROLE_O, QK_ROLE_MLP_DOWN, false},
    /* fused projections: Q and K rows are claimed, V is what remains */
    {"c_attn", QK_ROLE_V, NOWHERE, false},
    {"query_key_value", QK_ROLE_V, NOWHERE, false},
    {"qkv_proj", QK_ROLE_V, NOWHERE, false},
    {"Wqkv", QK_ROLE_V, NOWHERE, false},
    {"wqkv", QK_ROLE_V, NOWHERE, false},
    {"in_proj_qkv", QK_ROLE_V, NOWHERE, false},
    {"in_proj_qkvz", QK_ROLE_V, NOWHERE, false},
    {"in_proj", QK_ROLE_V, NOWHERE, false},
    {"kv_b_proj", QK_ROLE_V, NOWHERE, false},
    {"o_gate", QK_ROLE_GATE, NOWHERE, false},
    {"z_proj", QK_ROLE_GATE, NOWHERE, false},
    {"g_proj", QK_ROLE_GATE, NOWHERE, false},
    {"g_a_proj", QK_ROLE_GATE, NOWHERE, false},
    {"g_b_proj", QK_ROLE_GATE, NOWHERE, false},
    {"in_proj_z", QK_ROLE_GATE, NOWHERE, false},
    {"output_gate", QK_ROLE_GATE, NOWHERE, false},
    {"gate_proj", QK_ROLE_MLP_GATE, QK_ROLE_MLP_GATE, false},
    {"up_proj", QK_ROLE_MLP_UP, QK_ROLE_MLP_UP, false},
    {"down_proj", QK_ROLE_MLP_DOWN, QK_ROLE_MLP_DOWN, false},
    {"gate", QK_ROLE_ROUTER, QK_ROLE_ROUTER, false},
    {"shared_expert_gate", QK_ROLE_ROUTER, QK_ROLE_ROUTER, false},
    {"e_score_correction_bias", QK_ROLE_ROUTER, QK_ROLE_ROUTER, false},
    {"expert_bias", QK_ROLE_ROUTER, QK_ROLE_ROUTER, false},
    {"w1", NOWHERE, QK_ROLE_MLP_GATE, false},
    {"w3", NOWHERE, QK_ROLE_MLP_UP, false},
    {"w2", NOWHERE, QK_ROLE_MLP_DOWN, false},
    {"c_fc", NOWHERE, QK_ROLE_MLP_UP, false},
    {"fc1", NOWHERE, QK_ROLE_MLP_UP, false},
    {"fc2", NOWHERE, QK_ROLE_MLP_DOWN, false},
    {"dense_h_to_4h", NOWHERE, QK_ROLE_MLP_UP, false},
    {"dense_4h_to_h", NOWHERE, QK_ROLE_MLP_DOWN, false},
    {"gate_up_proj", NOWHERE, QK_ROLE_MLP_GATE, true},
    {"input_linear", NOWHERE, QK_ROLE_MLP_GATE, true},
    {"output_linear", NOWHERE, QK_ROLE_MLP_DOWN, false},
    {"q_norm", QK_ROLE_QK_NORM, NOWHERE, false},
    {"k_norm", QK_ROLE_QK_NORM, NOWHERE, false},
    {"q_layernorm", QK_ROLE_QK_NORM, NOWHERE, false},
    {"k_layernorm", QK_ROLE_QK_NORM, NOWHERE, false},
    {"query_layernorm", QK_ROLE_QK_NORM, NOWHERE, false},
    {"key_layernorm", QK_ROLE_QK_NORM, NOWHERE, false},
    {"q_a_layernorm", QK_ROLE_QK_NORM, NOWHERE, false},
    {"kv_a_layernorm", QK_ROLE_QK_NORM, NOWHERE, false},
    {"b_layernorm", QK_ROLE_QK_NORM, NOWHERE, false},
    {"c_layernorm", QK_ROLE_QK_NORM, NOWHERE, false},
    {"A_log", QK_ROLE_DECAY, NOWHERE, false},
    {"dt_bias", QK_ROLE_DECAY, NOWHERE, false},
    {"dt_proj", QK_ROLE_DECAY, NOWHERE, false},
    {"dt_layernorm", QK_ROLE_DECAY, NOWHERE, false},
    {"a_proj", QK_ROLE_DECAY, NOWHERE, false},
    {"in_proj_a", QK_ROLE_DECAY, NOWHERE, false},
    {"f_a_proj", QK_ROLE_DECAY, NOWHERE, false},
    {"f_b_proj", QK_ROLE_DECAY, NOWHERE, false},
    {"slope_rate", QK_ROLE_DECAY, NOWHERE, false},
    {"query_decay", QK_ROLE_DECAY, NOWHERE, false},
    {"key_decay", QK_ROLE_DECAY, NOWHERE, false},
    {"diagonal_decay", QK_ROLE_DECAY, NOWHERE, false},
    {"b_proj", QK_ROLE_BETA, NOWHERE, false},
    {"in_proj_b", QK_ROLE_BETA, NOWHERE, false},
    {"x_proj", QK_ROLE_SSM, NOWHERE, false},
    {"D", QK_ROLE_SSM, NOWHERE, false},
};

static const char *const mlp_words[] = {"mlp", "feed_forward", "block_sparse_moe", "shared_mlp",
                                        "moe", "ffn",          "experts"};

/* True when one of name's components is word. */
static bool has_component(const char *name, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = strstr(name, word); at; at = strstr(at + 1, word)) {
        if ((at == name || at[-1] == '.') && (at[n] == '.' || at[n] == 0)) {
            return true;
        }
    }
    return false;
}

static bool in_mlp(const char *name)
{
    for (size_t i = 0; i < sizeof mlp_words / sizeof *mlp_words; i++) {
        if (has_component(name, mlp_words[i])) {
            return true;
        }
    }
    return false;
}

enum qk_role qk_role_by_name(const char *suffix, bool *ret_halves)
{
    const char *end = suffix + strlen(suffix);
    if (qk_str_ends(suffix, ".weight")) {
        end -= strlen(".weight");
    } else if (qk_str_ends(suffix, ".bias")) {
        end -= strlen(".bias");
    }
    const char *leaf = end;
    while (leaf > suffix && leaf[-1] != '.') {
        leaf--;
    }
    size_t n = (size_t)(end - leaf);
    bool mlp = in_mlp(suffix);
    *ret_halves = false;
    if (strstr(suffix, "conv")) {
        return QK_ROLE_CONV;
    }
    if (has_component(suffix, "router")) {
        return QK_ROLE_ROUTER;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const struct word *w = &words[i];
        if (w->leaf[0] == leaf[0] && strlen(w->leaf) == n && !memcmp(w->leaf, leaf, n)) {
            enum qk_role role = mlp ? w->in_mlp : w->in_mixer;
            if (role != NOWHERE) {
                *ret_halves = w->halves;
                return role;
            }
        }
    }
    bool norm = n > 0 && (strstr(leaf, "norm") || qk_str_starts(leaf, "ln_"));
    return norm ? QK_ROLE_NORM : QK_ROLE_OTHER;
}
