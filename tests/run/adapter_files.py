"""Safetensors files and PEFT LoRA adapters made by numpy, and what an adapter makes of its base, in float64.

A file is a dict name -> (dtype, array); BF16 arrays are float32 that BF16 holds."""
import json
import os
import shutil

import numpy as np

NUMPY = {"F64": np.float64, "F32": np.float32, "F16": np.float16}


def to_bf16(x):
    """The bits of float64 values rounded once to BF16, to nearest even."""
    x = np.asarray(x, np.float64)
    single = x.astype(np.float32)
    # rounding twice is avoided by rounding to odd on the way
    bits = single.view(np.uint32).astype(np.int64)
    away = np.abs(single.astype(np.float64)) > np.abs(x)
    exact = single.astype(np.float64) == x
    odd = np.where(exact, bits, np.where(away, bits - 1, bits) | 1)
    return ((odd + 0x7FFF + ((odd >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def stored(dtype, x):
    """The bytes of values in a type, rounded once."""
    return to_bf16(x).tobytes() if dtype == "BF16" else np.ascontiguousarray(np.asarray(x).astype(NUMPY[dtype])).tobytes()


def rounded(dtype, x):
    """Values as the type holds them."""
    return from_bf16(to_bf16(x)) if dtype == "BF16" else np.asarray(x).astype(NUMPY[dtype])


def write(path, tensors, metadata=None):
    header, at, data = {}, 0, []
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, x) in tensors.items():
        raw = stored(dtype, x)
        header[name] = {"dtype": dtype, "shape": list(np.shape(x)), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        data.append(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(data))


def read(path):
    with open(path, "rb") as file:
        raw = file.read()
    n = int.from_bytes(raw[:8], "little")
    out = {}
    for name, entry in json.loads(raw[8:8 + n]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            piece = raw[8 + n + begin:8 + n + end]
            x = from_bf16(np.frombuffer(piece, np.uint16)) if entry["dtype"] == "BF16" \
                else np.frombuffer(piece, NUMPY[entry["dtype"]])
            out[name] = (entry["dtype"], x.reshape(entry["shape"]))
    return out


def read_checkpoint(path):
    tensors = {}
    for file in sorted(os.listdir(path)):
        if file.endswith(".safetensors"):
            tensors.update(read(os.path.join(path, file)))
    return tensors


def checkpoint(path, tensors, config, dtype=None, shards=1):
    """A directory with the tensors, in dtype where one is given, in shards with an index where there are several."""
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    shutil.copy(config, os.path.join(path, "config.json"))
    tensors = {n: (dtype or d, rounded(dtype or d, x)) for n, (d, x) in tensors.items()}
    if shards == 1:
        write(os.path.join(path, "model.safetensors"), tensors)
        return tensors
    index, names = {}, sorted(tensors)
    for s in range(shards):
        file = f"model-{s + 1:05d}-of-{shards:05d}.safetensors"
        part = names[s::shards]
        write(os.path.join(path, file), {n: tensors[n] for n in part})
        index.update({n: file for n in part})
    with open(os.path.join(path, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {"total_size": sum(len(stored(*t)) for t in tensors.values())}, "weight_map": index}, file)
    return tensors


def adapter(path, tensors, **config):
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, **config}
    with open(os.path.join(path, "adapter_config.json"), "w") as file:
        json.dump(config, file)
    write(os.path.join(path, "adapter_model.safetensors"), tensors)


def factors(rng, shape, rank, dtype, turned=False, size=0.05):
    """lora_A (rank, in) and lora_B (out, rank) for a stored (out, in), or (in, out) where turned."""
    out, inside = shape[::-1] if turned else shape
    a = rounded(dtype, rng.standard_normal((rank, inside)) * size)
    b = rounded(dtype, rng.standard_normal((out, rank)) * size)
    return a, b


def product(a, b, turned=False):
    """B A in float64, the sum over the rank in its order; stored as the base is."""
    left, right = (a.T, b.T) if turned else (b, a)
    total = np.zeros((left.shape[0], right.shape[1]))
    for k in range(left.shape[1]):
        total += np.multiply.outer(left[:, k].astype(np.float64), right[k].astype(np.float64))
    return total


def merged(w, scale, a, b, turned=False, magnitude=None):
    """W0 + s B A in float64; with DoRA's magnitude, m (W0 + s B A) / norm over the inputs."""
    out = w.astype(np.float64) + scale * product(a, b, turned)
    if magnitude is not None:
        axis = 0 if turned else 1
        gain = np.asarray(magnitude, np.float64).ravel() / np.sqrt((out * out).sum(axis=axis))
        out = out * (gain[None, :] if turned else gain[:, None])
    return out
