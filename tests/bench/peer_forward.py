"""HypeNet's layers in PyTorch on the CPU, float32 from bf16 weights, for `make bench`.

usage: peer_forward.py CKPT TOKENS LAST    prints one line of JSON: seconds and CPU seconds (best), sum of
    the last losses, threads

What PyTorch has that is fast is used: products by its BLAS (the caller chooses the kernels), softmax attention in blocks
of rows that leave out what is masked, lightning attention in chunks, in-place element-wise work; several sizes of block
and chunk are tried and the fastest counts. Rotary angles are made beforehand.
"""
import json
import os
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "run"))
from hypenet_reference import load, slopes  # noqa: E402

torch.set_num_threads(os.cpu_count())
torch.set_grad_enabled(False)


class Peer:
    def __init__(self, directory, n_tokens):
        self.c, weights = load(directory)
        self.w = {name: torch.from_numpy(w.astype("float32")) for name, w in weights.items()}
        k = self.c["head_dim"]
        angle = torch.arange(n_tokens, dtype=torch.float64)[:, None]
        angle = angle * self.c["rope_theta"] ** (-torch.arange(0, k, 2, dtype=torch.float64) / k)
        angle = torch.cat([angle, angle], -1)[:, None, :]
        self.cos, self.sin = angle.cos().float(), angle.sin().float()
        self.slope = torch.from_numpy(slopes(self.c["lightning_nh"]))
        self.eps = self.c["rms_norm_eps"]

    def rms(self, x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True).add_(self.eps)) * self.w[name]

    def rope(self, x):
        half = x.shape[-1] // 2
        turned = torch.cat([-x[..., half:], x[..., :half]], -1)
        return (x * self.cos).addcmul_(turned, self.sin)

    def softmax(self, q, k, v, block):
        """q, k, v (H, T, K)."""
        t, scale = q.shape[1], q.shape[2] ** -0.5
        out = torch.empty_like(q)
        mask = torch.full((block, block), float("-inf")).triu_(1)
        for first in range(0, t, block):
            last = min(first + block, t)
            score = torch.bmm(q[:, first:last] * scale, k[:, :last].transpose(1, 2))
            score[:, :, first:].add_(mask[: last - first, : last - first])
            torch.bmm(torch.softmax(score, -1), v[:, :last], out=out[:, first:last])
        return out

    def lightning(self, q, k, v, chunk):
        """In chunks: all the inner parts at once, the states one after another."""
        h, t, d = q.shape
        pad = -t % chunk
        q, k, v = (F.pad(x, (0, 0, 0, pad)).view(h, -1, chunk, d) for x in (q * d ** -0.5, k, v))
        i = torch.arange(chunk, dtype=torch.float64)
        slope = self.slope[:, None]
        inner = (torch.exp(-slope[:, :, None] * (i[:, None] - i[None, :]).clamp(min=0)) * (i[:, None] >= i)).float()
        to_end = torch.exp(-slope * (chunk - 1 - i)).float()[:, None, :, None]
        since = torch.exp(-slope * (i + 1)).float()[:, None, :, None]
        whole = torch.exp(-slope * chunk).float()[:, :, None]
        out = torch.matmul(torch.matmul(q, k.transpose(2, 3)).mul_(inner[:, None]), v)
        added = torch.matmul((k * to_end).transpose(2, 3), v)
        state, states = torch.zeros(h, d, d), torch.empty_like(added)
        for n in range(q.shape[1]):
            states[:, n] = state
            state = state.mul_(whole).add_(added[:, n])
        return out.add_(torch.matmul(q * since, states)).view(h, -1, d)[:, :t]

    def mix(self, layer, x, block, chunk):
        c, w, p = self.c, self.w, f"model.layers.{layer}.self_attn."
        linear, t, d = "lightning" in c["mixer_types"][layer], len(x), c["head_dim"]
        n = c["num_attention_heads"]
        n_kv = n if linear else c["num_key_value_heads"]
        q = self.rms(F.linear(x, w[p + "q_proj.weight"]).view(t, n, d), p + "q_norm.weight")
        k = self.rms(F.linear(x, w[p + "k_proj.weight"]).view(t, n_kv, d), p + "k_norm.weight")
        v = F.linear(x, w[p + "v_proj.weight"]).view(t, n_kv, d)
        if linear:
            q, k = self.rope(q), self.rope(k)
        q, k, v = (y.repeat_interleave(n // y.shape[1], 1).transpose(0, 1).contiguous() for y in (q, k, v))
        o = self.lightning(q, k, v, chunk) if linear else self.softmax(q, k, v, block)
        o = o.transpose(0, 1).reshape(t, n * d)
        if linear:
            o = self.rms(o, p + "o_norm.weight")
        gate = F.linear(x, w[p + ("z_proj.weight" if linear else "o_gate.weight")])
        return F.linear(gate.sigmoid_().mul_(o), w[p + "o_proj.weight"])

    def run(self, ids, last, block, chunk):
        """Sum of −ln p over the last positions but one."""
        w = self.w
        x = w["model.embed_tokens.weight"][ids]
        for layer in range(self.c["num_hidden_layers"]):
            p = f"model.layers.{layer}."
            x.add_(self.mix(layer, self.rms(x, p + "input_layernorm.weight"), block, chunk))
            y = self.rms(x, p + "post_attention_layernorm.weight")
            gate = F.silu(F.linear(y, w[p + "mlp.gate_proj.weight"]), inplace=True)
            x.add_(F.linear(gate.mul_(F.linear(y, w[p + "mlp.up_proj.weight"])), w[p + "mlp.down_proj.weight"]))
        logits = F.linear(self.rms(x[-last:], "model.norm.weight"), w["model.embed_tokens.weight"])
        return float(F.cross_entropy(logits[:-1].double(), ids[-last + 1:], reduction="sum"))


def main():
    directory, n, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    peer = Peer(directory, n)
    ids = (torch.arange(n) * 2654435761 >> 7) % peer.c["vocab_size"]
    best, cpu, total = float("inf"), float("inf"), None
    for block, chunk in ((256, 128), (512, 256), (1024, 64)):
        for _ in range(2):
            start, start_cpu = time.perf_counter(), time.process_time()
            total = peer.run(ids, last, block, chunk)
            best = min(best, time.perf_counter() - start)
            cpu = min(cpu, time.process_time() - start_cpu)
    print(json.dumps({"seconds": best, "cpu": cpu, "sum": total, "threads": torch.get_num_threads()}))


main()
