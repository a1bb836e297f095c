"""Run random programs: `python -m fuzz FIRST COUNT [SIZE]` in tests/. Prints the programs that show a difference."""

import sys
import time

import pytest

from fuzz.compare import VARIANTS, MismatchError, check, has_avx512, use_every_thread
from fuzz.generate import generate


def main(first: int, count: int, size: int | None = None) -> int:
    names = [*VARIANTS, *(["avx2"] if has_avx512() else [])]
    failures = 0
    start = time.time()
    with pytest.MonkeyPatch.context() as patch:
        use_every_thread(patch)
        for seed in range(first, first + count):
            try:
                check(generate(seed, size), names if seed % 10 == 0 else ["unfused"])
            except MismatchError as error:
                failures += 1
                print(f"---- seed {seed}\n{error}", flush=True)
    print(f"{failures} of {count} fail, {time.time() - start:.0f} s")
    return failures


if __name__ == "__main__":
    sys.exit(bool(main(*map(int, sys.argv[1:]))))
