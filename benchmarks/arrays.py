"""Cases without training: a chain of operators, softmax, products of matrices; each on arrays that everyone shares.

In: whether only to see that things run. Out: rungs. The first two are bound by memory: bytes are what must be read and
written once. Products are counted in FLOPs; NumPy alone is compared there, the library under its products being made
for nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType

import numpy as np

from benchmarks.contest import RESULTS, Case, Contender, Rung, Unit

FLOAT = 4  # bytes of a float32
MANY_THREADS = 2 * 256**3  # FLOPs of a product from which all threads are used
TURNS = {(False, False): "A B", (True, False): "A' B", (False, True): "A B'", (True, True): "A' B'"}

# fmt: off
PRODUCTS = (
    # stack      M      K      N    which are stored transposed
    *(((),       n,     n,     n,    (False, False)) for n in (16, 32, 64, 128, 256, 512, 1024, 2048)),
    *(((),       n,     n,     n,    (False, False)) for n in (101, 255, 517, 1001)),
    ((),         20000, 64,    64,   (False, False)),
    ((),         64,    20000, 64,   (False, False)),
    ((),         64,    64,    20000, (False, False)),
    *(((),       512,   512,   512,  turned) for turned in TURNS if any(turned)),
    *(((),       517,   301,   203,  turned) for turned in TURNS),
    ((256,),     32,    32,    32,   (False, False)),
    ((64,),      128,   128,   128,  (False, False)),
)
# fmt: on


def elementwise(quick: bool) -> Rung:
    """Give the chain of twelve operators over ten million elements."""
    size = 100_000 if quick else 10_000_000
    x = np.random.default_rng(0).uniform(-2, 2, size).astype(np.float32)
    return Rung(
        "elementwise",
        "sqrt(abs(square(clip((0.5 x + 1) x - 0.25, -1, 4)) + x)) * 1.5 - x: twelve operators, float32, with out=",
        (_swept(f"{size:,} elements", x, "chain", quick),),
    )


def softmax(quick: bool) -> Rung:
    """Give softmax over rows of three lengths."""
    total = 100_000 if quick else 10_000_000
    draw = np.random.default_rng(0)
    return Rung(
        "softmax",
        "softmax of every row, float32, with out=",
        tuple(
            _swept(
                f"{total // n:,} rows of {n:,}",
                draw.standard_normal((total // n, n), np.float32),
                "softmax",
                quick,
            )
            for n in (10, 1_000, 50_000)
        ),
    )


def _swept(title: str, x: np.ndarray, name: str, quick: bool) -> Case:
    """Make a case that reads an array and writes one like it."""
    times = 1 if quick else 10

    def enter(peer: ModuleType) -> list[Contender]:
        work: Callable[[np.ndarray, int], list[Contender]] = getattr(peer, name)
        return work(x, times)

    return Case(title, Unit.BYTES, 2 * FLOAT * x.size, enter, RESULTS)


def gemm(quick: bool) -> Rung:
    """Give products of all kinds of shapes; on one thread below 256 x 256 x 256."""
    cases = (_product(*shape, quick) for shape in PRODUCTS)
    subject = (
        "products of float32 matrices (M x K x N; ' is stored transposed); symgrad on one thread below 256 x 256 x "
        "256, its repetitions one native call, or a call each; NumPy a call each, on as many threads as OpenBLAS wants"
    )
    return Rung("gemm", subject, tuple(cases))


def _product(stack: tuple[int, ...], m: int, k: int, n: int, turned: tuple[bool, bool], quick: bool) -> Case:
    flops = 2 * math.prod(stack) * m * k * n
    goal, most = (1e7, 100) if quick else (4e9, 20_000)  # FLOPs of one run, products of one run
    times = max(1, min(most, int(goal / flops)))
    threads = 0 if flops >= MANY_THREADS else 1

    def enter(peer: ModuleType) -> list[Contender]:
        draw = np.random.default_rng(0)  # everyone draws the same
        a = draw.uniform(-1, 1, (*stack, *((k, m) if turned[0] else (m, k)))).astype(np.float32)
        b = draw.uniform(-1, 1, (*stack, *((n, k) if turned[1] else (k, n)))).astype(np.float32)
        work: Callable[..., list[Contender]] = peer.product
        return work(a, b, turned, times, threads)

    many = f"{stack[0]} of " if stack else ""
    title = f"{TURNS[turned]}, {many}{m} x {k} x {n}"
    return Case(title, Unit.FLOPS, flops, enter, RESULTS, threads)
