"""Sequential models: a stack of layers.

In: layers. Out: a `Model` whose graph is the layers applied one after the other, built as soon as the input shape is
known. It must not know how models are trained.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from symgrad import side
from symgrad.dtypes import FLOAT32
from symgrad.errors import ShapeError
from symgrad.expr import Expr, symbol_node
from symgrad.nn.layer import Layer, names_for
from symgrad.ops.leaves import check_name
from symgrad.philox import as_key, fold
from symgrad.seeds import next_key
from symgrad.shape import dim
from symgrad.train.graphs import BATCH
from symgrad.train.model import Model


class Sequential(Model):
    """A stack of layers; built when the input shape is known: from `input_shape` of the first layer, or from data.

    >>> import symgrad as sg
    >>> model = sg.Sequential([sg.layers.Dense(10, activation="softmax", input_shape=(784,))])
    >>> model.output.shape
    (N, 10)
    """

    def __init__(
        self, layers: Sequence[Layer | Expr] = (), name: str | None = None, *, seed: int | None = None
    ) -> None:
        self.name = "sequential" if name is None else check_name(name)
        self._reset()
        self._seed = seed
        self._key: int | None = None if seed is None else as_key(seed)
        self._start: Expr | None = None
        self._stack: list[Layer] = []
        if isinstance(layers, Layer | Expr):
            raise TypeError(f"a Sequential model takes a list of layers: [{layers!r}]")
        for layer in layers:
            self._append(layer)
        self._build_if_known()

    def add(self, layer: Layer | Expr) -> None:
        """Add a layer at the end; what `sg.layers.Input` gives may be the first.

        Layers that are built already keep their parameters.
        """
        compiled, stack = self._compiled, list(self._stack)
        self._append(layer)
        self._reset()
        self._compiled = compiled
        try:
            self._build_if_known()
        except Exception:
            self._stack = stack
            self._build_if_known()
            raise

    def __call__(self, x: Expr) -> Expr:
        """Give the output for another input: an expression over the model's own parameters.

        - `x`: of the shape of the model's input, with any batch axis.

        Raises ShapeError for another shape, and where the model is not built yet; TypeError for an array, of which
        `predict` gives the output.

        >>> import symgrad as sg
        >>> model = sg.Sequential([sg.layers.Dense(1, input_shape=(3,))])
        >>> point = sg.symbol("point", (1, 3))
        >>> model(point)
        point @ W + b
        """
        self._built("a call")
        if not isinstance(x, Expr):
            raise TypeError(f"{self.name} is called with an expression, not {type(x).__name__}. predict takes arrays.")
        for layer in self._stack:
            x = layer(x)
        return x

    def _append(self, layer: Any) -> None:
        if isinstance(layer, Expr) and layer.op == "symbol" and not self._stack and self._start is None:
            self._start = layer
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"a Sequential model is made of layers, not {type(layer).__name__}: {layer!r}")
        self._stack.append(layer)

    def _build_if_known(self) -> None:
        self._layers = list(dict.fromkeys(self._stack))
        if self._stack and self._start is not None:
            self._build(self._start)
        elif self._stack and self._stack[0].input_shape is not None:
            self._build(_input(self._stack[0].input_shape))

    @contextlib.contextmanager
    def _built_from(self, array: np.ndarray) -> Iterator[None]:
        if self._output is not None:
            yield
            return
        if not self._stack:
            raise ShapeError("the model has no layers", hint="Add some with model.add.")
        waiting = [layer for layer in self._layers if not layer.built]
        try:
            self._build(_input(array.shape[1:]))
            yield
        except BaseException:  # data that do not fit must not decide the number of features
            self._inputs, self._output = [], None
            self._objectives.clear()
            for layer in waiting:
                layer.unbuild()
            raise

    def _build(self, x: Expr) -> None:
        """Name and seed the layers, and apply them one after the other."""
        if self._key is None:
            self._key = next_key()
        for number, (layer, name) in enumerate(zip(self._layers, names_for(self._layers), strict=True)):
            layer.adopt(name, fold(self._key, number))
        node = x
        for layer in self._stack:
            node = layer(node)
        self._adopt_graph([x], node)


def _input(sample: tuple[int, ...]) -> Expr:
    with side.building_at(None):
        return symbol_node("X", (dim(BATCH), *sample), FLOAT32)
