"""Checks the safetensors reader against one written apart from it, on Python's json, over a directory of files.

    independent_reader.py ACCEPTS DIRECTORY

ACCEPTS is the program built from accepts.c. The rules are those of the format's description; where the reference reader
is laxer (an entry as an array, a null __metadata__), qkscope follows the description. Every good and every bad file must
be judged alike; a corpus without both kinds proves nothing and fails.
"""
import json
import os
import struct
import subprocess
import sys
import unicodedata

BITS = {"F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16,
        "U16": 16, "F8_E4M3": 8, "F8_E4M3FN": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8, "F6_E2M3": 6,
        "F6_E3M2": 6, "F4": 4}
LIMIT = 1 << 64


class Refused(Exception):
    pass


def refuse_unless(holds, why):
    if not holds:
        raise Refused(why)


class Whole(int):
    """An integer that was written as digits only."""


def whole(text):
    refuse_unless(len(text) <= 63, "number length")
    return Whole(text) if text.isdigit() else -1


def fraction(text):
    refuse_unless(len(text) <= 63, "number length")
    return float(text)


def constant(text):
    raise Refused(text)


def depth(value):
    if isinstance(value, Pairs):
        return 1 + max([depth(v) for _, v in value.items], default=0)
    return 1 + max([depth(v) for v in value], default=0) if isinstance(value, list) else 0


class Pairs:
    """An object with its members as written, duplicates included."""

    def __init__(self, items):
        self.items = items


def unique(pairs):
    keys = [k for k, _ in pairs.items]
    refuse_unless(len(keys) == len(set(keys)), "duplicate key")
    return dict(pairs.items)


def text_is_sound(value):
    if isinstance(value, Pairs):
        return all(text_is_sound(k) and text_is_sound(v) for k, v in value.items)
    if isinstance(value, list):
        return all(map(text_is_sound, value))
    return not isinstance(value, str) or not any(c == "\0" or 0xD800 <= ord(c) < 0xE000 for c in value)


def no_duplicates(value):
    if isinstance(value, Pairs):
        for v in unique(value).values():
            no_duplicates(v)
    if isinstance(value, list):
        for v in value:
            no_duplicates(v)


def product(shape):
    n = 1
    for d in shape:
        n *= d
        refuse_unless(n < LIMIT, "overflow")
    return n


def wholes(value):
    return isinstance(value, list) and all(isinstance(v, Whole) and v < LIMIT for v in value)


def entry(name, value):
    refuse_unless(name and not any(unicodedata.category(c) == "Cc" for c in name), "name")
    refuse_unless(isinstance(value, Pairs), "entry")
    known = [(k, v) for k, v in value.items if k in ("dtype", "shape", "data_offsets")]
    fields = unique(Pairs(known))
    refuse_unless(len(fields) == 3, "fields")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    refuse_unless(isinstance(dtype, str) and dtype in BITS, "dtype")
    refuse_unless(wholes(shape) and len(shape) <= 8, "shape")
    refuse_unless(wholes(offsets) and len(offsets) == 2 and offsets[0] <= offsets[1], "offsets")
    bits = product(shape) * BITS[dtype]
    refuse_unless(bits < LIMIT and bits % 8 == 0 and bits // 8 == offsets[1] - offsets[0], "size")
    return offsets[0], offsets[1]


def read(raw):
    refuse_unless(len(raw) >= 8, "length")
    (n,) = struct.unpack("<Q", raw[:8])
    refuse_unless(n <= 100_000_000 and n <= len(raw) - 8, "header length")
    try:
        text = raw[8:8 + n].decode("utf-8")
        refuse_unless(not text.startswith("\ufeff"), "byte order mark")
        header = json.loads(text, object_pairs_hook=Pairs, parse_int=whole, parse_float=fraction, parse_constant=constant)
    except (ValueError, RecursionError) as e:
        raise Refused(str(e)) from e
    refuse_unless(isinstance(header, Pairs) and text_is_sound(header), "object")
    ends = []
    for name, value in unique(header).items():
        if name == "__metadata__":
            refuse_unless(isinstance(value, Pairs), "metadata")
            no_duplicates(value)
            refuse_unless(all(isinstance(v, str) for _, v in value.items), "metadata")
        else:
            refuse_unless(depth(value) <= 64, "depth")
            ends.append(entry(name, value))
    at = 0
    for begin, end in sorted(ends):
        refuse_unless(begin == at, "layout")
        at = end
    refuse_unless(8 + n + at == len(raw), "file length")


def judge(path):
    with open(path, "rb") as f:
        raw = f.read()
    try:
        read(raw)
    except Refused:
        return "refused"
    return "accepted"


def main():
    accepts, directory = sys.argv[1:3]
    out = subprocess.run([accepts, directory], check=True, capture_output=True).stdout.decode()
    counts = {"accepted": 0, "refused": 0}
    wrong = 0
    for line in out.splitlines():
        name, verdict = line.rsplit(" ", 1)
        own = judge(os.path.join(directory, name))
        counts[own] += 1
        if own != verdict:
            wrong += 1
            print(f"{name}: qkscope: {verdict}, independent reader: {own}")
    print(f"{counts['accepted']} accepted, {counts['refused']} refused, {wrong} judged otherwise")
    return 1 if wrong or not all(counts.values()) else 0


sys.exit(main())
