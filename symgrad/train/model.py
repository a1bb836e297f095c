"""Models: `Sequential` and `Model`, with Keras' habits and defaults.

In: layers, or expressions made by layers; arrays. Out: trained parameters, histories, predictions, and the gradient
function of the very model as expressions. Everything that computes is compiled: a pass over data is one native loop.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgrad import side
from symgrad.errors import ShapeError
from symgrad.expr import Expr, Parameter, symbol_node, topological
from symgrad.nn import losses, metrics, optim
from symgrad.nn.layer import Layer, calls_below, names_for
from symgrad.options import Options
from symgrad.philox import as_key, fold, permutation
from symgrad.seeds import next_key
from symgrad.shape import dim, format_shape
from symgrad.simplifier import simplify
from symgrad.train.graphs import Objective, gradients, objective, trainable_parameters, training_step
from symgrad.train.history import History
from symgrad.train.labels import check_classes
from symgrad.train.loop import BatchProgram
from symgrad.train.progress import Progress
from symgrad.train.rows import Rows, as_rows
from symgrad.train.summary import summary_text
from symgrad.train.trainer import BATCH, Trainer, check_batch_size, check_samples, make_program

ROW_SUM_TOLERANCE = 1e-5


class Model:
    """A network from inputs to an output: `Model(x, y)` of expressions that layers have made.

    - `inputs`: what `sg.layers.Input` gave, or a list of them.
    - `outputs`: an expression whose first axis is the batch.

    >>> import symgrad as sg
    >>> x = sg.layers.Input((784,), name="x")
    >>> model = sg.Model(x, sg.layers.Dense(10, activation="softmax")(x))
    >>> [p.name for p in model.parameters]
    ['dense/kernel', 'dense/bias']
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, *, seed: int | None = None) -> None:
        self.name = name or "model"
        self._reset()
        self._seed = seed
        self._adopt_graph(list(inputs) if isinstance(inputs, list | tuple) else [inputs], outputs)

    def _reset(self) -> None:
        self._inputs: list[Expr] = []
        self._output: Expr | None = None
        self._layers: list[Layer] = []
        self._compiled: tuple[Any, Any, dict[str, Any], Options] | None = None
        self._programs: dict[Any, BatchProgram] = {}
        self._objectives: dict[bool, Objective] = {}
        self._warned = False

    def _adopt_graph(self, inputs: list[Any], output: Any) -> None:
        """Take the graph as the model's own: find its layers, name them, name what formulas show."""
        for node in inputs:
            if not isinstance(node, Expr) or node.op != "symbol":
                raise TypeError(f"a model's input is what sg.layers.Input or sg.symbol gives, not {node!r}")
        if not isinstance(output, Expr):
            raise TypeError(f"a model has one output, an expression, not {type(output).__name__}")
        for node in topological([output]):
            if node.op == "symbol" and not any(node is i for i in inputs):
                raise ValueError(f"the output needs {node.attrs['name']!r}, which is not among the inputs")
        self._layers = list(dict.fromkeys(call.layer for call in calls_below([output])))
        for layer, name in zip(self._layers, names_for(self._layers), strict=True):
            layer.adopt(name)
        self._inputs, self._output = inputs, output
        _name_formulas(self._layers, output)

    # -- what the model is -----------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """List the layers, operands first."""
        return list(self._layers)

    @property
    def inputs(self) -> list[Expr]:
        """List the input symbols."""
        self._built("inputs")
        return list(self._inputs)

    @property
    def output(self) -> Expr:
        """Give the output as an expression of inputs and parameters."""
        return self._built("output")

    @property
    def parameters(self) -> list[Parameter]:
        """List all parameters, layer by layer."""
        self._built("parameters")
        return [p for layer in self._layers for p in layer.parameters]

    def _built(self, what: str) -> Expr:
        if self._output is None:
            hint = "Give the first layer an input_shape, or call fit first."
            raise ShapeError(f"{what}: the model is not built yet, its input shape is not known", hint=hint)
        return self._output

    def summary(self, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print the layers, the shapes of their results and the numbers of parameters."""
        out = self._built("summary")
        nodes = {id(call): node for node in topological([out]) for call in calls_below([node])}
        calls = [(call, nodes[id(call)]) for call in calls_below([out])]
        (print_fn or print)(summary_text(self.name, _with_results(calls, out), self.parameters))

    def gradients(self) -> dict[str, Expr]:
        """Give the gradient of the loss with respect to every trainable parameter, by its name in the model."""
        self._built("gradients")
        target = self._objective()
        names = {p: f"{layer.name}/{short}" for layer in self._layers for short, p in layer.parameters_by_name.items()}
        wanted = [p for p in self.parameters if p.trainable]
        return dict(zip((names[p] for p in wanted), gradients(target, wanted), strict=True))

    def get_weights(self) -> list[np.ndarray]:
        """Give copies of all parameters' values."""
        return [p.value for p in self.parameters]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all parameters; nothing changes if one does not fit."""
        own = self.parameters
        arrays = [np.asarray(w) for w in weights]
        if len(arrays) != len(own):
            raise ShapeError("set_weights: another number of arrays is needed", got=f"{len(arrays)} instead of {len(own)}")
        for p, array in zip(own, arrays, strict=True):
            if array.shape != p.shape:
                got = f"{format_shape(array.shape)} instead of {format_shape(p.shape)}"
                raise ShapeError(f"set_weights: {p.name} has another shape", got=got)
        old = self.get_weights()
        try:
            for p, array in zip(own, arrays, strict=True):
                p.value = array
        except Exception:
            for p, array in zip(own, old, strict=True):
                p.value = array
            raise

    # -- compiling -------------------------------------------------------------------------------------------------

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, *, threads: int | None = None,
        options: Options | None = None,
    ) -> None:  # fmt: skip
        """Choose optimizer, loss and metrics, by name or as objects. Machine code is made when data is seen.

        Raises ValueError for an unknown name, with the nearest one.
        """
        if loss is None:
            raise TypeError("compile needs a loss, e.g. loss='categorical_crossentropy'")
        chosen = Options(threads=threads) if options is None else options
        named = {_metric_name(m): _metric(m) for m in ([metrics] if isinstance(metrics, str) else metrics or ())}
        self._compiled = (optim.get(optimizer), losses.get(loss), named, chosen)
        self._programs.clear()
        self._objectives.clear()

    def _settings(self, what: str) -> tuple[Any, Any, dict[str, Any], Options]:
        if self._compiled is None:
            raise RuntimeError(f"{what}: compile the model first, e.g. model.compile('rmsprop', 'mse')")
        return self._compiled

    @property
    def optimizer(self) -> Any:
        """Give the optimizer."""
        return self._settings("optimizer")[0]

    def _objective(self, with_facts: bool = True) -> Objective:
        if with_facts not in self._objectives:
            _, loss, named, _ = self._settings("gradients")
            self._objectives[with_facts] = objective(self._inputs, self._built("loss"), loss, named, with_facts)
        return self._objectives[with_facts]

    # -- data ------------------------------------------------------------------------------------------------------

    def _rows(self, x: Any, y: Any = None) -> tuple[list[Rows], Rows | None]:
        """View the data, build the model from it if need be, and check it against the model."""
        given = list(x) if isinstance(x, list | tuple) and len(self._inputs) > 1 else [x]
        rows = [as_rows(f"x{k}" if k else "x", array) for k, array in enumerate(given)]
        if self._output is None:
            self._build_from(rows[0].array)
        if len(rows) != len(self._inputs):
            raise ShapeError("another number of inputs is needed", got=f"{len(rows)} instead of {len(self._inputs)}")
        for r, symbol in zip(rows, self._inputs, strict=True):
            if r.array.shape[1:] != symbol.shape[1:]:
                got = f"{format_shape(r.array.shape)} for {format_shape(symbol.shape)}"
                hint = f"Try x.reshape(len(x), {', '.join(map(str, symbol.shape[1:]))})."
                raise ShapeError("x: samples have another shape than the model's input", got=got, hint=hint)
        labels = None if y is None else self._label_rows(y)
        names = [f"x{k}" if k else "x" for k in range(len(rows))]
        check_samples([*rows, labels] if labels else rows, [*names, "y"] if labels else names)
        return rows, labels

    def _build_from(self, array: np.ndarray) -> None:
        raise ShapeError("the model has no graph", got=str(array.shape))

    def _label_rows(self, y: Any) -> Rows:
        """View the labels in the shape the loss takes; class numbers are checked before anything runs."""
        wanted = self._objective().labels
        array = np.asarray(y)
        if array.ndim == len(wanted.shape) + 1 and array.shape[-1] == 1:
            array = array[..., 0]
        elif array.ndim == len(wanted.shape) - 1 and wanted.shape[-1:] == (1,):
            array = array[..., None]
        if array.ndim != len(wanted.shape) or array.shape[1:] != wanted.shape[1:]:
            got = f"{format_shape(array.shape)} for {format_shape(wanted.shape)}"
            hint = _label_hint(array, len(wanted.shape))
            raise ShapeError("y: labels have another shape than the loss takes", got=got, hint=hint)
        if wanted.dtype.is_integer:
            if array.dtype.kind not in "biu":
                raise TypeError(f"y: this loss takes class numbers, integers, not {array.dtype}. Use y.astype('int32').")
            check_classes(array, int(self.output.shape[-1]))  # type: ignore[arg-type]
        return as_rows("y", array)

    def _target(self, labels: Rows) -> Objective:
        """Give the objective that holds for these labels: facts are relied on only where they are true."""
        target = self._objective()
        if "rows_sum_to_one" not in target.labels.attrs["facts"] or _rows_sum_to_one(labels.array):
            return target
        if not self._warned:
            warnings.warn("the rows of y do not sum to one; training uses the general gradient", stacklevel=4)
            self._warned = True
        return self._objective(with_facts=False)

    # -- programs --------------------------------------------------------------------------------------------------

    def trainer(self, x: Any, y: Any, batch_size: int = 32) -> Trainer:
        """Give the training of this model on data as an object: `trainer.epoch(order)` runs one pass."""
        optimizer, _, _, options = self._settings("fit")
        rows, labels = self._rows(x, y)
        assert labels is not None
        target = self._target(labels)
        key = ("train", target.labels, labels.key, *(r.key for r in rows))
        if key not in self._programs:
            moved = trainable_parameters(self.output)
            registered = [u for layer in self._layers for u in layer.take_updates()]
            reports, updates = training_step(target, moved, optimizer, registered)
            feeds = [*zip(self._inputs, rows, strict=True), (target.labels, labels)]
            self._programs[key] = make_program(feeds, list(reports.values()), updates, options)
        return Trainer(self._programs[key], list(target.reports), [*rows, labels], check_batch_size(batch_size))

    def _evaluator(self, x: Any, y: Any, batch_size: int) -> Trainer:
        options = self._settings("evaluate")[3]
        rows, labels = self._rows(x, y)
        assert labels is not None
        target = self._target(labels)
        key = ("evaluate", target.labels, labels.key, *(r.key for r in rows))
        if key not in self._programs:
            feeds = [*zip(self._inputs, rows, strict=True), (target.labels, labels)]
            self._programs[key] = make_program(feeds, simplify(list(target.reports.values())), {}, options)
        return Trainer(self._programs[key], list(target.reports), [*rows, labels], check_batch_size(batch_size))

    # -- Keras' verbs ----------------------------------------------------------------------------------------------

    def fit(
        self, x: Any, y: Any, batch_size: int = 32, epochs: int = 1, verbose: int | str = "auto",
        validation_split: float = 0.0, validation_data: Any = None, shuffle: bool = True, seed: int | None = None,
    ) -> History:  # fmt: skip
        """Train for a number of epochs and return the History.

        - `x`, `y`: arrays of samples; read in place, whatever their dtype and strides.
        - `validation_split`: the share of samples at the end, before shuffling, that is held back.
        - `validation_data`: a pair (x, y) to evaluate after each epoch.
        - `shuffle`: draw a new order for each epoch; `seed` chooses the orders.

        Raises before the first step, and changes nothing, if data do not fit the model.
        """
        if isinstance(epochs, bool) or not isinstance(epochs, int | np.integer) or epochs < 0:
            raise ValueError(f"epochs is an int of 0 or more, not {epochs!r}")
        self._settings("fit")
        x, y, validation_data = _split(x, y, validation_split, validation_data)
        trainer = self.trainer(x, y, batch_size)
        validation = None if validation_data is None else self._evaluator(*validation_data, batch_size)
        samples = len(np.asarray(y))
        key = next_key() if seed is None else as_key(seed)
        history, progress = History(), Progress(trainer.steps, verbose)
        for epoch in range(epochs):
            progress.header(epoch, epochs)
            order = permutation(fold(key, epoch), samples) if shuffle else np.arange(samples)
            measures = trainer.epoch(order, progress.update if progress.moving else None)
            if validation is not None:
                held_back = validation.epoch(np.arange(len(np.asarray(validation_data[1]))))
                measures |= {f"val_{name}": value for name, value in held_back.items()}
            progress.finish(measures)
            history.record(epoch, measures)
        return history

    def evaluate(self, x: Any, y: Any, batch_size: int = 32, verbose: int | str = 0) -> Any:
        """Give the loss, or a list of the loss and the metrics, over all samples."""
        evaluator = self._evaluator(x, y, batch_size)
        progress = Progress(evaluator.steps, verbose)
        measures = evaluator.epoch(np.arange(len(np.asarray(y))), progress.update if progress.moving else None)
        progress.finish(measures)
        values = list(measures.values())
        return values[0] if len(values) == 1 else values

    def predict(self, x: Any, batch_size: int = 32) -> np.ndarray:
        """Give the output for every sample."""
        rows, _ = self._rows(x)
        key = ("predict", *(r.key for r in rows))
        if key not in self._programs:
            options = self._compiled[3] if self._compiled else Options()
            feeds = list(zip(self._inputs, rows, strict=True))
            self._programs[key] = make_program(feeds, [simplify(self.output)], {}, options)
        program, size = self._programs[key], check_batch_size(batch_size)
        (out,) = program.allocate(rows[0].samples, size)
        for _ in program.run(rows, np.arange(rows[0].samples), size, [out]):
            pass
        return out

    def train_on_batch(self, x: Any, y: Any) -> Any:
        """Make one step on these samples; give the loss, or a list of the loss and the metrics, before the step."""
        trainer = self.trainer(x, y, max(1, len(np.asarray(y))))
        values = list(trainer.epoch(np.arange(len(np.asarray(y)))).values())
        return values[0] if len(values) == 1 else values


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
        key = next_key() if self._seed is None else as_key(self._seed)
        for number, (layer, name) in enumerate(zip(self._layers, names_for(self._layers), strict=True)):
            layer.adopt(name, fold(key, number))
        with side.building_at(None):
            x = node = symbol_node("X", (dim(BATCH), *sample), losses.DType.FLOAT32)
        for layer in self._stack:
            node = layer(node)
        self._adopt_graph([x], node)


# -- parts ---------------------------------------------------------------------------------------------------------


def _name_formulas(layers: Sequence[Layer], output: Expr) -> None:
    """Give parameters and activations the names that formulas show: W1, b1, H1 (H if there is one), P."""
    weighted = [layer for layer in layers if layer.parameters_by_name.keys() >= {"kernel"}]
    for number, layer in enumerate(weighted, 1):
        for short, letter in (("kernel", "W"), ("bias", "b")):
            if short in layer.parameters_by_name:
                digits = str(number) if len(weighted) > 1 else ""
                side.set_name(layer.parameters_by_name[short], f"{letter}{digits}")
    hidden = [n for n in topological([output]) if n is not output and _is_activation(n)]
    for number, node in enumerate(hidden, 1):
        side.set_name(node, f"H{number}" if len(hidden) > 1 else "H")
    if output.op == "softmax":
        side.set_name(output, "P")


def _is_activation(node: Expr) -> bool:
    calls = calls_below([node])
    return node.op in ("relu", "tanh", "sigmoid", "softplus") and bool(calls) and len(node.args) == 1


def _with_results(calls: Sequence[Any], out: Expr) -> list[Any]:
    return list(calls)


def _metric(value: Any) -> Any:
    return metrics.get(value)


def _metric_name(value: Any) -> str:
    return metrics.name_of(value)


def _rows_sum_to_one(labels: np.ndarray) -> bool:
    return bool(np.all(np.abs(labels.sum(axis=-1, dtype=np.float64) - 1) <= ROW_SUM_TOLERANCE))


def _label_hint(array: np.ndarray, wanted: int) -> str:
    if array.ndim == 1 and wanted == 2:
        return "For class numbers use the loss 'sparse_categorical_crossentropy', or sg.to_categorical(y)."
    if array.ndim == 2 and wanted == 1:
        return "For one-hot rows use the loss 'categorical_crossentropy'."
    return ""


def _split(x: Any, y: Any, share: float, validation: Any) -> tuple[Any, Any, Any]:
    """Hold back the end of the data for validation, where a share is given."""
    if validation is not None:
        if not isinstance(validation, list | tuple) or len(validation) != 2:
            raise TypeError("validation_data is a pair (x, y)")
        return x, y, validation
    if not share:
        return x, y, None
    if not 0 < share < 1:
        raise ValueError(f"validation_split lies between 0 and 1, not {share}")
    at = int(len(y) * (1 - share))
    parts = [np.asarray(a) for a in x] if isinstance(x, list | tuple) else np.asarray(x)
    kept = [a[:at] for a in parts] if isinstance(parts, list) else parts[:at]
    held = [a[at:] for a in parts] if isinstance(parts, list) else parts[at:]
    return kept, np.asarray(y)[:at], (held, np.asarray(y)[at:])
