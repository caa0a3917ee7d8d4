"""Principal angles, Procrustes and spectral norms of num against scipy, and against extended precision.

Usage: check_geometry.py GEOMETRY_EVAL. Pairs of many kinds (independent noise, low-rank drift, rotations, rotations with
noise, scaling, unrelated heads) at drifts from 1 to 1e-9 and condition numbers from 1 to 1e12 go through geometry_eval.

Tolerances. Angles: 1e-6 relative or 1e-7 rad, whichever is larger, in units of which 'violation' counts; plus what the
problem's own conditioning leaves of float64 (64 eps cond(W), which scipy's answer carries too). scipy may take arccos
for a small angle when others of the same pair are large and is then itself off by some 1e-8; where it uses sines
throughout, the QR way is held to 1e-13 rad + 64 eps cond(W). Procrustes: 1e-8 of the base norm, and 1e-6 relative to itself where rotations do not explain
nearly everything. sigma_1: 1e-12 relative."""
import struct
import subprocess
import sys

import numpy as np
from scipy.linalg import subspace_angles, svdvals

EPS = np.finfo(float).eps
IDENTICAL, SCHUR, QR, RANK_DEFICIENT, FAILED = range(5)
rng = np.random.default_rng(20240607)


def head(k, d, condition):
    """(k, d) with singular values spread evenly on a logarithmic scale."""
    u = np.linalg.qr(rng.standard_normal((k, k)))[0]
    v = np.linalg.qr(rng.standard_normal((d, k)))[0]
    return 5 * (u * np.logspace(0, -np.log10(condition), k)) @ v.T


def sized(m, norm):
    return m * (norm / np.linalg.norm(m))


def pairs():
    for k, d in [(1, 1), (1, 30), (2, 2), (5, 9), (16, 256), (32, 33), (128, 600)]:
        for condition in [1, 30, 1e3, 1e6, 1e12]:
            if (k == 1 and condition > 1) or (k == 128 and condition not in (30, 1e6)):
                continue
            w = head(k, d, condition)
            norm = np.linalg.norm(w)
            noise = sized(rng.standard_normal((k, d)), norm)
            low = sized(rng.standard_normal((k, min(4, k))) @ rng.standard_normal((min(4, k), d)), norm)
            yield "unrelated", condition, w, noise
            yield "negated", condition, w, -w
            for eps in [1, 1e-1, 1e-3, 1e-6, 1e-9]:
                if k == 1:  # one row has no rotations, and d = 1 no angles
                    yield f"noise {eps:g}", condition, w, w + eps * np.abs(noise)
                    continue
                q = np.linalg.qr(np.eye(k) + eps * rng.standard_normal((k, k)))[0]
                yield f"noise {eps:g}", condition, w, w + eps * noise
                yield f"low rank {eps:g}", condition, w, w + eps * low
                yield f"rotated {eps:g}", condition, w, q @ w
                yield f"rotated {eps:g} with noise", condition, w, q @ w + 1e-3 * eps * noise
                yield f"scaled {eps:g}", condition, w, (1 + eps) * w


class Reader:
    def __init__(self, raw):
        self.values, self.at = np.frombuffer(raw), 0

    def take(self, n):
        self.at += n
        assert self.at <= len(self.values), "geometry_eval answered too little"
        return self.values[self.at - n:self.at]


def cond(m):
    s = svdvals(m)
    return s[0] / s[-1] if s[-1] > 0 else np.inf


def procrustes(w0, w1):
    u, _, vt = np.linalg.svd(w0 @ w1.T)
    return np.linalg.norm(u @ vt @ w1 - w0)


def extended_angle_sum(w0, w1):
    """sqrt(sum of sin^2) in long double, by Gram-Schmidt done twice: small drifts keep all digits."""
    def basis(w):
        q = []
        for row in w.astype(np.longdouble):
            for _ in range(2):
                for b in q:
                    row = row - b * (b @ row)
            q.append(row / np.sqrt(row @ row))
        return np.array(q)
    q0, q1 = basis(w0), basis(w1)
    z = q1 - (q1 @ q0.T) @ q0
    return np.sqrt((z * z).sum())


