"""Models: expressions made by layers, trained with Keras' habits and defaults.

In: layers, or expressions made by layers; arrays. Out: trained parameters, histories, predictions, and the gradient
function of the very model as expressions. Everything that computes is compiled: a pass over data is one native loop.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.compiled import Function, function
from symgrad.drawing.drawable import TARGETS, Results
from symgrad.errors import ShapeError, SymgradError
from symgrad.expr import Expr, Parameter, topological
from symgrad.late import late
from symgrad.nn import losses, optim
from symgrad.nn.layer import Layer, calls_below, names_for
from symgrad.nn.lookup import check_flag
from symgrad.ops.leaves import check_name
from symgrad.options import Options, chosen_options
from symgrad.philox import as_key, fold, permutation
from symgrad.seeds import next_key
from symgrad.shape import format_shape
from symgrad.train.feeds import (
    arrays_of,
    check_pair,
    check_samples,
    input_rows,
    label_rows,
    rows_sum_to_one,
    split_off,
)
from symgrad.train.formulas import Gradients, name_formulas
from symgrad.train.graphs import (
    Objective,
    check_graph,
    gradients,
    metrics_by_name,
    objective,
    trainable_parameters,
    training_step,
)
from symgrad.train.history import History
from symgrad.train.loop import BatchProgram
from symgrad.train.progress import Progress
from symgrad.train.rows import Rows
from symgrad.train.summary import summary_text
from symgrad.train.trainer import Trainer, check_batch_size, check_epochs, make_program

if TYPE_CHECKING:
    from symgrad.drawing.figure import with_gradients
else:
    with_gradients = late("symgrad.drawing.figure", "with_gradients")


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
        self.name = "model" if name is None else check_name(name)
        self._reset()
        self._seed = seed
        self._adopt_graph(list(inputs) if isinstance(inputs, list | tuple) else [inputs], outputs)

    def _reset(self) -> None:
        self._inputs: list[Expr] = []
        self._output: Expr | None = None
        self._layers: list[Layer] = []
        self._registered: list[tuple[Parameter, Expr]] = []
        self._compiled: tuple[Any, Any, dict[str, Any], Options] | None = None
        self._programs: dict[Any, BatchProgram] = {}
        self._objectives: dict[bool, Objective] = {}
        self._warned = False

    def _adopt_graph(self, inputs: list[Any], output: Any) -> None:
        """Take the graph as the model's own: find its layers, name them, name what formulas show."""
        check_graph(inputs, output)
        self._layers = list(dict.fromkeys(call.layer for call in calls_below([output])))
        for layer, name in zip(self._layers, names_for(self._layers), strict=True):
            layer.adopt(name)
        self._inputs, self._output = inputs, output
        self._registered = [update for layer in self._layers for update in layer.take_updates()]
        name_formulas(self._layers, output)

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
        """List all parameters, layer by layer, then those that the user has put into the graph."""
        nodes = topological([self._built("weights")])
        layered = [p for layer in self._layers for p in layer.parameters]
        return list(dict.fromkeys([*layered, *(n for n in nodes if isinstance(n, Parameter))]))

    def _built(self, what: str) -> Expr:
        if self._output is None:
            hint = "Give the first layer an input_shape, or call fit first."
            raise ShapeError(f"{what}: the model is not built yet, its input shape is not known", hint=hint)
        return self._output

    def __repr__(self) -> str:
        state = f"{len(self.parameters)} parameters" if self._output is not None else "not built yet"
        return f"<{type(self).__name__} {self.name!r}: {len(self._layers)} layers, {state}>"

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError("a model is neither copied nor pickled. Build another one, and set_weights(get_weights()).")

    def summary(self, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print the layers, the shapes of their results and the numbers of parameters."""
        (print_fn or print)(summary_text(self.name, self._built("summary"), self.parameters))

    def gradients(self) -> Gradients:
        """Give the gradient of the loss with respect to every trainable parameter, by its name in the model.

        A dict of expressions; printed, the equations that compute them. Once labels have been seen whose rows do not
        sum to one, it is the general gradient that training then uses.
        """
        self._built("gradients")
        target = self._objective(with_facts=not self._warned)
        names = {p: f"{layer.name}/{short}" for layer in self._layers for short, p in layer.parameters_by_name.items()}
        wanted = [p for p in self.parameters if p.trainable]
        derived = gradients(target, wanted)
        return Gradients([(names.get(p, p.name), p, g) for p, g in zip(wanted, derived, strict=True)])

    def objective(self) -> Expr:
        """Give what training minimises, as an expression of inputs, labels and parameters: the mean over a batch."""
        self._built("objective")
        return self._objective(with_facts=not self._warned).loss

    def get_weights(self) -> list[np.ndarray]:
        """Give copies of all parameters' values."""
        return [p.value for p in self.parameters]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all parameters; nothing changes if one does not fit."""
        own = self.parameters
        arrays = [np.asarray(w) for w in weights]
        if len(arrays) != len(own):
            raise ShapeError(f"set_weights: the model has {len(own)} parameters", got=f"{len(arrays)} arrays")
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
        precision: str | None = None, options: Options | None = None,
    ) -> None:  # fmt: skip
        """Choose optimizer, loss and metrics, by name or as objects. Machine code is made when data is seen.

        - `loss`, `metrics`: names, objects, or functions of (y_true, y_pred) that give an expression.
        - `threads`: the number of threads; by default SYMGRAD_NUM_THREADS, or what the process may use.
        - `precision`: "bf16" multiplies matrices in bfloat16 and adds up in float32, in training, evaluation and
          prediction; weights, optimizer and all else stay float32. The default is "float32".

        Raises ValueError for an unknown name, with the nearest one.
        """
        if loss is None:
            raise TypeError("compile needs a loss, e.g. loss='categorical_crossentropy'")
        chosen = chosen_options(options, threads, precision)
        self._compiled = (optim.get(optimizer), losses.get(loss), metrics_by_name(metrics), chosen)
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
        arrays = self._arrays(x)
        check_samples(arrays, y)
        with self._built_from(arrays[0]):
            rows = input_rows(arrays, self._inputs)
            labels = None if y is None else label_rows(y, self._objective().labels, self.output.shape[-1])
        return rows, labels

    def _labelled(self, what: str, x: Any, y: Any) -> tuple[list[Rows], Rows]:
        rows, labels = self._rows(x, y)
        if labels is None:
            raise TypeError(f"{what} needs labels: y is None")
        return rows, labels

    def _arrays(self, x: Any) -> list[np.ndarray]:
        return arrays_of(x, [str(node.attrs["name"]) for node in self._inputs] or ["x"])

    def _built_from(self, array: np.ndarray) -> contextlib.AbstractContextManager[None]:
        """Build a model that waits for its first data, to last if no error follows; a functional one never waits."""
        return contextlib.nullcontext()

    def _target(self, labels: Rows) -> Objective:
        """Give the objective that holds for these labels: facts are relied on only where they are true."""
        target = self._objective()
        if "rows_sum_to_one" not in target.labels.attrs["facts"] or rows_sum_to_one(labels.array):
            return target
        if not self._warned:
            warnings.warn("the rows of y do not sum to one; training uses the general gradient", stacklevel=4)
            self._warned = True
        return self._objective(with_facts=False)

    # -- programs --------------------------------------------------------------------------------------------------

    def trainer(self, x: Any, y: Any, batch_size: int | None = 32) -> Trainer:
        """Give the training of this model on data as an object: `trainer.epoch(order)` runs one pass."""
        optimizer, _, _, options = self._settings("fit")
        size = check_batch_size(batch_size)
        rows, labels = self._labelled("training", x, y)
        target = self._target(labels)
        key = ("train", target.labels, labels.key, *(r.key for r in rows))
        if key not in self._programs:
            moved = trainable_parameters(self.output)
            reports, updates = training_step(target, moved, optimizer, self._registered)
            feeds = [*zip(self._inputs, rows, strict=True), (target.labels, labels)]
            self._programs[key] = make_program(feeds, list(reports.values()), updates, options)
        return Trainer(self._programs[key], list(target.reports), [*rows, labels], size)

    def train_function(self) -> Function:
        """Give one training step as a function of the inputs and the labels, to look at or to call.

        It returns the loss and the metrics by name, and updates the same parameters as `fit`, which runs the same
        equations inside a loop over batches.

        >>> import symgrad as sg
        >>> model = sg.Sequential([sg.layers.Dense(1, input_shape=(3,))])
        >>> model.compile("sgd", "mse")
        >>> print(model.train_function().cost_analysis().flops)
        17*N + 15
        """
        optimizer, _, _, options = self._settings("train_function")
        target = self._objective(with_facts=not self._warned)
        moved = trainable_parameters(self._built("train_function"))
        reports, updates = training_step(target, moved, optimizer, self._registered)
        inputs = [*self._inputs, target.labels]
        return function(inputs, reports, updates, name=self.name, options=options)

    def _evaluator(self, x: Any, y: Any, batch_size: int | None) -> Trainer:
        options = self._settings("evaluate")[3]
        size = check_batch_size(batch_size)
        rows, labels = self._labelled("evaluation", x, y)
        target = self._target(labels)
        key = ("evaluate", target.labels, labels.key, *(r.key for r in rows))
        if key not in self._programs:
            feeds = [*zip(self._inputs, rows, strict=True), (target.labels, labels)]
            self._programs[key] = make_program(feeds, list(target.reports.values()), {}, options)
        return Trainer(self._programs[key], list(target.reports), [*rows, labels], size)

    # -- Keras' verbs ----------------------------------------------------------------------------------------------

    def fit(
        self, x: Any, y: Any, batch_size: int | None = 32, epochs: int = 1, verbose: int | str = "auto",
        validation_split: float = 0.0, validation_data: Any = None, shuffle: bool = True, seed: int | None = None,
    ) -> History:  # fmt: skip
        """Train for a number of epochs and return the History.

        - `x`, `y`: arrays of samples; read in place, whatever their dtype and strides. Several inputs take a list of
          arrays, or a dict by the names of the inputs.
        - `batch_size`: the samples of a step, the last one of an epoch has what is left; None is 32.
        - `validation_split`: the share of samples at the end, before shuffling, that is held back.
        - `validation_data`: a pair (x, y) to evaluate after each epoch.
        - `shuffle`: draw a new order for each epoch; `seed` chooses the orders.

        Raises before the first step, and changes nothing, if data do not fit the model.
        """
        epochs, shuffle = check_epochs(epochs), check_flag("shuffle", shuffle)
        self._settings("fit")
        if validation_data is None and y is not None:
            x, y, validation_data = split_off(self._arrays(x), y, validation_split)
        history, key = History(), None if seed is None else as_key(seed)
        trainer = self.trainer(x, y, batch_size)
        progress = Progress(trainer.steps, verbose)
        validation = None if validation_data is None else self._validation(validation_data, batch_size)
        key = next_key() if key is None else key
        for epoch in range(epochs):
            progress.header(epoch, epochs)
            order = permutation(fold(key, epoch), trainer.samples) if shuffle else np.arange(trainer.samples)
            measures = trainer.epoch(order, progress.update if progress.moving else None)
            if validation is not None:
                held_back = validation.epoch(np.arange(validation.samples))
                measures |= {f"val_{name}": value for name, value in held_back.items()}
            progress.finish(measures)
            history.record(epoch, measures)
        return history

    def _validation(self, pair: Any, batch_size: int | None) -> Trainer:
        x, y = check_pair(pair)
        try:
            return self._evaluator(x, y, batch_size)
        except (SymgradError, TypeError) as error:
            error.add_note("This is about the validation data.")
            raise

    def evaluate(self, x: Any, y: Any, batch_size: int | None = 32, verbose: int | str = 0) -> Any:
        """Give the loss, or a list of the loss and the metrics, over all samples."""
        evaluator = self._evaluator(x, y, batch_size)
        progress = Progress(evaluator.steps, verbose)
        measures = evaluator.epoch(np.arange(evaluator.samples), progress.update if progress.moving else None)
        progress.finish(measures)
        return _one_or_list(measures)

    def predict(self, x: Any, batch_size: int | None = 32, verbose: int | str = 0) -> np.ndarray:
        """Give the output for every sample."""
        size = check_batch_size(batch_size)
        rows, _ = self._rows(x)
        key = ("predict", *(r.key for r in rows))
        if key not in self._programs:
            options = self._compiled[3] if self._compiled else Options()
            feeds = list(zip(self._inputs, rows, strict=True))
            self._programs[key] = make_program(feeds, [self.output], {}, options)
        program = self._programs[key]
        (out,) = program.allocate(rows[0].samples, size)
        progress = Progress(-(-rows[0].samples // size), verbose)
        for done in program.run(rows, np.arange(rows[0].samples), size, [out]):
            progress.update(done, {})
        progress.finish({})
        return out

    def train_on_batch(self, x: Any, y: Any) -> Any:
        """Make one step on these samples; give the loss, or a list of the loss and the metrics, before the step."""
        self._settings("train_on_batch")
        samples = len(y) if hasattr(y, "__len__") else 1
        trainer = self.trainer(x, y, max(1, samples))
        return _one_or_list(trainer.epoch(np.arange(trainer.samples)))


def _one_or_list(measures: Mapping[str, float]) -> Any:
    """Give the loss alone where there is no metric, as Keras does."""
    values = list(measures.values())
    return values[0] if len(values) == 1 else values


def _drawn(model: Model, wrt: Any) -> Results:
    """Give what `sg.graph` draws of a model: the output, or the loss with its gradient."""
    if wrt is None:
        return Results((("", model.output),), (), f"model {model.name}")
    return with_gradients(model._objective().loss, wrt, f"model {model.name} and its gradient")


TARGETS[Model] = _drawn
