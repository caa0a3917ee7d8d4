"""The alignments of repair/align.h against numpy and scipy in float64.

Usage: check_align.py ALIGN_EVAL. Heads of many shapes, drifts, condition numbers and ranks, with and without a bias
column, stored in float64, float32 or bfloat16.

Tolerances. qk-pro: the solution of (A + lambda I) X = C carries eps times the condition number of A + lambda I, on both
sides of the comparison; 32 eps K cond, relative to |Q1| + |correction|. Rounded to bfloat16 and float32 the two answers
then differ in the last place of few elements only. rotate: R itself is as sure as the gap of its singular values, so the
residual is compared (1e-12 of the norms), R where the fit is well conditioned, and what commutes with the turning by
position is checked on R exactly."""
import os
import struct
import subprocess
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: the matrices are small

import numpy as np
from scipy.linalg import orthogonal_procrustes

EPS = np.finfo(float).eps
KEEP, RESTORE, ALIGN, BLEND = range(4)
PRO, ROTATE = range(2)
INPUT, HEAD = range(2)
NOPE, ROPE, LEARNED, ALIBI = range(4)
TUNED, BASE, MAPPED = range(3)
rng = np.random.default_rng(20260611)
failures = []


def to_bf16(x):
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return bits.astype(np.uint32).view(np.float32).astype(float)


STORED = {"F64": lambda x: x, "F32": lambda x: x.astype(np.float32).astype(float), "BF16": to_bf16}


def head(k, d, condition=10.0, rank=None):
    m = min(k, d)
    u = np.linalg.qr(rng.standard_normal((k, m)))[0]
    v = np.linalg.qr(rng.standard_normal((d, m)))[0]
    s = np.logspace(0, -np.log10(condition), m) if m > 1 else np.ones(1)
    if rank is not None:
        s[rank:] = 0
    return 3 * (u * s) @ v.T


class Case:
    """One call; position: (kind, first, rotary_dim, interleaved)."""

    def __init__(self, title, w0, w1, key0, action=ALIGN, method=PRO, side=INPUT, lam=0.01, alpha=1.0, is_key=0,
                 has_bias=0, position=(NOPE, 0, 0, 0)):
        self.__dict__.update(locals())
        self.k, self.d = w0.shape

    def encode(self):
        words = [self.k, self.d, self.has_bias, self.action, self.method, self.side, self.is_key, *self.position]
        data = b"".join(np.ascontiguousarray(w, float).tobytes() for w in (self.w0, self.w1, self.key0))
        return struct.pack("<11q2d", *words, self.lam, self.alpha) + data


def run(eval_path, cases):
    out = subprocess.run([eval_path], input=b"".join(c.encode() for c in cases), stdout=subprocess.PIPE, check=True)
    values, at = np.frombuffer(out.stdout), 0
    for c in cases:
        c.code, c.outcome, c.rank = (int(x) for x in values[at:at + 3])
        at += 3
        c.result = values[at:at + c.k * c.d].reshape(c.k, c.d)
        at += c.k * c.d
        c.map = values[at:at + c.k * c.k].reshape(c.k, c.k).T
        at += c.k * c.k
    assert at == len(values), "output and cases do not match"


def expect(case, what, holds):
    if not holds:
        failures.append(f"{case.title}: {what}")


# ---- qk-pro -------------------------------------------------------------------------------------------------------

def pro_reference(c):
    """The formulas as written, by numpy.linalg.solve; also the condition number of what was solved."""
    a = c.key0 @ c.key0.T
    shifted = a + c.lam * np.trace(a) / c.k * np.eye(c.k)
    delta = c.w0 - c.w1
    if c.side == INPUT:
        correction = delta @ c.key0.T @ np.linalg.solve(shifted, c.key0)
    else:
        correction = a @ np.linalg.solve(shifted, delta)
    return c.w1 + correction, np.linalg.cond(shifted)


def check_pro(c):
    expected, condition = pro_reference(c)
    expect(c, "failed", c.code == 0)
    scale = np.linalg.norm(c.w1) + np.linalg.norm(c.w0 - c.w1)
    worst = np.linalg.norm(c.result - expected) / scale
    allowed = 32 * EPS * c.k * max(condition, 1)
    expect(c, f"off by {worst:.1e} (allowed {allowed:.1e})", worst <= allowed)
    if condition > 1e8:
        return
    for name in ("BF16", "F32"):
        mine, theirs = STORED[name](c.result), STORED[name](expected)
        ulp = 2.0 ** -7 if name == "BF16" else 2.0 ** -23
        gap = np.abs(mine - theirs)
        floor = scale * allowed  # elements so small that float64 itself does not agree on them
        expect(c, f"{name}: more than one place apart", np.all(gap <= ulp * np.abs(theirs) + floor))
        share = np.mean(gap > floor)
        expect(c, f"{name}: {share:.1e} of the elements differ", share <= (1e-5 if name == "BF16" else 1e-2) + 1.5 / gap.size)


