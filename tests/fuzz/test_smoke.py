"""A hundred random programs; `python -m fuzz FIRST COUNT` in tests/ runs any number of others."""

import pytest

from fuzz.compare import VARIANTS, check, has_avx512, use_every_thread
from fuzz.generate import generate

NAMES = [n for n in VARIANTS if n != "unfused"] + (["avx2"] if has_avx512() else [])


@pytest.mark.parametrize("seed", range(100))
def test_random_programs(seed, monkeypatch):
    use_every_thread(monkeypatch)
    check(generate(seed), ["unfused", NAMES[seed % len(NAMES)]])
