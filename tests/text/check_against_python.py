"""Unicode forms against Python's unicodedata, and merging against a naive loop: independent of the C code.

Usage: check_against_python.py QKSCOPE TEST_DATA
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

QKSCOPE, DATA = sys.argv[1:3]
random.seed(7)


def tokenize(path, text, *options):
    run = subprocess.run([QKSCOPE, "tokenize", "--no-special", *options, path], input=text, capture_output=True)
    if run.returncode != 0:
        sys.exit(f"{path}: {run.stderr.decode()}")
    return run.stdout


def byte_chars():
    own = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    others = [b for b in range(256) if b not in own]
    return {**{b: chr(b) for b in own}, **{b: chr(256 + i) for i, b in enumerate(others)}}


# Characters that are newer in Python's tables than in utf8proc's, and have decompositions or combining classes.
TOO_NEW = [(0x0870, 0x08FF), (0x0C3C, 0x0C3C), (0x1ABF, 0x1ACE), (0x1DFA, 0x1DFA), (0xA7F2, 0xA7F4), (0x10700, 0x107FF),
           (0x10F70, 0x10FFF), (0x11000, 0x11FFF), (0x16000, 0x1BFFF), (0x1CF00, 0x1D0FF), (0x1DF00, 0x1FFFF)]


def allowed(c):
    return unicodedata.category(chr(c)) not in ("Cn", "Cs") and not any(a <= c <= b for a, b in TOO_NEW) and c != 0


def random_text(n):
    marks = [c for c in range(0x300, 0x3200) if allowed(c) and unicodedata.combining(chr(c))]
    singles = [c for c in range(1, 0x2FA1E) if allowed(c)]
    jamo = list(range(0x1100, 0x1113)) + list(range(0x1161, 0x1176)) + list(range(0x11A7, 0x11C3))
    pools = [marks, singles, jamo, list(range(0xAC00, 0xAC80)), [0x9BE, 0x9C7, 0x9D7, 0x1025, 0x102E, 0xDD9, 0xDDC, 0xDDF],
             list(range(32, 127)), list(range(0xC0, 0x250)), list(range(0x1E00, 0x2000)), list(range(0xF900, 0xFA6E))]
    pools = [[c for c in pool if allowed(c)] for pool in pools]
    return "".join(chr(random.choice(random.choice(pools))) for _ in range(n))


def check_forms(directory):
    chars = byte_chars()
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        spec = {"version": "1.0", "added_tokens": [], "normalizer": {"type": form},
                "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
                "decoder": {"type": "ByteLevel"},
                "model": {"type": "BPE", "vocab": {c: b for b, c in chars.items()}, "merges": []}}
        path = os.path.join(directory, form + ".json")
        with open(path, "w", encoding="utf8") as f:
            json.dump(spec, f)
        text = random_text(60000) + "".join(chr(c) for c in range(1, 0x2FA1E) if allowed(c))
        got = tokenize(path, tokenize(path, text.encode(), "--json"), "--decode").decode()
        want = unicodedata.normalize(form, text)
        if got != want:
            at = next(i for i in range(len(want)) if got[i:i + 1] != want[i])
            sys.exit(f"{form}: at {at}: {ascii(got[at - 3:at + 5])}, expected {ascii(want[at - 3:at + 5])}")
        print(f"{form}: {len(text)} characters")


def naive_merge(symbols, ranks):
    while True:
        pairs = [(ranks[p], i) for i, p in enumerate(zip(symbols, symbols[1:])) if p in ranks]
        if not pairs:
            return symbols
        _, i = min(pairs)
        symbols = symbols[:i] + [symbols[i] + symbols[i + 1]] + symbols[i + 2:]


def check_merging():
    path = os.path.join(DATA, "tokenizer", "spm_normalizer")
    with open(os.path.join(path, "tokenizer.json"), encoding="utf8") as f:
        model = json.load(f)["model"]
    vocab, ranks = model["vocab"], {tuple(m): i for i, m in enumerate(model["merges"])}
    letters = [t for t in vocab if len(t) == 1 and t != "▁"]
    pieces = [t.replace("▁", " ") for t in vocab if len(t) > 1 and not t.startswith("<")]
    n = 0
    for _ in range(60):
        text = "".join(random.choice(letters if random.random() < 0.3 else pieces) for _ in range(40)) + "\U0001F9FF"
        symbols = naive_merge(list("▁" + text.replace(" ", "▁")), ranks)
        want = []
        for s in symbols:
            want += [vocab[s]] if s in vocab else [vocab[f"<0x{b:02X}>"] for b in s.encode()]
        got = json.loads(tokenize(path, text.encode(), "--json"))["ids"]
        if got != want:
            sys.exit(f"merging {text!r}: {got}, expected {want}")
        n += len(want)
    print(f"merging: {n} tokens")


with tempfile.TemporaryDirectory() as work:
    check_forms(work)
check_merging()