def pro_cases():
    for k, d in [(1, 1), (1, 40), (2, 3), (8, 8), (16, 512), (17, 513), (64, 1300), (128, 700)]:
        for stored in STORED:
            for condition in (3, 1e3) if k < 64 else (1e3,):
                w0, key0 = head(k, d, condition), head(k, d, condition)
                for eps in (1.0, 1e-3) if k < 64 else (1e-2,):
                    w1 = w0 + eps * rng.standard_normal((k, d)) / np.sqrt(d)
                    ws = [STORED[stored](w) for w in (w0, w1, key0)]
                    for side in (INPUT, HEAD):
                        for lam in (1e-4, 0.01, 1.0, 100.0):
                            for bias in (0, 1):
                                title = f"qk-pro {k}x{d} {stored} cond {condition:g} eps {eps:g} side {side} " \
                                        f"lambda {lam:g} bias {bias}"
                                yield Case(title, *ws, side=side, lam=lam, has_bias=bias)


def pro_limits():
    """lambda at and near its ends; heads whose key is rank-deficient."""
    for k, d in [(1, 5), (8, 40), (32, 600)]:
        w0, key0 = to_bf16(head(k, d)), to_bf16(head(k, d))
        w1 = to_bf16(w0 + 0.05 * rng.standard_normal((k, d)))
        for side in (INPUT, HEAD):
            yield Case(f"infinite {k} side {side}", w0, w1, key0, side=side, lam=np.inf), "tuned"
            yield Case(f"huge {k} side {side}", w0, w1, key0, side=side, lam=1e18), "near tuned"
            yield Case(f"key {k} side {side}", w0, w1, key0, side=side, is_key=1), "base"
            yield Case(f"same {k} side {side}", w0, w0, key0, side=side), "tuned"
            yield Case(f"no key {k} side {side}", w0, w1, 0 * key0, side=side), "tuned"
        yield Case(f"zero {k}", w0, w1, key0, side=HEAD, lam=0.0), "base"
        yield Case(f"tiny {k}", w0, w1, key0, side=HEAD, lam=1e-18), "near base"
        yield Case(f"zero {k} input", w0, w1, key0, side=INPUT, lam=0.0), "projected"
    for k, d, rank in [(8, 40, 5), (32, 600, 31), (16, 7, 7)]:
        w0, key0 = head(k, d), head(k, d, rank=rank)
        w1 = w0 + 0.05 * rng.standard_normal((k, d))
        for lam in (0.0, 1e-15, 1e-30):
            yield Case(f"rank {rank} of {k}, lambda {lam:g}, input", w0, w1, key0, side=INPUT, lam=lam), "projected"
            yield Case(f"rank {rank} of {k}, lambda {lam:g}, head", w0, w1, key0, side=HEAD, lam=lam), "projected"


def check_limit(c, kind):
    expect(c, "failed", c.code == 0)
    scale = np.linalg.norm(c.w1)
    if kind in ("tuned", "base"):
        target = c.w1 if kind == "tuned" else c.w0
        expect(c, f"is not the {kind} matrix bit for bit", c.result.tobytes() == target.tobytes())
        expect(c, "does not say so", c.outcome == (TUNED if kind == "tuned" else BASE))
    elif kind.startswith("near"):
        target = c.w1 if kind == "near tuned" else c.w0
        expect(c, f"is not {kind}", np.linalg.norm(c.result - target) <= 1e-13 * scale)
        expect(c, "rounds to other bf16 values", np.array_equal(to_bf16(c.result), to_bf16(target)))
    else:
        u, s, vt = np.linalg.svd(c.key0, full_matrices=False)
        rank = int(np.sum(s > 1e-7 * s[0]))
        expect(c, f"rank {c.rank}, not {rank}", c.rank == rank)
        delta = c.w0 - c.w1
        part = delta @ vt[:rank].T @ vt[:rank] if c.side == INPUT else u[:, :rank] @ u[:, :rank].T @ delta
        expect(c, "is not the projection", np.linalg.norm(c.result - c.w1 - part) <= 1e-11 * scale)


# ---- rotate -------------------------------------------------------------------------------------------------------

def pairs_of(position):
    _, first, rotary, interleaved = position
    half = rotary // 2
    return [(first + 2 * p, first + 2 * p + 1) if interleaved else (first + p, first + p + half) for p in range(half)]


def rope_matrix(position, k, t):
    r = np.eye(k)
    for p, (i, j) in enumerate(pairs_of(position)):
        angle = t * 10000.0 ** (-2 * p / max(position[2], 1))
        r[i, i] = r[j, j] = np.cos(angle)
        r[i, j], r[j, i] = -np.sin(angle), np.sin(angle)
    return r


def rotate_reference(c):
    """R by scipy for what is free, by the argument of a complex sum for each frequency pair."""
    r = np.zeros((c.k, c.k))
    turned = pairs_of(c.position) if c.position[0] == ROPE else []
    for i, j in turned:
        z0, z1 = c.w0[i] + 1j * c.w0[j], c.w1[i] + 1j * c.w1[j]
        z = np.vdot(z1, z0)
        z = z / abs(z) if abs(z) > 0 else 1.0
        r[i, i] = r[j, j] = np.real(z)
        r[j, i], r[i, j] = np.imag(z), -np.imag(z)
    still = [i for i in range(c.k) if not any(i in pair for pair in turned)]
    if still:
        r[np.ix_(still, still)] = orthogonal_procrustes(c.w1[still].T, c.w0[still].T)[0].T
    return r


