"""`python -m rewriting FIRST COUNT [RULE ...]` in tests/: try so many seeds from FIRST on, over these rules or all.

Faults are printed with their programs; then, for each rule, how often it fired at programs of each dtype. One fault
again: `python -m rewriting SEED 1 RULE`. The repository's root has to be on PYTHONPATH, or symgrad installed.
"""

from __future__ import annotations

import sys
from collections import Counter

from rewriting.campaign import Tally, tried
from symgrad.rules import TABLE

if __name__ == "__main__":
    first, count = map(int, sys.argv[1:3])
    rules = [one for one in TABLE if one.name in sys.argv[3:]] or TABLE
    tally, found = Tally(), Counter[str]()
    for seed in range(first, first + count):
        for fault in tried(rules[seed % len(rules)], seed, tally):
            kind = f"{fault.rule}: {fault.what.split(' at (')[0].split('(')[0]}"
            found[kind] += 1
            if found[kind] <= 2:
                print(fault, end="\n\n", flush=True)
    for one in rules:
        counts = [f"{d} {tally.fired[n, d]}/{met}" for (n, d), met in sorted(tally.met.items()) if n == one.name]
        print(f"{one.name:28} {', '.join(counts)}")
    print(*(f"{times:5} {kind}" for kind, times in found.most_common()), sep="\n")
