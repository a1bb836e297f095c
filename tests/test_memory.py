"""The arena plan: buffers that live at the same time lie apart, the others share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.memory import ALIGNMENT, Lifetime, aligned, aligned_empty, peak, plan

lifetimes = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 12), st.integers(0, 5)), max_size=40).map(
    lambda rows: [Lifetime(f"b{i}", size, first, first + extra) for i, (size, first, extra) in enumerate(rows)]
)


@given(lifetimes)
def test_plan_keeps_live_buffers_apart(lives: list[Lifetime]) -> None:
    arena = plan(lives)
    for i, a in enumerate(lives):
        low = arena.offsets[a.id]
        assert low % ALIGNMENT == 0
        assert low + a.bytes <= arena.size
        for b in lives[:i]:
            if a.first <= b.last and b.first <= a.last and a.bytes and b.bytes:
                assert low + a.bytes <= arena.offsets[b.id] or arena.offsets[b.id] + b.bytes <= low
    assert peak(lives) <= arena.size <= sum(aligned(life.bytes) for life in lives)
    assert plan(lives) == arena


def test_plan_of_a_chain_needs_two_buffers() -> None:
    assert plan([Lifetime(i, 4000, i, i + 1) for i in range(50)]).size == 2 * aligned(4000)


def test_plan_takes_the_gap_that_fits_best() -> None:
    # Epoch 1 finds two gaps left by epoch 0: of 512 bytes (below `wall`) and of 128 (above it, below `top`).
    lives = [
        Lifetime("wall", 1024, 0, 1), Lifetime("low", 512, 0, 0), Lifetime("keep", 256, 0, 1),
        Lifetime("mid", 128, 0, 0), Lifetime("top", 128, 0, 1), Lifetime("small", 100, 1, 1),
    ]  # fmt: skip
    arena = plan(lives)
    assert arena.size == peak(lives)
    assert arena.offsets["small"] == arena.offsets["mid"]


def test_plan_refuses() -> None:
    with pytest.raises(ValueError, match="one name"):
        plan([Lifetime("a", 1, 0, 0), Lifetime("a", 1, 1, 1)])
    with pytest.raises(ValueError, match="not a lifetime"):
        Lifetime("a", 1, 2, 1)


@pytest.mark.parametrize("alignment", [64, 128, 4096])
@pytest.mark.parametrize("size", [0, 1, 64, 1001])
def test_aligned_empty(size: int, alignment: int) -> None:
    array = aligned_empty(size, alignment)
    assert array.nbytes == size
    assert array.ctypes.data % alignment == 0 or not size
