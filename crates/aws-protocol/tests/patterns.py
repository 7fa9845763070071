"""All patterns of the named services, and texts with Python's verdict on them.

Texts are made from the pattern's own parse tree, then damaged, so that about half of them match.
Patterns that Python's `re` reads otherwise than Java (properties, surrogates) have no texts.
"""

import json
import random
import re
import re._constants as c
import re._parser as parser
import sys
import warnings

import botocore.loaders

warnings.simplefilter("ignore")


def text(rng, items):
    out = ""
    for op, value in items:
        if op is c.LITERAL:
            out += chr(value)
        elif op is c.NOT_LITERAL:
            out += "x" if value != ord("x") else "y"
        elif op is c.ANY:
            out += rng.choice("aZ09 -_/.:é")
        elif op is c.IN:
            out += one_of(rng, value)
        elif op is c.BRANCH:
            out += text(rng, rng.choice(value[1]))
        elif op is c.SUBPATTERN:
            out += text(rng, value[3])
        elif op in (c.MAX_REPEAT, c.MIN_REPEAT):
            low, high, item = value
            count = rng.randint(low, min(int(high), low + 5))
            if rng.random() < 0.1 and int(high) < 2000:
                count = int(high)
            out += "".join(text(rng, item) for _ in range(count))
    return out


def one_of(rng, items):
    if items[0][0] is c.NEGATE:
        return rng.choice("qQ7_-é~")
    op, value = rng.choice(items)
    if op is c.LITERAL:
        return chr(value)
    if op is c.RANGE:
        return chr(rng.randint(value[0], min(value[1], 0xD7FF) if value[0] < 0xD800 else value[1]))
    categories = {c.CATEGORY_DIGIT: "5", c.CATEGORY_WORD: rng.choice("aZ_9"), c.CATEGORY_SPACE: " "}
    return categories.get(value, "é")


def samples(rng, pattern):
    try:
        compiled = re.compile(pattern, re.ASCII)
        tree = parser.parse(pattern, re.ASCII)
    except re.error:
        return
    for _ in range(20):
        good = text(rng, tree)
        candidates = [good]
        if good:
            at = rng.randrange(len(good))
            candidates += [good[:at] + rng.choice("é \n-/~:A1") + good[at + 1 :], good[:at]]
        for candidate in candidates:
            if candidate.isprintable() or candidate.isascii():
                yield pattern, candidate, bool(compiled.fullmatch(candidate))


def main():
    rng = random.Random(1)
    patterns = set()
    for name in sys.argv[1:]:
        shapes = botocore.loaders.Loader().load_service_model(name, "service-2")["shapes"]
        patterns |= {shape["pattern"] for shape in shapes.values() if "pattern" in shape}
    found = [sample for pattern in sorted(patterns) for sample in samples(rng, pattern)]
    json.dump({"patterns": sorted(patterns), "samples": found}, sys.stdout)


main()
