"""What a layer is: parameters and a function of one expression, with the line on which it was constructed.

In: expressions. Out: expressions, and for each the calls of layers that made it (`calls_below`), from which a model
finds its layers again. A layer is built at its first call, when the number of features is known; nothing runs here.
Names: a layer is named by its user, or by the model that adopts it (`names_for`: `dense`, `dense_1`); one called before
any model exists is numbered by the layers below it. It must not know models or training.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from symgrad import side
from symgrad.drawing.drawable import CALLS, LayerCall
from symgrad.dtypes import DType, inexact
from symgrad.errors import ShapeError
from symgrad.expr import Expr, Parameter, topological
from symgrad.nn.initializers import fixed_shape, parameter
from symgrad.ops.leaves import check_name
from symgrad.ops.row import describe
from symgrad.philox import fold
from symgrad.shape import Shape, format_shape

__all__ = ["Call", "Layer", "calls_below", "calls_of", "names_for"]


class Layer:
    """The base of all layers: subclasses define `call`, and `build` and `check` where they have parameters.

    >>> from symgrad.ops import dim, symbol
    >>> class Scale(Layer):
    ...     def build(self, shape, dtype):
    ...         self.factor = self.add_parameter("factor", (), "ones", dtype=dtype)
    ...     def call(self, x, training=False):
    ...         return x * self.factor
    >>> scale = Scale()
    >>> scale(symbol("x", (dim("N"), 3))).shape, scale.parameters[0].name
    ((N, 3), 'scale/factor')
    """

    name: str
    built: bool
    site: side.Site | None
    input_shape: tuple[int, ...] | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note the line that constructs the layer, whatever the subclass does in `__init__`."""
        layer = super().__new__(cls)
        layer.site = side.caller_site()
        layer.name, layer.built, layer.input_shape = "", False, None
        layer._chosen, layer._seed = None, None
        layer._parameters, layer._updates = {}, []
        return layer

    _chosen: str | None  # the user's name
    _seed: int | None
    _parameters: dict[str, Parameter]
    _updates: list[tuple[Parameter, Expr]]

    def __init__(self, *, name: str | None = None, input_shape: Any = None) -> None:
        if name is not None:
            self._chosen = self.name = check_name(name)
        if input_shape is not None:
            self.input_shape = fixed_shape(input_shape, f"input_shape of {self._label}")

    # -- what subclasses define ------------------------------------------------------------------------------------

    def check(self, x: Expr) -> None:
        """Refuse an input that the layer cannot take, before anything is built."""

    def build(self, shape: Shape, dtype: DType) -> None:
        """Make the parameters, with `add_parameter`, for inputs of this shape and float dtype."""

    def call(self, x: Expr, training: bool = False) -> Expr:
        """Give the layer's result for an input."""
        raise NotImplementedError(f"{type(self).__name__} defines no call(self, x, training)")

    # -- what subclasses use ---------------------------------------------------------------------------------------

    def add_parameter(
        self, name: str, shape: Any, init: Any = "glorot_uniform", *, dtype: Any = "float32", trainable: bool = True
    ) -> Parameter:
        """Make a parameter that belongs to the layer: `kernel` becomes `dense/kernel`."""
        if name in self._parameters:
            raise ValueError(f"{self._label} has a parameter {name!r} already")
        seed = None if self._seed is None else fold(self._seed, len(self._parameters))
        made = parameter(f"{self.name}/{name}", shape, init, dtype, seed, trainable)
        self._parameters[name] = made
        return made

    def add_update(self, target: Parameter, value: Expr) -> None:
        """Register a new value for a parameter that is no matter of gradients, such as a moving average.

        Whoever compiles the training step collects it with `take_updates`, after the call.
        """
        if value.shape != target.shape:
            got = f"{format_shape(value.shape)} for {describe(target)}"
            raise ShapeError(f"{self._label}: an update has the shape of its parameter", got=got, where=self._where())
        self._updates.append((target, value))

    # -- what users and models use ---------------------------------------------------------------------------------

    def __call__(self, x: Any, training: bool = False) -> Expr:
        """Apply the layer to an expression whose first axis is the batch; the first call builds the parameters."""
        if not isinstance(x, Expr):
            hint = "sg.layers.Input and sg.symbol make expressions; arrays enter through a compiled model."
            raise TypeError(f"{self._label} is called with an expression, not {type(x).__name__}. {hint}")
        with side.building_at(self.site):
            self._check_input_shape(x)
            self.check(x)
            below = _layers_below(x)
            if not self.built:
                self._build(x, below)
            out = self.call(x, training)
        if not isinstance(out, Expr):
            raise TypeError(f"{self._label}: call returns an expression, not {type(out).__name__}")
        _record(out, Call(self, () if out is x else (x,)), below)
        return out

    @property
    def parameters(self) -> list[Parameter]:
        """List the parameters in the order in which they were made; none before the first call."""
        return list(self._parameters.values())

    @property
    def parameters_by_name(self) -> dict[str, Parameter]:
        """Give the parameters by their names within the layer, such as `kernel` and `bias`."""
        return dict(self._parameters)

    @property
    def default_name(self) -> str:
        """Give what a model calls the first layer of this class: `Dense` is `dense`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def chosen_name(self) -> str | None:
        """Give the name that the user chose, if any."""
        return self._chosen

    def adopt(self, name: str, seed: int | None = None) -> None:
        """Take the name, and the seed of first values, that a model gives.

        Parameters that exist already keep their identity and value; errors show them under the new name.
        """
        self.name, self._seed = check_name(name), seed
        with side.building_at(self.site):
            for short, made in self._parameters.items():
                if made.name != f"{name}/{short}":
                    side.set_name(made, f"{name}/{short}")

    def unbuild(self) -> None:
        """Forget the parameters: the next call builds them anew, for another number of features."""
        self._parameters, self._updates, self.built = {}, [], False

    def take_updates(self) -> list[tuple[Parameter, Expr]]:
        """Give the updates that calls have registered since they were last taken."""
        taken, self._updates = self._updates, []
        return taken

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or '(not named yet)'}>"

    # -- parts -----------------------------------------------------------------------------------------------------

    @property
    def _label(self) -> str:
        return self.name or self.default_name

    def _where(self) -> str:
        """Say which line failed and where the layer was constructed."""
        here = side.caller_site()
        parts = [str(here)] if here and here != self.site else []
        return "; ".join([*parts, f"{self._label} constructed at {self.site}"])

    def _check_input_shape(self, x: Expr) -> None:
        if self.input_shape is None or x.shape[1:] == self.input_shape:
            return
        wanted = ", ".join(["N", *map(str, self.input_shape)])
        hint = f"input_shape leaves out the batch axis: {format_shape(self.input_shape)} means inputs of ({wanted})."
        got = f"{describe(x)}, input_shape is {format_shape(self.input_shape)}"
        raise ShapeError(f"{self._label}: the input has another shape", got=got, where=self._where(), hint=hint)

    def _build(self, x: Expr, below: dict[str, int]) -> None:
        if not self.name:
            self.name = _numbered(self.default_name, below.get(self.default_name, 0))
            below[self.default_name] = below.get(self.default_name, 0) + 1
        try:
            self.build(x.shape, inexact(x.dtype))
        except BaseException:
            self._parameters.clear()
            raise
        self.built = True


# -- which layers made an expression -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One use of a layer: what it was applied to; nothing where it gave its input back."""

    layer: Layer
    inputs: tuple[Expr, ...]


