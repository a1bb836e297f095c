"""First values of parameters: initializers, and `sg.parameter`, which draws from one.

In: a shape, a dtype and a key. Out: arrays; the same key gives the same bits on every machine. Formulas and defaults
are Keras'. An initializer is plain data; a key is used once. It must not know layers.

Sources: Glorot and Bengio 2010 (glorot), He et al. 2015 (he), LeCun et al. 1998 (lecun).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from symgrad import side
from symgrad.dtypes import DType, as_dtype
from symgrad.errors import DTypeError, ShapeError, nearest
from symgrad.expr import Parameter, parameter_node
from symgrad.nn.lookup import find
from symgrad.ops.axes import as_shape
from symgrad.ops.leaves import check_name
from symgrad.philox import as_key, draw_normal, draw_uniform, fold
from symgrad.seeds import next_key
from symgrad.shape import format_shape

__all__ = [
    "Constant", "Initializer", "Ones", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros",
    "constant", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "ones",
    "random_normal", "random_uniform", "truncated_normal", "zeros",
    "fans", "get",
]  # fmt: skip

Sizes = tuple[int, ...]

# The standard deviation of the standard normal distribution cut off at -2 and 2; dividing by it makes up for the cut.
TRUNCATED_STDDEV = 0.87962566103423978


@runtime_checkable
class Initializer(Protocol):
    """What draws the first value of a parameter."""

    def draw(self, shape: Sizes, dtype: DType, key: int) -> np.ndarray:
        """Give an array of this shape and dtype, a function of the key alone."""
        ...


# -- plain values --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Constant:
    """The same number everywhere.

    >>> Constant(0.5).draw((2,), DType.FLOAT32, key=0).tolist()
    [0.5, 0.5]
    """

    value: float = 0.0

    def draw(self, shape: Sizes, dtype: DType, key: int) -> np.ndarray:
        """Fill an array; DTypeError for a fraction in an integer array."""
        filled = np.full(shape, self.value, dtype.numpy)
        if not dtype.is_float and self.value != int(self.value):
            raise DTypeError(f"{self.value!r} does not fit {dtype}", hint="Choose a float dtype.")
        return filled


@dataclass(frozen=True, slots=True)
class Zeros:
    """Zeros."""

    def draw(self, shape: Sizes, dtype: DType, key: int) -> np.ndarray:
        """Give zeros."""
        return np.zeros(shape, dtype.numpy)


@dataclass(frozen=True, slots=True)
class Ones:
    """Ones."""

    def draw(self, shape: Sizes, dtype: DType, key: int) -> np.ndarray:
        """Give ones."""
        return np.ones(shape, dtype.numpy)


# -- distributions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RandomUniform:
    """Numbers spread evenly between `minval` and `maxval`."""

    minval: float = -0.05
    maxval: float = 0.05

    def __post_init__(self) -> None:
        if not self.minval <= self.maxval:
            raise ValueError(f"random_uniform: minval {self.minval} is above maxval {self.maxval}")

    def draw(self, shape: Sizes, dtype: DType, key: int) -> np.ndarray:
        """Scale numbers of [0, 1) in float64 and round once."""
        unit = draw_uniform(key, shape, dtype).astype(np.float64)
        return (self.minval + (self.maxval - self.minval) * unit).astype(dtype.numpy)


@dataclass(frozen=True, slots=True)
class RandomNormal:
    """Numbers of the normal distribution."""

    mean: float = 0.0
    stddev: float = 0.05

    def __post_init__(self) -> None:
        _check_stddev("random_normal", self.stddev)

    def draw(self, shape: Sizes, dtype: DType, key: int) -> np.ndarray:
        """Scale numbers of the standard normal distribution in float64 and round once."""
        unit = draw_normal(key, shape, dtype).astype(np.float64)
        return (self.mean + self.stddev * unit).astype(dtype.numpy)


@dataclass(frozen=True, slots=True)
class TruncatedNormal:
    """Numbers of the normal distribution, drawn again where they are more than two `stddev` off the mean.

    What is left has a standard deviation of 0.8796 `stddev`.
    """

    mean: float = 0.0
    stddev: float = 0.05

    def __post_init__(self) -> None:
        _check_stddev("truncated_normal", self.stddev)

    def draw(self, shape: Sizes, dtype: DType, key: int) -> np.ndarray:
        """Replace what lies outside, from a derived key each round, until nothing does."""
        unit = draw_normal(key, (math.prod(shape),), dtype).astype(np.float64)
        outside = np.flatnonzero(np.abs(unit) > 2.0)
        attempt = 0
        while outside.size:
            attempt += 1
            unit[outside] = draw_normal(fold(key, attempt), (outside.size,), dtype)
            outside = outside[np.abs(unit[outside]) > 2.0]
        return (self.mean + self.stddev * unit).astype(dtype.numpy).reshape(shape)


def _check_stddev(what: str, stddev: float) -> None:
    if not stddev >= 0:
        raise ValueError(f"{what}: a standard deviation is not negative: {stddev}")


# -- variance by the number of inputs and outputs ------------------------------------------------------------------

_MODES: dict[str, Callable[[int, int], float]] = {
    "fan_in": lambda fan_in, fan_out: fan_in,
    "fan_out": lambda fan_in, fan_out: fan_out,
    "fan_avg": lambda fan_in, fan_out: (fan_in + fan_out) / 2,
}
_DISTRIBUTIONS: dict[str, Callable[[float], Initializer]] = {  # by the variance that the numbers shall have
    "uniform": lambda variance: RandomUniform(-math.sqrt(3 * variance), math.sqrt(3 * variance)),
    "truncated_normal": lambda variance: TruncatedNormal(0.0, math.sqrt(variance) / TRUNCATED_STDDEV),
    "untruncated_normal": lambda variance: RandomNormal(0.0, math.sqrt(variance)),
}


def fans(shape: Sizes) -> tuple[int, int]:
    """Count the inputs and outputs of a kernel (in, out), or (*window, in, out) of a convolution.

    >>> fans((784, 512)), fans((3, 3, 16, 32)), fans((5,)), fans(())
    ((784, 512), (144, 288), (5, 5), (1, 1))
    """
    if len(shape) < 2:
        (size,) = shape or (1,)
        return size, size
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


@dataclass(frozen=True, slots=True)
class VarianceScaling:
    """Numbers with mean 0 and variance `scale` / fan.

    - `mode`: "fan_in" (the kernel's inputs), "fan_out" or "fan_avg" (their mean).
    - `distribution`: "uniform", "truncated_normal" or "untruncated_normal".
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"variance_scaling: scale is above 0, not {self.scale}")
        for what, name, table in (("mode", self.mode, _MODES), ("distribution", self.distribution, _DISTRIBUTIONS)):
            if name not in table:
                raise ValueError(f"variance_scaling: unknown {what} {name!r}. {nearest(str(name), table)}")

    def draw(self, shape: Sizes, dtype: DType, key: int) -> np.ndarray:
        """Draw from the distribution with the variance that the shape asks for."""
        variance = self.scale / max(1.0, _MODES[self.mode](*fans(shape)))
        return _DISTRIBUTIONS[self.distribution](variance).draw(shape, dtype, key)