def check_rotate(c):
    expect(c, "failed", c.code == 0)
    r = c.map if c.outcome == MAPPED else np.eye(c.k)
    reference = rotate_reference(c)
    size = np.linalg.norm(c.w0) + np.linalg.norm(c.w1)
    mine, theirs = np.linalg.norm(c.result - c.w0), np.linalg.norm(reference @ c.w1 - c.w0)
    expect(c, f"residual {mine:.17g}, scipy's {theirs:.17g}", abs(mine - theirs) <= 1e-12 * size)
    expect(c, "is not R W1", np.linalg.norm(r @ c.w1 - c.result) <= 1e-13 * size)
    expect(c, "R is not orthogonal", np.linalg.norm(r.T @ r - np.eye(c.k)) <= 1e-12 * c.k)
    if c.well_conditioned:
        expect(c, f"R is off by {np.linalg.norm(r - reference):.1e}", np.linalg.norm(r - reference) <= 1e-10 * c.k)
    if c.position[0] == ROPE:
        for t in (1, 77):
            turn = rope_matrix(c.position, c.k, t)
            expect(c, f"does not commute with {t} positions", np.linalg.norm(r @ turn - turn @ r) <= 1e-13 * c.k)


def rotate_cases():
    positions = {
        8: [(NOPE, 0, 0, 0), (ROPE, 0, 8, 0), (ROPE, 0, 8, 1), (ROPE, 0, 4, 0), (ROPE, 4, 4, 0), (ROPE, 2, 4, 1),
            (LEARNED, 0, 0, 0), (ALIBI, 0, 0, 0), (ROPE, 0, 0, 0)],
        64: [(NOPE, 0, 0, 0), (ROPE, 0, 64, 0), (ROPE, 0, 16, 0)],
        1: [(NOPE, 0, 0, 0)],
        2: [(ROPE, 0, 2, 0), (NOPE, 0, 0, 0)],
    }
    for k, choices in positions.items():
        for position in choices:
            for d in (k + 3, 600):
                for eps in (1e-9, 1e-3, 1.0):
                    w0 = head(k, d, 20)
                    turn = np.linalg.qr(np.eye(k) + eps * rng.standard_normal((k, k)))[0]
                    turn = turn * np.sign(np.diag(turn @ np.eye(k)))[None, :] if k > 1 else turn
                    for noise in (0, 1e-2):
                        w1 = turn @ w0 + noise * rng.standard_normal((k, d)) / np.sqrt(d)
                        c = Case(f"rotate {k}x{d} {position} eps {eps:g} noise {noise:g}", w0, w1, w0, method=ROTATE,
                                 position=position, has_bias=d % 2)
                        c.well_conditioned = noise == 0 and position[0] != ROPE
                        yield c
                w0 = head(k, d, 20, rank=max(k // 2, 1))
                c = Case(f"rotate {k}x{d} {position} of low rank", w0, w0 + 0.1 * head(k, d), w0, method=ROTATE,
                         position=position)
                c.well_conditioned = False
                yield c


# ---- the rest -----------------------------------------------------------------------------------------------------

def check_plain(eval_path):
    w0, w1, key0 = (rng.standard_normal((6, 9)) for _ in range(3))
    w1[2] = w0[2]
    w1[3, 4] = -0.0
    cases = [Case(f"blend {alpha}", w0, w1, key0, action=BLEND, alpha=alpha) for alpha in (0.0, 0.25, 0.3, 0.7, 1.0)]
    cases += [Case("restore", w0, w1, key0, action=RESTORE), Case("keep", w0, w1, key0, action=KEEP)]
    run(eval_path, cases)
    for c in cases:
        expected = {RESTORE: c.w0, KEEP: c.w1}.get(c.action, (1 - c.alpha) * c.w1 + c.alpha * c.w0)
        exact = c.action != BLEND or c.alpha in (0.0, 1.0)
        expect(c, "is wrong", np.allclose(c.result, expected, rtol=4 * EPS, atol=4 * EPS))
        expect(c, "changes what both share", np.array_equal(c.result[2], w1[2]))
        if exact:
            target = c.w0 if c.action == RESTORE or (c.action == BLEND and c.alpha == 1) else c.w1
            expect(c, "is not bit for bit", c.result.tobytes() == target.tobytes())
    return len(cases)


def main(eval_path):
    pro, rotations = list(pro_cases()), list(rotate_cases())
    limits = list(pro_limits())
    run(eval_path, pro)
    run(eval_path, rotations)
    run(eval_path, [c for c, _ in limits])
    for c in pro:
        check_pro(c)
    for c in rotations:
        check_rotate(c)
    for c, kind in limits:
        check_limit(c, kind)
    n = len(pro) + len(rotations) + len(limits) + check_plain(eval_path)
    for f in failures[:40]:
        print(f)
    print(f"{n} cases, {len(failures)} failures")
    return 1 if failures or n < 500 else 0


sys.exit(main(sys.argv[1]))
