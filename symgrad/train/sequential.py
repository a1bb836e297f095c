"""Sequential models: a stack of layers.

In: layers. Out: a `Model` whose graph is the layers applied one after the other, built as soon as the input shape is
known. It must not know how models are trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad import side
from symgrad.dtypes import FLOAT32
from symgrad.errors import ShapeError
from symgrad.expr import symbol_node
from symgrad.nn.layer import Layer, names_for
from symgrad.philox import as_key, fold
from symgrad.seeds import next_key
from symgrad.shape import dim
from symgrad.train.model import Model
from symgrad.train.trainer import BATCH


class Sequential(Model):
    """A stack of layers; built when the input shape is known: from `input_shape` of the first layer, or from data.

    >>> import symgrad as sg
    >>> model = sg.Sequential([sg.layers.Dense(10, activation="softmax", input_shape=(784,))])
    >>> model.output.shape
    (N, 10)
    """

    def __init__(self, layers: Sequence[Layer] = (), name: str | None = None, *, seed: int | None = None) -> None:
        self.name = name or "sequential"
        self._reset()
        self._seed = seed
        self._key: int | None = None
        self._stack: list[Layer] = []
        for layer in layers:
            self._check_layer(layer)
            self._stack.append(layer)
        self._layers = list(dict.fromkeys(self._stack))
        self._build_if_known()

    @staticmethod
    def _check_layer(layer: Any) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(f"a Sequential model is made of layers, not {type(layer).__name__}: {layer!r}")

    def add(self, layer: Layer) -> None:
        """Add a layer at the end."""
        self._check_layer(layer)
        self._stack.append(layer)
        compiled = self._compiled
        self._reset()
        self._compiled = compiled
        self._layers = list(dict.fromkeys(self._stack))
        self._build_if_known()

    def _build_if_known(self) -> None:
        if self._stack and self._stack[0].input_shape is not None:
            self._build(self._stack[0].input_shape)

    def _build_from(self, array: np.ndarray) -> None:
        if not self._stack:
            raise ShapeError("the model has no layers", hint="Add some with model.add.")
        self._build(array.shape[1:])

    def _build(self, sample: tuple[int, ...]) -> None:
        """Name and seed the layers, and apply them one after the other."""
        if self._key is None:
            self._key = next_key() if self._seed is None else as_key(self._seed)
        for number, (layer, name) in enumerate(zip(self._layers, names_for(self._layers), strict=True)):
            layer.adopt(name, fold(self._key, number))
        with side.building_at(None):
            x = node = symbol_node("X", (dim(BATCH), *sample), FLOAT32)
        for layer in self._stack:
            node = layer(node)
        self._adopt_graph([x], node)
