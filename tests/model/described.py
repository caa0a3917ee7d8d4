"""Checkpoints that data/models describes: NAME/tensors.txt has lines "pattern dtype dims", {a,b-c} in a pattern stands for
each of several, "-" for no dimensions."""
import os
import re

import numpy as np

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "models")


def expand(pattern):
    match = re.search(r"\{([^}]*)\}", pattern)
    if not match:
        return [pattern]
    names = []
    for item in match.group(1).split(","):
        ends = re.fullmatch(r"(\d+)-(\d+)", item)
        for choice in range(int(ends[1]), int(ends[2]) + 1) if ends else [item]:
            names += expand(pattern[:match.start()] + str(choice) + pattern[match.end():])
    return names


def read_manifest(path):
    """name -> (dtype, shape)"""
    tensors = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                pattern, dtype, dims = line.split()
                shape = [] if dims == "-" else [int(d) for d in dims.split(",")]
                tensors.update({name: (dtype, shape) for name in expand(pattern)})
    return tensors


def random_weights(name, seed=0):
    """name -> float32 array, for a description in F32: matrices keep the scale of what they are applied to, vectors lie
    around 0 (norm weights that are added to 1, decays and biases of order 1); and the path of its config.json."""
    rng = np.random.default_rng(seed)
    folder = os.path.join(MODELS, name)
    tensors = {}
    for tensor, (dtype, shape) in read_manifest(os.path.join(folder, "tensors.txt")).items():
        if dtype != "F32":
            raise ValueError(f"{name}: {tensor} is {dtype}")
        size = 0.3 if len(shape) < 2 else 1.2 / np.sqrt(shape[-1])
        tensors[tensor] = (size * rng.standard_normal(shape)).astype(np.float32)
    return tensors, os.path.join(folder, "config.json")