def glorot_uniform() -> VarianceScaling:
    """Spread evenly within sqrt(6 / (in + out)); the default of kernels.

    >>> w = glorot_uniform().draw((784, 512), DType.FLOAT32, key=0)
    >>> bool(abs(w).max() <= (6 / (784 + 512)) ** 0.5)
    True
    """
    return VarianceScaling(1.0, "fan_avg", "uniform")


def glorot_normal() -> VarianceScaling:
    """Draw with standard deviation sqrt(2 / (in + out)), truncated at two of the underlying normal's."""
    return VarianceScaling(1.0, "fan_avg", "truncated_normal")


def he_uniform() -> VarianceScaling:
    """Spread evenly within sqrt(6 / in)."""
    return VarianceScaling(2.0, "fan_in", "uniform")


def he_normal() -> VarianceScaling:
    """Draw with standard deviation sqrt(2 / in), truncated at two of the underlying normal's."""
    return VarianceScaling(2.0, "fan_in", "truncated_normal")


def lecun_uniform() -> VarianceScaling:
    """Spread evenly within sqrt(3 / in)."""
    return VarianceScaling(1.0, "fan_in", "uniform")


def lecun_normal() -> VarianceScaling:
    """Draw with standard deviation sqrt(1 / in), truncated at two of the underlying normal's."""
    return VarianceScaling(1.0, "fan_in", "truncated_normal")


