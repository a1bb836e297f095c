"""Three hundred random programs against the oracle; `make fuzz` runs any number of others."""

import pytest

from fuzz.referee import check
from fuzz.templates import generate
from fuzz.worker import chosen

TESTED = 300
LEAST, SPREAD = 3, 2  # lines: compilation takes most of the time, long runs have larger graphs
OTHER = 6  # every sixth program is compiled in one other way, too; a thread count costs nothing


@pytest.mark.parametrize("seed", range(TESTED))
def test_random_programs(seed):
    program = generate(seed, LEAST + seed % SPREAD)
    check(program, chosen(program, int(seed % OTHER == 0)))