_calls: side.SideTable[tuple[Call, ...]] = side.SideTable()
# How many numbers of each default name are taken at and below the result of a call.
_below: side.SideTable[dict[str, int]] = side.SideTable()


def _layers_below(x: Expr) -> dict[str, int]:
    """Count the numbers taken below an expression; the walk ends at the last calls, where they are known."""
    counts: dict[str, int] = {}
    for node in topological([x], stop=_below.__contains__):
        for name, count in (_below.get(node) or {}).items():
            counts[name] = max(count, counts.get(name, 0))
    return counts


def _record(out: Expr, call: Call, below: dict[str, int]) -> None:
    """Remember a call beside its result; of equal calls, as of two Flatten on one input, the last one counts."""
    _below[out] = below
    key = list(map(id, call.inputs))
    known = [c for c in _calls.get(out) or () if list(map(id, c.inputs)) != key]
    _calls[out] = (*known, call)


def calls_below(outputs: Iterable[Expr]) -> list[Call]:
    """List the calls of layers that the outputs are made of, operands first; a shared layer has several.

    >>> from symgrad.ops import dim, symbol
    >>> class Double(Layer):
    ...     def call(self, x, training=False):
    ...         return x + x
    >>> double = Double()
    >>> [call.layer is double for call in calls_below([double(double(symbol("doubled", (dim("N"), 3))))])]
    [True, True]
    """
    return [call for node in topological(outputs) for call in calls_of(node)]


def calls_of(node: Expr) -> tuple[Call, ...]:
    """Give the calls whose result is this very node; several where layers gave their input back."""
    return _calls.get(node) or ()


def _drawn_calls(node: Expr) -> list[LayerCall]:
    """Give the calls that a drawing puts a frame around."""
    calls = [call for call in calls_of(node) if call.inputs]
    return [LayerCall(c.layer.name, type(c.layer).__name__, c.inputs, tuple(c.layer.parameters)) for c in calls]


CALLS.append(_drawn_calls)


def names_for(layers: Sequence[Layer]) -> list[str]:
    """Name the layers of a model: those of its user, then `dense`, `dense_1`, ... in order.

    Raises ValueError where the user gave one name twice.
    """
    chosen = [layer.chosen_name for layer in layers if layer.chosen_name]
    for name in chosen:
        if chosen.count(name) > 1:
            raise ValueError(f"two layers of the model are named {name!r}. Give each its own name.")
    taken = set(chosen)
    result = []
    for layer in layers:
        name = layer.chosen_name or _first_free(layer.default_name, taken)
        taken.add(name)
        result.append(name)
    return result


def _first_free(base: str, taken: set[str]) -> str:
    number = 0
    while _numbered(base, number) in taken:
        number += 1
    return _numbered(base, number)


def _numbered(base: str, number: int) -> str:
    return f"{base}_{number}" if number else base
