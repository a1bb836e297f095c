"""`sg.function`: a compiled function of arrays.

In: input symbols, output expressions, new values of parameters. Out: a `Function`: called with NumPy arrays it checks
and converts them, binds the dimensions (planned once per combination of shapes), runs the native program and returns
fresh arrays. An error of any kind leaves every parameter as it was. It must not know kernels.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codegen.dims import with_free_names
from codegen.emit import emit
from codegen.jit import assembly
from codegen.kernel import Bound, bind
from codegen.pipeline import Compiled, compile_graph
from codegen.text import print_kernel
from codegen.threads import default_threads
from symgrad import bisection
from symgrad.boundary import as_array, bind_shapes, unbound
from symgrad.errors import DTypeError, IndexRangeError, ShapeError, nearest
from symgrad.expr import Expr, Parameter, topological
from symgrad.forks import hold_at_fork
from symgrad.interpreter import evaluate as interpret
from symgrad.ops.body import inline
from symgrad.ops.layout import requirements
from symgrad.ops.row import as_expr, label, row_of, where_text
from symgrad.ops.structure import Fold
from symgrad.options import Options, chosen_options
from symgrad.shape import Dim, Size, evaluate, format_shape, names
from symgrad.simplifier import simplify
from symgrad.structures import matched, parts, restore


@functools.cache
def process_threads() -> int:
    """Give the default number of threads: SYMGRAD_NUM_THREADS, else what the process may use."""
    return default_threads()


PLANS = 64  # the most combinations of shapes that a program remembers: each holds memory


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A program bound to one combination of shapes: the shapes of its results, and what no call uses at the moment.

    A `Bound` serves one call at a time: whoever finds none left binds another.
    """

    shapes: tuple[tuple[int, ...], ...]
    free: list[Bound]


def remember(plans: dict[Any, Plan], key: Hashable, plan: Plan) -> Plan:
    """Keep a plan, or the one that another thread has kept meanwhile; of too many the oldest is forgotten."""
    with _remembering:
        kept = plans.setdefault(key, plan)
        while len(plans) > PLANS:
            del plans[next(iter(plans))]
    return kept


_remembering = hold_at_fork(threading.Lock())


