"""Adapters that must be refused, each with its one line.

usage: check_adapter_refusals.py QKSCOPE DATA
"""
import json
import os
import sys

import numpy as np

import adapter_files as af
from adapter_check import attention, call, expect, fixture, key, lora, main

def refusals(qkscope, data, work):
    source, config = fixture(data, "weights/llama/base")
    path, tuned = os.path.join(work, "base"), os.path.join(work, "adapter")
    base = af.checkpoint(path, source, config)
    module = attention(1, "q_proj")
    good, _ = lora(np.random.default_rng(7), base, [module])
    weights = os.path.join(tuned, "adapter_model.safetensors")
    settings = os.path.join(tuned, "adapter_config.json")
    a, b = key(module, "lora_A.weight"), key(module, "lora_B.weight")
    dims = base[module + ".weight"][1].shape
    zeros = {n: ("F32", np.zeros(s, np.float32)) for n, s in
             (("long A", (4, dims[1] + 1)), ("rank 3", (3, dims[1])), ("wide B", (dims[0], 5)), ("tall B", (dims[0] + 1, 4)),
              ("cube", (4, 4, 4)), ("none", (0, dims[1])), ("dims", dims), ("out", (dims[0],)), ("row", (dims[0] + 1,)))}

    def refused(what, status, line, tensors=None, hint="", alter=None, **more):
        af.adapter(tuned, good if tensors is None else tensors, **{"target_modules": ["q_proj"], **more})
        if alter is not None:
            alter()
        result = call(qkscope, "inspect", tuned, "--base-model", path)
        error = result.stderr.decode()
        first = error.split("\n")[0]
        expect(result.returncode == status and line in first and first.startswith("qkscope: error: " + tuned),
               f"{what}: exit {result.returncode}, {error!r}")
        expect(hint in error, f"{what}: no hint '{hint}' in {error!r}")
        expect(error.count("\n") <= 2, f"{what}: more than an error and a hint: {error!r}")

    af.adapter(tuned, good, target_modules=["q_proj"])
    expect(call(qkscope, "inspect", tuned, "--base-model", path).returncode == 0, "the good adapter is refused")

    def edit(**changes):
        return {n: t for n, t in {**good, **changes.get("put", {})}.items() if n not in changes.get("drop", ())}

    # the file of weights
    refused("A alone", 4, f"{a}: partner is missing (expected the factor B", edit(drop=[b]))
    refused("B alone", 4, f"{b}: partner is missing (expected the factor A", edit(drop=[a]))
    refused("A too long", 4, f"{a}: wrong shape (expected (4, {dims[1]})", edit(put={a: zeros["long A"]}))
    refused("A of rank 3", 4, f"{a}: wrong shape (expected (4, …) by r and rank_pattern", edit(put={a: zeros["rank 3"]}))
    refused("B of rank 5", 4, f"{b}: wrong shape (expected (…, 4)", edit(put={b: zeros["wide B"]}))
    refused("B too tall", 4, f"{b}: wrong shape (expected ({dims[0]}, 4)", edit(put={b: zeros["tall B"]}))
    refused("A of three dimensions", 4, f"{a}: wrong shape", edit(put={a: zeros["cube"]}))
    refused("A empty", 4, f"{a}: no elements", edit(put={a: zeros["none"]}))
    refused("other rank by pattern", 4, f"{a}: wrong shape (expected (2, …)", rank_pattern={"q_proj": 2})
    refused("no such module", 4, "the base has no such module (expected a tensor 'model.layers.9.self_attn.q_proj.weight'",
            {n.replace("layers.1", "layers.9"): t for n, t in good.items()}, hint="is this the base")
    untied = {n: t for n, t in source.items() if n != "lm_head.weight"}
    embedding = untied["model.embed_tokens.weight"]
    base = af.checkpoint(path, untied, config)
    refused("an output layer for a base that ties it", 4, "the base has no such module",
            edit(put={"base_model.model.lm_head.weight": ("F32", embedding[1] + 1)}), hint="ties its output layer")
    refused("another embedding than the output layer", 4, "the base has no such module",
            edit(put={"base_model.model.lm_head.weight": embedding,
                      "base_model.model.model.embed_tokens.weight": ("F32", embedding[1] + 1)}), hint="ties its output")
    base = af.checkpoint(path, source, config)
    refused("two adapters", 4, "more than one adapter",
            edit(put={key(module, "lora_A.x.weight"): good[a], key(module, "lora_B.x.weight"): good[b]}))
    refused("twice", 4, "given twice (the other is", edit(put={a.replace("base_model.model.", ""): good[a]}))
    refused("not chosen", 4, "the config does not choose module", hint="does not belong", target_modules=["v_proj"])
    refused("not in these layers", 4, "the config does not choose module", layers_to_transform=[0, 2])
    refused("excluded", 4, "the config does not choose module", exclude_modules=["q_proj"])
    refused("excluded by expression", 4, "the config does not choose module", exclude_modules=r".*\.1\..*")
    refused("norm is no matrix", 4, "only linear layers and embeddings",
            {n.replace("self_attn.q_proj", "input_layernorm"): t for n, t in good.items()},
            target_modules=["input_layernorm"])
    refused("saved of another shape", 4, "wrong shape (expected (",
            edit(put={"base_model.model.model.embed_tokens.weight": zeros["dims"]}), hint="vocabulary was resized")
    refused("8-bit factors", 4, "no type for an adapter (expected F32, BF16, F16 or F64, found I8)", alter=lambda: (
        open(weights, "wb").write((lambda t: len(t).to_bytes(8, "little") + t + b"\0" * 4)(json.dumps(
            {a: {"dtype": "I8", "shape": [4, 1], "data_offsets": [0, 4]}}).encode()))))
    refused("nothing", 4, "changes nothing", {})
    refused("bias of A", 4, "a bias of lora_A is not known", edit(put={key(module, "lora_A.bias"): zeros["out"]}))
    refused("bias where there is none", 4, "the base has no such module",
            edit(put={key(module, "lora_B.bias"): zeros["out"]}))
    refused("trained tokens", 4, "another kind of adapter",
            edit(put={"base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta": zeros["dims"]}))
    refused("another lora", 4, "another kind of adapter", edit(put={key(module, "lora_C.weight"): zeros["dims"]}))
    refused("DoRA without magnitude", 4, "DoRA's magnitude is missing", use_dora=True)
    magnitude = key(module, "lora_magnitude_vector")
    refused("magnitude without DoRA", 4, "does not say use_dora", edit(put={magnitude: zeros["out"]}))
    refused("magnitude of wrong length", 4, f"{magnitude}: wrong shape", edit(put={magnitude: zeros["row"]}), use_dora=True)
    refused("magnitude alone", 4, "a magnitude without its factors", {magnitude: zeros["out"]}, use_dora=True)
    refused("DoRA of an embedding", 4, "DoRA of an embedding", {
        key("model.embed_tokens", "lora_embedding_A"): zeros["dims"],
        key("model.embed_tokens", "lora_embedding_B"): zeros["dims"]}, use_dora=True)
    refused("truncated", 4, "adapter_model.safetensors", alter=lambda: os.truncate(weights, 300))
    refused("no weights", 4, "adapter weights are missing (expected adapter_model.safetensors, found none)",
            alter=lambda: os.remove(weights))
    refused("pickle", 4, "adapter weights are missing (expected adapter_model.safetensors, found adapter_model.bin)",
            hint="safe_serialization", alter=lambda: os.rename(weights, os.path.join(tuned, "adapter_model.bin")))
    refused("a pointer", 4, "Git-LFS", alter=lambda: open(weights, "w").write(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"))
    # the config
    refused("no JSON", 4, "adapter_config.json", alter=lambda: open(settings, "w").write("{"))
    refused("no object", 4, "adapter_config.json", alter=lambda: open(settings, "w").write("[]"))
    refused("another method", 4, "peft_type: not a LoRA adapter (expected LORA, found IA3)", peft_type="IA3")
    refused("no method", 4, "peft_type: not a LoRA adapter (expected LORA, found none)", peft_type=None)
    refused("rank 0", 4, "r: no rank (expected an integer from 1", r=0)
    refused("rank as text", 4, ": r:", r="4")
    refused("huge rank", 4, "r: no rank", r=10 ** 9)
    refused("alpha as text", 4, "lora_alpha", lora_alpha="8")
    refused("alpha not finite", 4, "lora_alpha: not finite", lora_alpha=float("inf"))
    refused("rank pattern of another type", 4, "rank_pattern: no table of patterns", rank_pattern=[4])
    refused("rank pattern 0", 4, "rank_pattern: 'q_proj' has no usable value (expected an integer", rank_pattern={"q_proj": 0})
    refused("alpha pattern text", 4, "alpha_pattern: 'q_proj' has no usable value", alpha_pattern={"q_proj": "x"})
    refused("bad expression", 4, "alpha_pattern: '(q_proj': no regular expression: '('", alpha_pattern={"(q_proj": 1})
    refused("lookahead", 4, "alpha_pattern: '(?=q)q_proj': '(?' with lookaround", alpha_pattern={"(?=q)q_proj": 1})
    refused("endless expression", 4, "too many steps", alpha_pattern={"((a{100}){100}){100}": 1})
    refused("bad targets", 4, "target_modules: of another type", target_modules=[1])
    refused("bad target expression", 4, "target_modules: no regular expression", target_modules="q_proj)")
    refused("bad layers", 4, "layers_to_transform: of another type", layers_to_transform="x")
    refused("bad pattern of layers", 4, "layers_pattern: of another type", layers_pattern=[3], layers_to_transform=[1])
    for init in ("pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga"):
        refused(init, 4, f"init_lora_weights: '{init}' changes the base's weights", init_lora_weights=init,
                hint="path_initial_model_for_weight_conversion")
    for field, value in (("alora_invocation_tokens", [1]), ("arrow_config", {"top_k": 1}), ("kasa_config", {"beta": 1}),
                         ("layer_replication", [[0, 2]]), ("monteclora_config", {"x": 1}), ("target_parameters", ["w"]),
                         ("trainable_token_indices", [3]), ("use_bdlora", {"nblocks": 2}), ("use_qalora", True)):
        refused(field, 4, f"adapter_config.json: {field}: ", **{field: value})
    # the base
    af.adapter(tuned, good, target_modules=["q_proj"], base_model_name_or_path="meta-llama/none")
    for words in (["inspect", tuned], ["generate", tuned, "--ids", "3"]):
        result = call(qkscope, *words)
        expect(result.returncode == 2 and b"base_model_name_or_path: the adapter's base is needed (expected a local "
               b"directory, found 'meta-llama/none')" in result.stderr and b"--base-model" in result.stderr,
               f"{words[0]} without base: {result.stderr.decode()!r}")
    result = call(qkscope, "inspect", tuned, "--base-model", os.path.join(work, "nowhere"))
    expect(result.returncode == 3 and b"nowhere" in result.stderr, f"a base that is not there: {result.stderr!r}")
    result = call(qkscope, "inspect", tuned, "--base-model", tuned)
    expect(result.returncode == 4 and b"PEFT adapter" in result.stderr, f"an adapter as base: {result.stderr!r}")


main(refusals, *sys.argv[1:3])
