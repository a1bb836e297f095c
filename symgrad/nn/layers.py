"""The layers: Dense, Activation, Flatten, and Input, which starts a functional model.

In: expressions whose first axis is the batch. Out: expressions in the rows of `ops/`; parameters named as Keras names
them. It must not know how gradients are derived or a model is trained.
"""

from __future__ import annotations

import itertools
from typing import Any

from symgrad.dtypes import DType
from symgrad.errors import ShapeError
from symgrad.expr import Expr
from symgrad.nn import activations, initializers
from symgrad.nn.initializers import fixed_shape
from symgrad.nn.layer import Call, Layer, calls_below, names_for
from symgrad.nn.lookup import check_flag
from symgrad.ops.layout import reshape
from symgrad.ops.leaves import symbol
from symgrad.ops.row import describe
from symgrad.shape import Dim, Shape, dim, format_shape, product

__all__ = ["Activation", "Call", "Dense", "Flatten", "Input", "Layer", "calls_below", "names_for"]


class Dense(Layer):
    """activation(x @ kernel + bias), along the last axis of x.

    - `units`: the number of outputs.
    - `activation`: a name, a function of one expression, or None.
    - `kernel_initializer`, `bias_initializer`: as `init` of `sg.parameter`.
    - `input_shape`: the shape of one sample, for the first layer of a Sequential model.

    The parameters are `kernel` (features, units) and `bias` (units,). Raises ShapeError for an input without a batch
    axis, with a symbolic number of features, or with another one than the layer was built for.

    >>> from symgrad.ops import dim, symbol
    >>> layer = Dense(512, activation="relu")
    >>> layer(symbol("x", (dim("N"), 784))).shape
    (N, 512)
    >>> [(p.name, p.shape) for p in layer.parameters]
    [('dense/kernel', (784, 512)), ('dense/bias', (512,))]
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        input_shape: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.units = _positive("units", units)
        self.activation = activations.get(activation)
        self.use_bias = check_flag("use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def check(self, x: Expr) -> None:
        """Ask for a batch axis and a known number of features, after the first call for the same one."""
        if x.ndim < 2:
            hint = f"One sample is x.reshape(1, {x.shape[0]})." if x.ndim else ""
            self._refuse("the input needs a batch axis and one of features", describe(x), hint)
        features = x.shape[-1]
        if isinstance(features, Dim):
            hint = "Only the batch and the axes between may be symbolic: the kernel has memory."
            self._refuse("the number of features must be known", f"{describe(x)}, the last size is {features}", hint)
        if self.built and features != self._kernel.shape[0]:
            kernel = self._kernel.shape
            got = f"{describe(x)}, the kernel is {format_shape(kernel)}; {features} != {kernel[0]}"
            self._refuse("the input has another number of features than the first one", got, "Make another Dense.")

    def build(self, shape: Shape, dtype: DType) -> None:
        """Make kernel and bias in the float dtype of the input."""
        self.add_parameter("kernel", (shape[-1], self.units), self.kernel_initializer, dtype=dtype)
        if self.use_bias:
            self.add_parameter("bias", (self.units,), self.bias_initializer, dtype=dtype)

    def call(self, x: Expr, training: bool = False) -> Expr:
        """Give activation(x @ kernel + bias)."""
        z = x @ self._kernel
        if self.use_bias:
            z = z + self._parameters["bias"]
        return self.activation(z)

    @property
    def _kernel(self) -> Expr:
        return self._parameters["kernel"]

    def _refuse(self, what: str, got: str, hint: str) -> None:
        raise ShapeError(f"{self._label}: {what}", got=got, where=self._where(), hint=hint)


class Activation(Layer):
    """An activation as a layer of its own.

    >>> from symgrad.ops import dim, symbol
    >>> Activation("softmax")(symbol("z", (dim("N"), 10))).op
    'softmax'
    """

    def __init__(self, activation: Any, input_shape: Any = None, name: str | None = None) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.activation = activations.get(activation)

    def call(self, x: Expr, training: bool = False) -> Expr:
        """Give activation(x)."""
        return self.activation(x)


class Flatten(Layer):
    """All axes but the batch made one: (N, 28, 28) becomes (N, 784), and (N,) becomes (N, 1).

    >>> from symgrad.ops import dim, symbol
    >>> Flatten()(symbol("images", (dim("N"), 28, 28))).shape
    (N, 784)
    """

    def __init__(self, input_shape: Any = None, name: str | None = None) -> None:
        super().__init__(name=name, input_shape=input_shape)

    def check(self, x: Expr) -> None:
        """Ask for a batch axis."""
        if x.ndim == 0:
            raise ShapeError(f"{self._label}: the input needs a batch axis", got=describe(x), where=self._where())

    def call(self, x: Expr, training: bool = False) -> Expr:
        """Reshape; a matrix is flat already."""
        return x if x.ndim == 2 else reshape(x, (x.shape[0], product(x.shape[1:])))


_inputs = itertools.count()


def Input(shape: Any, dtype: Any = "float32", name: str | None = None) -> Expr:  # noqa: N802
    """Declare the input of a functional model: a symbol of shape (N, *shape).

    - `shape`: the shape of one sample, without the batch axis.
    - `name`: the name under which arrays are passed; without one it is `input`, `input_1`, ..., so that two inputs
      are never the same symbol.

    >>> Input((28, 28), name="image").shape
    (N, 28, 28)
    """
    if name is None:
        number = next(_inputs)
        name = f"input_{number}" if number else "input"
    sizes = fixed_shape(shape, f"input {name!r}")
    return symbol(name, (dim("N"), *sizes), dtype)


def _positive(what: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or isinstance(value, Dim):
        raise TypeError(f"{what} is an int, not {type(value).__name__}: {value!r}")
    number = int(value)
    if number < 1:
        raise ValueError(f"{what} is 1 or more, not {number}")
    return number