class Function:
    """A compiled function; made by `function`."""

    def __init__(self, inputs: Sequence[Expr], outputs: Any, updates: Any, name: str | None, options: Options) -> None:
        self.inputs = _checked_inputs(inputs)
        self.name = name or "function"
        self._structure = outputs
        flat = [as_expr(part) for part in parts(outputs)]
        renewed = _checked_updates(updates)
        roots = inline([*flat, *(v for _, v in renewed)])
        _check_symbols(self.inputs, roots)
        self._symbols, roots = with_free_names(self.inputs, roots)
        self._conditions = [(n, size) for n in topological(roots) for size in _not_negative(n)]
        given = tuple(roots)
        if options.simplify:
            roots = simplify(roots)
        outs, values = roots[: len(flat)], roots[len(flat) :]
        self._renewed = [p for p, _ in renewed]
        self._locks = [p.lock for p in sorted(self._renewed, key=lambda p: p.attrs["serial"])]  # one order everywhere
        self._compiled: Compiled = compile_graph(
            self._symbols, outs, list(zip(self._renewed, values, strict=True)), options
        )
        self._results = tuple(dict.fromkeys(self._compiled.results))
        self._position = [_position(self._results, r) for r in self._compiled.results]
        self._threads = options.threads or process_threads()
        self._plans: dict[tuple[tuple[int, ...], ...], Plan] = {}
        self._dtypes = [node.dtype.numpy for node in self.inputs]
        self._subject = (
            bisection.Subject(tuple(self._symbols), given, tuple(roots), self._compiled)
            if bisection.is_wanted()
            else None
        )

    # -- calls -----------------------------------------------------------------------------------------------------

    def __call__(self, *arrays: Any, out: Any = None, **named: Any) -> Any:
        """Compute the outputs; inputs by position or by name, results into `out` if it is given."""
        given = arrays if not named and len(arrays) == len(self.inputs) else self._gathered(arrays, named)
        values = [
            a if type(a) is np.ndarray and a.dtype is d and a.flags.c_contiguous and a.flags.aligned else as_array(n, a)
            for a, n, d in zip(given, self.inputs, self._dtypes, strict=True)
        ]
        key = tuple(v.shape for v in values)
        plan = self._plans.get(key) or self._plan(key)
        if self._subject is not None:
            bisection.report(self.name, self._subject, values, self._dims(key))
        if out is None:
            results = [np.empty(s, n.dtype.numpy) for s, n in zip(plan.shapes, self._results, strict=True)]
        else:
            results = self._checked_out(out, plan.shapes, values)
        self._run(plan, key, values, results)
        return self._assembled(results if out is None else None, out)

    def _run(
        self, plan: Plan, key: tuple[tuple[int, ...], ...], values: list[np.ndarray], results: list[np.ndarray]
    ) -> None:
        try:
            bound = plan.free.pop()
        except IndexError:
            bound = bind(self._compiled, self._dims(key))
        addresses = [a.ctypes.data for a in values]
        addresses += [a.ctypes.data for a in results]
        # Ctrl-C comes between two calls, never within one: all locks are taken in one call, noted there, and released
        # in one, which is the first thing that happens after the run.
        held: list[bool] = []
        release: Callable[[], object] = functools.partial(
            deque, map(_release, itertools.compress(self._locks, held)), 0
        )
        try:
            held.extend(map(_acquire, self._locks))
            status = bound.run(addresses, self._threads)
        finally:
            release()
            plan.free.append(bound)
        if status.code:
            self._raise_index_error(values)

    def _gathered(self, arrays: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        """Match positional and named inputs with the symbols."""
        if len(arrays) > len(self.inputs):
            wanted = ", ".join(map(label, self.inputs))
            number = f"{len(self.inputs)} input{'s' * (len(self.inputs) != 1)}"
            raise TypeError(f"{self.name} takes {number} ({wanted}), got {len(arrays)}")
        values = dict(zip(map(label, self.inputs), arrays, strict=False))
        for name, value in named.items():
            if name not in map(label, self.inputs):
                raise TypeError(f"{self.name} has no input {name!r}. {nearest(name, map(label, self.inputs))}")
            if name in values:
                raise TypeError(f"{self.name} got two values for input {name!r}")
            values[name] = value
        missing = [label(n) for n in self.inputs if label(n) not in values]
        if missing:
            raise TypeError(f"{self.name} lacks a value for input {missing[0]!r}")
        return [values[label(n)] for n in self.inputs]

    def _dims(self, key: tuple[tuple[int, ...], ...]) -> dict[str, int]:
        return bind_shapes(dict(zip(self._symbols, key, strict=True)))

    def _plan(self, key: tuple[tuple[int, ...], ...]) -> Plan:
        """Bind a new combination of shapes; ShapeError if it does not fit the graph."""
        dims = self._dims(key)
        for node, size in self._conditions:
            if evaluate(size, dims) < 0:
                got = f"{size} = {evaluate(size, dims)} must not be negative"
                raise ShapeError(f"{node.op}: no element is left", got=got, where=where_text(node.args))
        shapes = tuple(tuple(evaluate(n, dims) for n in r.shape) for r in self._results)
        return remember(self._plans, key, Plan(shapes, [bind(self._compiled, dims)]))

    # -- results ---------------------------------------------------------------------------------------------------

    def _checked_out(
        self, out: Any, shapes: Sequence[tuple[int, ...]], values: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Check the caller's arrays for the results: their own memory, right in shape, dtype and order."""
        flat = list(matched(self._structure, out, "out= must have the structure of the outputs"))
        if len(set(self._position)) != len(self._position):
            raise TypeError(f"{self.name} gives one value twice; out= needs distinct outputs")
        results: list[np.ndarray] = [np.empty(0)] * len(self._results)
        for array, position in zip(flat, self._position, strict=True):
            node, shape = self._results[position], shapes[position]
            if not isinstance(array, np.ndarray):
                raise TypeError(f"out= takes arrays, got {type(array).__name__}")
            if array.shape != shape:
                got = f"{format_shape(array.shape)} instead of {format_shape(shape)}"
                raise ShapeError("out= has the wrong shape", got=got)
            if array.dtype != node.dtype.numpy:
                raise DTypeError("out= has the wrong dtype", got=f"{array.dtype} instead of {node.dtype}")
            flags = array.flags
            if not (flags.c_contiguous and flags.aligned and flags.writeable):
                raise ValueError("out= must be a C-ordered, aligned, writeable array. Use np.empty(shape, dtype).")
            results[position] = array
        for k, array in enumerate(results):
            for other in (*values, *results[:k], *(p.buffer for p in self._compiled_parameters())):
                if np.may_share_memory(array, other) and np.shares_memory(array, other):
                    raise ValueError("out= overlaps an input, a parameter or another output. Give memory of its own.")
        return results

    def _compiled_parameters(self) -> list[Parameter]:
        found = {o for s in self._compiled.steps for o in s.operands if isinstance(o, Parameter)}
        return [*found, *self._compiled.updated.values()]

    def _assembled(self, results: list[np.ndarray] | None, out: Any) -> Any:
        """Give the results in the structure of the outputs; rank 0 as NumPy scalars."""
        if results is None:
            return out
        seen: set[int] = set()
        flat: list[Any] = []
        for position in self._position:
            array = results[position]
            flat.append(array[()] if array.ndim == 0 else array.copy() if position in seen else array)
            seen.add(position)
        return restore(self._structure, iter(flat))

    def _raise_index_error(self, values: Sequence[np.ndarray]) -> None:
        """Find the index that a guard has refused, and say where it stands."""
        env = dict(zip(self._symbols, values, strict=True))
        dims = self._dims(tuple(v.shape for v in values))
        for guard in self._compiled.guards:
            extent = evaluate(guard.extent, dims)
            indices = np.asarray(interpret(guard.indices, env, dtype=None))
            bad = np.argwhere((indices < -extent) | (indices >= extent))
            if bad.size:
                at = tuple(int(i) for i in bad[0])
                name = label(guard.indices)
                place = f"{name}[{', '.join(map(str, at))}]" if at else name
                raise IndexRangeError(
                    f"{guard.node.op}: {place} = {int(indices[at])} is outside an axis of size {extent}",
                    where=where_text([guard.node]), hint=f"Valid: {-extent} to {extent - 1}.",
                )  # fmt: skip
        raise IndexRangeError(f"{self.name}: an index is out of range")

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError("a compiled function is neither copied nor pickled: it is bound to memory. Compile another.")

    def __repr__(self) -> str:
        return f"<Function {self.name}({', '.join(map(label, self.inputs))})>"

    # -- looking inside --------------------------------------------------------------------------------------------

    def _kernels(self) -> dict[str, Any]:
        return {s.kernel.name: s.kernel for s in self._compiled.steps}

    def as_text(self) -> str:
        """Give the loop IR: the launches in order, then every kernel."""
        launches = [f"{self.name}: {len(self._compiled.steps)} launches"]
        launches += [f"  {s.kernel.name}" for s in self._compiled.steps]
        return "\n".join([*launches, "", *map(print_kernel, self._kernels().values())])

    def llvm_ir(self) -> str:
        """Give the LLVM IR of every kernel, before LLVM's passes."""
        return "\n".join(emit(k, self._compiled.machine) for k in self._kernels().values())

    def assembly(self) -> str:
        """Give the assembly of every kernel."""
        machine = self._compiled.machine
        return "\n".join(assembly(emit(k, machine), machine) for k in self._kernels().values())


def function(
    inputs: Expr | Iterable[Expr], outputs: Any = (), updates: Any = None, *, threads: int | None = None,
    name: str | None = None, options: Options | None = None,
) -> Function:  # fmt: skip
    """Compile outputs as a function of inputs.

    `outputs` is an expression, or a list, tuple or dict of them: calls give the same structure. `updates` maps
    parameters to their new values (a dict, or pairs): all are computed from the old values, and take effect together.

    Called with arrays, by position or by name, the function returns fresh arrays, rank 0 as NumPy scalars; `out=` takes
    arrays for the results, in the structure of the outputs. Any sizes of symbolic dimensions will do.

    Raise TypeError for an input that is not a symbol, a symbol that is not an input, ShapeError for a dimension that no
    input's shape tells.

    >>> import numpy as np
    >>> import symgrad as sg
    >>> x = sg.symbol("x", (sg.dim("N"),))
    >>> f = sg.function([x], (x * 2).sum())
    >>> float(f(np.ones(3)))
    6.0
    """
    given = [inputs] if isinstance(inputs, Expr) else list(inputs)
    return Function(given, outputs, updates, name, chosen_options(options, threads))


# -- checks --------------------------------------------------------------------------------------------------------


def _checked_inputs(inputs: Sequence[Any]) -> tuple[Expr, ...]:
    for node in inputs:
        if not isinstance(node, Expr) or node.op != "symbol":
            raise TypeError(f"an input is a symbol, not {node!r}. Parameters are read where they stand.")
    names_given = [label(n) for n in inputs]
    for name in names_given:
        if names_given.count(name) > 1:
            raise TypeError(f"two inputs are named {name!r}. Arrays are passed by name: give each symbol its own.")
    return tuple(inputs)


def _checked_updates(updates: Any) -> list[tuple[Parameter, Expr]]:
    pairs = list(updates.items()) if isinstance(updates, Mapping) else () if updates is None else updates
    if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise TypeError("updates is a dict {parameter: new value}, or a list of such pairs")
    checked: list[tuple[Parameter, Expr]] = []
    for parameter, value in pairs:
        if not isinstance(parameter, Parameter):
            raise TypeError(f"updates map parameters to values, not {parameter!r}")
        if any(parameter is p for p, _ in checked):
            raise ValueError(f"{parameter.name!r} is updated twice")
        new = as_expr(value, parameter.dtype)
        if new.shape != parameter.shape:
            got = f"{format_shape(new.shape)} for {format_shape(parameter.shape)}"
            raise ShapeError(f"the new value of {parameter.name!r} has the wrong shape", got=got)
        if new.dtype is not parameter.dtype:
            what = f"the new value of {parameter.name!r} has the wrong dtype"
            hint = f"Add .astype({str(parameter.dtype)!r}); an array constant of float64 makes a sum float64."
            raise DTypeError(what, got=f"{new.dtype} for {parameter.dtype}", hint=hint)
        checked.append((parameter, new))
    return checked


def _check_symbols(inputs: Sequence[Expr], roots: Sequence[Expr]) -> None:
    nodes, given = topological(roots), set(inputs)
    for node in nodes:
        if node.op == "symbol" and node not in given:
            raise TypeError(f"{label(node)} is used but is not an input: add it to the list of inputs")
    needed: set[str] = set()
    for node in nodes:
        needed |= set().union(*(_size_names(v) for v in (*node.attrs.values(), *getattr(node.type, "shape", ()))))
    missing = unbound(inputs, needed)
    if missing:
        what = f"dimension {missing[0]} stands alone in no input's shape"
        raise ShapeError(what, hint="Give an input that tells it.")


def _not_negative(node: Expr) -> list[Size]:
    """List the sizes that must not be negative: room for slices, something to choose from."""
    structure = row_of(node).structure
    if isinstance(structure, Fold) and not structure.empty:
        return [node.args[0].shape[axis] - 1 for axis in node.attrs["axes"]]
    return list(requirements(node))


def _size_names(value: Any) -> frozenset[str]:
    if isinstance(value, tuple):
        return frozenset().union(*map(_size_names, value))
    return names(value) if isinstance(value, Dim) else frozenset()


_acquire, _release = operator.methodcaller("acquire"), operator.methodcaller("release")


@contextlib.contextmanager
def locked(parameters: Sequence[Parameter]) -> Any:
    """Hold the locks of all parameters, taken in one order everywhere."""
    with contextlib.ExitStack() as stack:
        for parameter in sorted(parameters, key=lambda p: p.attrs["serial"]):
            stack.enter_context(parameter.lock)
        yield


def _position(nodes: Sequence[Expr], node: Expr) -> int:
    return next(k for k, n in enumerate(nodes) if n is node)