# Keras' other spelling of the classes without a variance.
zeros, ones, constant = Zeros, Ones, Constant
random_uniform, random_normal, truncated_normal = RandomUniform, RandomNormal, TruncatedNormal

INITIALIZERS: dict[str, Callable[[], Initializer]] = {
    "zeros": Zeros, "ones": Ones, "constant": Constant,
    "glorot_uniform": glorot_uniform, "glorot_normal": glorot_normal,
    "he_uniform": he_uniform, "he_normal": he_normal,
    "lecun_uniform": lecun_uniform, "lecun_normal": lecun_normal,
    "random_uniform": RandomUniform, "random_normal": RandomNormal, "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
}  # fmt: skip


def get(initializer: object) -> Initializer:
    """Give the initializer of a name, of a number (a constant), or the one given.

    Raises ValueError for an unknown name, TypeError for anything else.

    >>> get("he_normal")
    VarianceScaling(scale=2.0, mode='fan_in', distribution='truncated_normal')
    >>> get(0.1)
    Constant(value=0.1)
    """
    if isinstance(initializer, (int, float, np.number)) and not isinstance(initializer, bool):
        return Constant(initializer.item() if isinstance(initializer, np.number) else initializer)
    for make in INITIALIZERS.values():  # he_normal instead of he_normal(), as Keras permits; before the protocol test,
        if initializer is make:  # which a class would pass
            return make()
    if isinstance(initializer, Initializer) and not isinstance(initializer, type):
        return initializer
    return find("initializer", initializer, INITIALIZERS)()


# -- parameters ----------------------------------------------------------------------------------------------------


def parameter(
    name: str,
    shape: Any = (),
    init: Any = "glorot_uniform",
    dtype: Any = "float32",
    seed: int | None = None,
    trainable: bool = True,
) -> Parameter:
    """Declare a tensor with a value: `p.value` reads a copy and sets it, training changes it.

    - `shape`: ints only; a parameter owns its memory from here on.
    - `init`: an initializer or its name, a number, or an array of this shape.
    - `seed`: an int that the first value depends on alone; without one, the process seed and the number of parameters
      declared since `sg.set_seed` decide (each takes one key, whatever it is made of).
    - `trainable`: whether a model's optimizer changes it.

    Raises ShapeError, DTypeError or ValueError for what cannot be declared.

    >>> w = parameter("w", (2, 3), init=0.5)
    >>> w.shape, w.value.tolist()
    ((2, 3), [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]])
    >>> bool((parameter("a", 4, seed=1).value == parameter("b", 4, seed=1).value).all())
    True
    """
    what = f"parameter {check_name(name)!r}"
    sizes, element = fixed_shape(shape, what), as_dtype(dtype)
    key = next_key() if seed is None else fold(as_key(seed), 0)
    if isinstance(init, (np.ndarray, list, tuple)):
        value = _checked_value(what, np.asarray(init), sizes, element)
    else:
        value = _initializer(init, sizes).draw(sizes, element, key)
    return parameter_node(name, value, element, trainable)


def _initializer(init: object, sizes: Sizes) -> Initializer:
    try:
        return get(init)
    except ValueError as error:
        raise ValueError(f"{error} An array of shape {format_shape(sizes)} will do, too.") from None


def fixed_shape(shape: Any, what: str) -> Sizes:
    """Read a shape that is known: ShapeError for a symbolic size."""
    sizes = as_shape(shape, what)
    known = tuple(size for size in sizes if isinstance(size, int))
    if len(known) == len(sizes):
        return known
    hint = "Only symbols have symbolic sizes: a parameter has memory."
    raise ShapeError(f"{what}: sizes are ints", got=format_shape(sizes), where=str(side.caller_site() or ""), hint=hint)


def _checked_value(what: str, array: np.ndarray, sizes: Sizes, dtype: DType) -> np.ndarray:
    where = str(side.caller_site() or "")
    if array.shape != sizes:
        got = f"{format_shape(array.shape)} instead of {format_shape(sizes)}"
        raise ShapeError(f"{what}: the value has the wrong shape", got=got, where=where)
    if array.dtype.kind not in "biuf" or not np.can_cast(array.dtype, dtype.numpy, "same_kind"):
        hint = "Convert it first."
        raise DTypeError(f"{what}: the value cannot become {dtype}", got=str(array.dtype), where=where, hint=hint)
    return array
