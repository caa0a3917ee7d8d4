"""The match rules of `qkscope eval` against rules written anew with regular expressions and exact fractions.

usage: check_match.py MATCH_DUMP
"""
import random
import re
import subprocess
import sys
from fractions import Fraction

NUMBER = re.compile(r"""
    (?P<sign>(?:(?<![A-Za-z0-9)\]}.])[-\u2212])?)
    (?:(?P<whole>\d{1,3}(?:,\d{3}(?!\d))+|\d+)(?P<dec>\.\d+)?|(?<!\d)(?P<bare>\.\d+))
    (?P<exp>[eE][-+]?\d{1,4}(?![A-Za-z0-9]))?
    (?P<below>/\d+)?""", re.X)


def numbers(text):
    """Values of the numbers in text, in order: exact ones as (value, True), others as (value, False)."""
    at, found = 0, []
    while True:
        m = NUMBER.search(text, at)
        if not m:
            return found
        start = m.start() + len(m["sign"])
        whole, decimals = (m["whole"] or "").replace(",", ""), (m["dec"] or m["bare"] or "")
        value, exact, end = Fraction((whole or "0") + decimals), True, m.end()
        if m["exp"]:
            value, exact = value * Fraction(10) ** int(m["exp"][1:]), False
        if m["below"]:
            rest = text[m.end():]
            plain = not decimals and not m["exp"] and text[start - 1:start] != "/"
            if not plain or re.match(r"[/.,]\d", rest) or int(m["below"][1:]) == 0:
                end = m.start("below")
            else:
                value, exact = value / int(m["below"][1:]), False
        found.append((-value if m["sign"] else value, exact))
        at = end


def fits_number(answer, expected):
    a, b = numbers(answer), numbers(expected)
    if not a or not b:
        return False
    (x, x_exact), (y, y_exact) = a[-1], b[-1]
    return x == y if x_exact and y_exact else abs(x - y) <= Fraction(1, 10 ** 12) * max(abs(x), abs(y))


SPACE = " \t\r\n"
lower = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
RULES = {
    "exact": lambda a, e: a.strip(SPACE) == e.strip(SPACE),
    "contains": lambda a, e: e.strip(SPACE).translate(lower) in a.translate(lower),
    "number": fits_number,
}

KNOWN = [
    ("number", "so it is 42.", "#### 42", 1), ("number", "7.0", "007", 1), ("number", "1,234,567 coins", "1234567", 1),
    ("number", "1,2", "12", 0), ("number", "it is -5", "-5", 1), ("number", "10-5", "5", 1), ("number", "x = \u22125", "-5", 1),
    ("number", "3/4 of it", "0.75", 1), ("number", "on 1/2/2024", "2024", 1), ("number", "4/0", "0", 1), ("number", "none", "3", 0),
    ("number", "1e3", "1000", 1), ("number", "$1,000.50", "1000.5", 1), ("number", "5 then 6", "5", 0), ("number", "-0", "0", 1),
    ("number", "9007199254740993", "9007199254740992", 0), ("number", ".5", "0.50", 1), ("number", "50%", "50", 1),
    ("number", "1/3", "2/6", 1), ("number", "12.", "12", 1), ("number", "version 1.2.3", "3", 1), ("number", "1e999", "1e999", 1),
    ("exact", " yes\\n", "yes", 1), ("exact", "Yes", "yes", 0), ("contains", "It is PARIS.", " Paris ", 1),
    ("contains", "É", "é", 0), ("contains", "Pari", "Paris", 0),
    ("word", "4", "2", 1), ("word", "4", ".", 2), ("word", "4", ". So", 0), ("word", "4", ".5", 1), ("word", "4", "", 2),
    ("word", "4.\\n", "5", 0), ("word", "Paris", "ian", 1), ("word", "Paris", ", of", 0), ("word", "caf\u00e9", "s", 1),
    ("word", "\u5317\u4eac", "\u662f", 0), ("word", "4", "\U0001f600", 0), ("word", "4", " 2", 0), ("word", "a", "\u00e9", 1),
    ("word", "3", "\u00d7", 0), ("word", "x", "/y", 0),
]


def random_text(draw):
    pieces = ["0", "7", "12", "345", "1,234", ",000", ".", ",", "-", "\u2212", "/", "e", "E5", "e-3", " ", " ", "x", ")", "5", "00",
              "999999999999999999", "=", "\\n", "$", "%", "\u00e9", "Yes", "yes"]
    text = "".join(draw.choice(pieces) for _ in range(draw.randint(1, 9)))
    return re.sub(r"[eE]([-+]?\d)\d\d+", r"e\1", text)  # within what a double holds


draw = random.Random(1)
rows = [(rule, a, e) for rule, a, e, _ in KNOWN]
for _ in range(6000):
    a = random_text(draw)
    e = a if draw.random() < 0.3 else random_text(draw)
    rows.append((draw.choice(list(RULES)), a, e if draw.random() < 0.7 else e + " " + draw.choice(["7", "12", "345", ".5", "-5"])))
result = subprocess.run([sys.argv[1]], input="".join("\t".join(r) + "\n" for r in rows).encode(), stdout=subprocess.PIPE, check=True)
got = [int(line) for line in result.stdout.split()]
failures, n_hits = [], 0
for i, ((rule, a, e), g) in enumerate(zip(rows, got)):
    want = KNOWN[i][3] if i < len(KNOWN) else int(RULES[rule](a.replace("\\n", "\n"), e.replace("\\n", "\n")))
    again = want if rule == "word" else int(RULES[rule](a.replace("\\n", "\n"), e.replace("\\n", "\n")))
    n_hits += g if rule != "word" else 0
    if not g == want == again:
        failures.append(f"{rule}: {a!r} for {e!r}: {g}, expected {want}, by the other rules {again}")
print(f"{len(rows)} comparisons, {n_hits} fit, {len(failures)} failed")
print("\n".join(failures[:20]))
sys.exit(1 if failures or len(got) != len(rows) or not 500 < n_hits < 5500 else 0)
