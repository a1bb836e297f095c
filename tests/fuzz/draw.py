"""How the inputs of random programs are drawn: by seed, shape and range, or aimed at where functions break.

In: numbers. Out: an array, the same for the same arguments everywhere. It must not know programs.
"""

from __future__ import annotations

import numpy as np

# What rows and compilers stumble over; each is rounded to the dtype.
WILD = (
    0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 2.0, 3.0, -3.0, 1e-45, -1e-45, 1e-40,
    1.1754944e-38, 5e-324, 2.2250738585072014e-308, 3.4028235e38, -3.4028235e38, 1e300, 88.7, -88.7, 103.9, -104.0,
    709.7, -745.2, 16777216.0, 16777217.0, 1e10, -1e10, 1e-10, 1 - 2**-24, 1 + 2**-23, np.pi, np.pi / 2, 0.1,
)  # fmt: skip
WILD_SHARE = 0.1


def drawn(key: tuple[int, ...], kind: str, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """Draw an array: of floats in [low, high), of integers in it (at least `low`), of bools.

    `kind` is a dtype's name; "wild float32" mixes in what functions stumble over.

    >>> drawn((1,), "int32", (3,), 0, 4).dtype.name
    'int32'
    """
    rng = np.random.default_rng(key)
    wild, _, dtype = kind.rpartition(" ")
    shape = tuple(max(int(n), 0) for n in shape)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if not dtype.startswith("float"):
        low = int(np.ceil(low))
        return rng.integers(low, max(int(high), low + 1), shape).astype(dtype)
    values = rng.uniform(low, high, shape)
    if wild:
        with np.errstate(over="ignore"):
            return np.where(rng.random(shape) < WILD_SHARE, rng.choice(WILD, shape), values).astype(dtype)
    return values.astype(dtype)
