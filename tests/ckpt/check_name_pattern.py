"""Random regular expressions over random names (both short: re backtracks) against Python's re, which is what PEFT asks.

usage: check_name_pattern.py EVAL
"""
import random
import re
import subprocess
import sys
import warnings

warnings.simplefilter("ignore")
random.seed(11)
ATOMS = ["a", "b", "1", "_", ".", r"\.", r"\d", r"\w", r"\W", r"\b", r"\B", "[ab]", "[^a]", "[a-b1_]", "[^.]", r"[\d.]",
         "^", "$", "proj", "]", "}", "{", "{a}", "-"]
REPEATS = ["", "", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{,2}", "{1,}", "{0}"]


def piece(depth):
    kind = random.random()
    if depth > 0 and kind < 0.3:
        return random.choice(["(", "(?:", "(?P<x%d>" % random.randrange(10 ** 9)]) + expression(depth - 1) + ")"
    return random.choice(ATOMS)


def repeated(text):
    # assertions cannot be repeated
    return text + random.choice(REPEATS if text not in ("^", "$", r"\b", r"\B") or random.random() < 0.02 else [""])


def expression(depth):
    branches = ["".join(repeated(piece(depth)) for _ in range(random.randint(0, 3)))
                for _ in range(random.choice([1, 1, 1, 2, 3]))]
    return "|".join(branches)


def name():
    # never empty: what \B says there depends on Python's version
    return "".join(random.choice(["a", "b", "1", "_", ".", "proj", "-", "{", "}", "]"]) for _ in range(random.randint(1, 5)))


def answer(pattern, text):
    try:
        return "1" if re.fullmatch(pattern, text) else "0"
    except re.error:
        return "malformed"


pairs = [(pattern, name()) for pattern in (expression(1) for _ in range(3000)) for _ in range(5)]
lines = "".join(f"{pattern}\t{text}\n" for pattern, text in pairs)
result = subprocess.run(sys.argv[1], input=lines, capture_output=True, text=True, timeout=60)
got = result.stdout.split("\n")[:-1]
wrong, counts = [], {}
for (pattern, text), found in zip(pairs, got):
    expected = answer(pattern, text)
    counts[expected] = counts.get(expected, 0) + 1
    # what is refused as unsupported is refused by intention: it may not be a wrong answer
    if found != expected and not (found == "unsupported" and expected != "malformed"):
        wrong.append((pattern, text, expected, found))
for pattern, text, expected, found in wrong[:10]:
    print(f"'{pattern}' on '{text}': expected {expected}, found {found}")
unsupported = got.count("unsupported")
print(f"{len(got)} answers, {counts}, {unsupported} unsupported, {len(wrong)} wrong")
sys.exit(len(got) != len(pairs) or len(wrong) > 0 or counts.get("1", 0) < 1000 or unsupported > len(got) / 10)