def main():
    cases = list(pairs())
    data = b"".join(struct.pack("<qq", *w0.shape) + w0.tobytes() + np.ascontiguousarray(w1).tobytes()
                    for _, _, w0, w1 in cases)
    answer = Reader(subprocess.run([sys.argv[1]], input=data, stdout=subprocess.PIPE, check=True).stdout)
    failures, by_schur, worst = [], 0, {}

    def check(name, what, value, limit):
        worst[what] = max(worst.get(what, 0), value / limit)
        if not value <= limit:
            failures.append(f"{name}: {what}: {value:.3g} > {limit:.3g}")

    for kind, condition, w0, w1 in cases:
        k, d = w0.shape
        name = f"{kind}, k {k}, d {d}, condition {condition:g}"
        schur, theta, qr, qr_theta = int(answer.take(1)[0]), answer.take(k), int(answer.take(1)[0]), answer.take(k)
        residual, _, sigma, defect, _ = answer.take(5)
        reference = subspace_angles(w0.T, w1.T)
        noise_level = 64 * EPS * max(cond(w0), cond(w1))
        if schur not in (SCHUR, QR) or qr != QR:
            failures.append(f"{name}: methods {schur}, {qr}")
            continue
        if schur != SCHUR and kind.startswith("noise") and condition <= 30 and d >= 2 * k:
            failures.append(f"{name}: the delta Grams should have been enough")
        if schur == SCHUR:
            by_schur += 1
            check(name, "angles by Gram", np.max(np.abs(theta - reference) /
                  (np.maximum(1e-6 * reference, 1e-7) + noise_level)), 1)
        elif not np.isnan(theta).all():
            failures.append(f"{name}: angles given although the fallback is asked for")
        if not (np.diff(qr_theta) <= 0).all():
            failures.append(f"{name}: angles not descending")
        sines_only = reference[0] < np.pi / 4
        check(name, "angles by QR", np.max(np.abs(qr_theta - reference)),
              (1e-13 if sines_only else 1e-7) + noise_level)
        # extended precision: where float64 references are all rounding, the answer must still be right
        if k * d < 5000 and kind.startswith("noise") and condition <= 1e3:
            exact = extended_angle_sum(w0, w1)
            for way, t in (("QR", qr_theta), ("Gram", theta)):
                if way == "QR" or schur == SCHUR:
                    got = np.sqrt((np.sin(t.astype(np.longdouble)) ** 2).sum())
                    # spans of everything leave rounding only; the rest is relative to the drift
                    if exact > 1e-14:
                        check(name, f"sum of sin^2 by {way}", abs(got / exact - 1), 1e-6 if way == "Gram" else 1e-8)
        norm = np.linalg.norm(w0)
        expected = procrustes(w0, w1)
        # W0 W1^T has nothing left of directions weaker than sqrt(eps): there both rotations are arbitrary
        arbitrary = 0 if condition < 1e8 else 5e-8 * norm
        check(name, "Procrustes residual", abs(residual - expected), 1e-8 * norm + arbitrary)
        check(name, "Procrustes residual against no rotation", residual,
              np.hypot(np.linalg.norm(w1 - w0), arbitrary) * (1 + 1e-12) + 1e-15 * norm)
        if expected > 1e-6 * norm and condition <= 1e3:
            check(name, "Procrustes residual, relative", abs(residual - expected), 1e-6 * expected)
        check(name, "rotation", defect, 8 * k * EPS)
        check(name, "sigma_1", abs(sigma / svdvals(w1 - w0)[0] - 1), 1e-12 * max(1, 1e-3 * norm / np.linalg.norm(w1 - w0)))
    assert answer.at == len(answer.values), "geometry_eval answered too much"
    for what in sorted(worst):
        print(f"{what}: worst {worst[what]:.2g} of its tolerance")
    print(f"{len(cases)} pairs, {by_schur} by delta Grams alone, {len(failures)} failures")
    print("\n".join(failures[:30]))
    sys.exit(1 if failures else 0)


main()
