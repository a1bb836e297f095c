"""`sg.function`: a compiled function of arrays.

In: input symbols, output expressions, new values of parameters. Out: a `Function`: called with NumPy arrays it checks
and converts them, binds the dimensions (planned once per combination of shapes), runs the native program and returns
fresh arrays. An error of any kind leaves every parameter as it was. It must not know kernels.

A program that an earlier process has kept is not compiled again; whoever looks inside such a function has it compiled,
once, to what it was made of.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from codegen.dims import with_free_names
from codegen.entry import entry_of
from codegen.executable import Executable
from codegen.kernel import Bound, bind
from codegen.threads import Status, default_threads
from symgrad.boundary import as_array, bind_shapes
from symgrad.buffers import address
from symgrad.declared import check_symbols, checked_inputs, checked_updates, not_negative, output_titles, renamed_dims
from symgrad.errors import IndexRangeError, ShapeError, nearest
from symgrad.expr import Expr, Parameter, topological
from symgrad.forks import hold_at_fork
from symgrad.inspection.subject import GuardError, Subject, is_bisected
from symgrad.interpreter import evaluate as interpret
from symgrad.late import late
from symgrad.ops.body import inline
from symgrad.ops.row import as_expr, label, where_text
from symgrad.options import Options, chosen_options
from symgrad.outputs import Outputs
from symgrad.shape import dim, evaluate
from symgrad.simplifier import simplify
from symgrad.structures import parts

if TYPE_CHECKING:
    from codegen.pipeline import Compiled, compile_graph
    from symgrad.bisection import report
    from symgrad.inspection.costs import CostAnalysis, cost_analysis
    from symgrad.inspection.labels import Labels, ValueLine, launch_labels, value_lines
    from symgrad.inspection.listing import as_text, assembly_text, llvm_ir
    from symgrad.inspection.memories import MemoryAnalysis, memory_analysis
    from symgrad.inspection.profiling import Profile, profile
    from symgrad.inspection.tracing import Trace, traced
else:
    compile_graph = late("codegen.pipeline", "compile_graph")
    report = late("symgrad.bisection", "report")
    cost_analysis = late("symgrad.inspection.costs", "cost_analysis")
    launch_labels = late("symgrad.inspection.labels", "launch_labels")
    value_lines = late("symgrad.inspection.labels", "value_lines")
    as_text = late("symgrad.inspection.listing", "as_text")
    llvm_ir = late("symgrad.inspection.listing", "llvm_ir")
    assembly_text = late("symgrad.inspection.listing", "assembly_text")
    memory_analysis = late("symgrad.inspection.memories", "memory_analysis")
    profile = late("symgrad.inspection.profiling", "profile")
    traced = late("symgrad.inspection.tracing", "traced")


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
        self.inputs = checked_inputs(inputs)
        self.name = name or "function"
        flat = [as_expr(part) for part in parts(outputs)]
        renewed = checked_updates(updates)
        roots = inline([*flat, *(v for _, v in renewed)])
        check_symbols(self.inputs, roots)
        self._symbols, roots = with_free_names(self.inputs, roots)
        self._conditions = [(n, size) for n in topological(roots) for size in not_negative(n)]
        self._given = tuple(roots)
        self._options = options
        self._is_checked = is_bisected()
        self._renewed = tuple(p for p, _ in renewed)
        self._locks = [p.lock for p in sorted(self._renewed, key=lambda p: p.attrs["serial"])]  # one order everywhere
        self._made: list[tuple[list[Expr], Compiled]] = []
        self.executable = self._found_or_made()
        parameters = self.executable.parameters
        taken = {n.attrs["name"] for n in (*self.inputs, *parameters)}
        self._titles = output_titles(outputs, flat, taken)
        self._outputs = Outputs(self.name, outputs, self.executable.results, [p.buffer for p in parameters])
        self._threads = options.threads or process_threads()
        self._plans: dict[tuple[tuple[int, ...], ...], Plan] = {}
        self._dtypes = [node.dtype.numpy for node in self.inputs]

    def _found_or_made(self) -> Executable:
        """Give the program that is kept on disk, or compile it and keep it there."""
        whole = (self._symbols, self._given, self._renewed, self._options)
        entry = None if self._is_checked else entry_of("function", *whole)
        found = None if entry is None else entry.find()
        if found is not None:
            return found[0]
        _, compiled = self._compilation
        if entry is not None:
            entry.keep(compiled.executable, compiled.objects())
        return compiled.executable

    @property
    def _compilation(self) -> tuple[list[Expr], Compiled]:
        """Give the simplified graph and what it was compiled to: made at the first call, however many threads ask."""
        if not self._made:
            self._made.append(self._compile())
        return self._made[0]

    def _compile(self) -> tuple[list[Expr], Compiled]:
        roots = list(self._given)
        roots = simplify(roots) if self._options.simplify else roots
        outputs = len(roots) - len(self._renewed)
        updates = list(zip(self._renewed, roots[outputs:], strict=True))
        return roots, compile_graph(self._symbols, roots[:outputs], updates, self._options)

    @property
    def subject(self) -> Subject:
        """Give what the function was made from, for those who look inside."""
        roots, compiled = self._compilation
        symbols = tuple(self._symbols)
        return Subject(self.name, symbols, self._given, tuple(roots), self._renewed, self._titles, compiled)

    # -- calls -----------------------------------------------------------------------------------------------------

    def __call__(self, *arrays: Any, out: Any = None, **named: Any) -> Any:
        """Compute the outputs; inputs by position or by name, results into `out` if it is given."""
        values = self._converted(arrays, named)
        key = tuple(v.shape for v in values)
        plan = self._plans.get(key) or self._plan(key)
        if self._is_checked:
            report(self.name, self.subject, values, self._dims(key))
        results = self._outputs.fresh(plan.shapes) if out is None else self._outputs.checked(out, plan.shapes, values)
        self._run(plan, key, values, results)
        return self._outputs.assembled(results) if out is None else out

    def _run(
        self, plan: Plan, key: tuple[tuple[int, ...], ...], values: list[np.ndarray], results: list[np.ndarray]
    ) -> None:
        try:
            bound = plan.free.pop()
        except IndexError:
            bound = bind(self.executable, self._dims(key))
        addresses = [*map(address, values), *map(address, results)]
        try:
            status = self._held(bound, addresses) if self._locks else bound.run(addresses, self._threads)
        finally:
            plan.free.append(bound)
        if status.code:
            self._raise_index_error(values)

    def _held(self, bound: Bound, addresses: Sequence[int]) -> Status:
        """Run with the locks of all parameters that are overwritten.

        Ctrl-C comes between two calls, never within one: all locks are taken in one call, noted there, and released in
        one, which is the first thing that happens after the run.
        """
        held: list[bool] = []
        release: Callable[[], object] = functools.partial(
            deque, map(_release, itertools.compress(self._locks, held)), 0
        )
        try:
            held.extend(map(_acquire, self._locks))
            return bound.run(addresses, self._threads)
        finally:
            release()

    def _converted(self, arrays: Sequence[Any], named: Mapping[str, Any]) -> list[np.ndarray]:
        """Give the inputs as arrays that kernels can read."""
        given = arrays if not named and len(arrays) == len(self.inputs) else self._gathered(arrays, named)
        return [
            a if type(a) is np.ndarray and a.dtype is d and a.flags.c_contiguous and a.flags.aligned else as_array(n, a)
            for a, n, d in zip(given, self.inputs, self._dtypes, strict=True)
        ]

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
        self._check_sizes(dims)
        shapes = tuple(tuple(evaluate(n, dims) for n in r.shape) for r in self._outputs.nodes)
        return remember(self._plans, key, Plan(shapes, [bind(self.executable, dims)]))

    def _check_sizes(self, dims: Mapping[str, int]) -> None:
        for node, size in self._conditions:
            if evaluate(size, dims) < 0:
                got = f"{size} = {evaluate(size, dims)} must not be negative"
                raise ShapeError(f"{node.op}: no element is left", got=got, where=where_text(node.args))

    def _raise_index_error(self, values: Sequence[np.ndarray]) -> None:
        """Find the index that a guard has refused, and say where it stands."""
        env = dict(zip(self._symbols, values, strict=True))
        dims = self._dims(tuple(v.shape for v in values))
        for guard in self.subject.compiled.guards:
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

    @functools.cached_property
    def _labels(self) -> Labels:
        return launch_labels(self.subject)

    @functools.cached_property
    def _stepped(self) -> tuple[list[ValueLine], Function]:
        """Give the named values, and a function that stores them all."""
        lines = value_lines(self.subject)
        options = replace(self._options, simplify=False)
        return lines, Function(self._symbols, [line.node for line in lines], None, self.name, options)

    def as_text(self) -> str:
        """Give the loop IR: the launches in order with what each computes, then every kernel."""
        return as_text(self.subject, self._labels)

    def llvm_ir(self) -> str:
        """Give the LLVM IR of every kernel, before LLVM's passes."""
        return llvm_ir(self.subject, self._labels.launches)

    def assembly(self) -> str:
        """Give the assembly of every kernel."""
        return assembly_text(self.subject, self._labels.launches)

    def cost_analysis(self) -> CostAnalysis:
        """Count what each launch computes and moves: FLOPs, functions and bytes, as polynomials of the dimensions.

        A product that is summed is 2 FLOPs, any other operation on floats 1; exp, log ... are counted apart.

        >>> import symgrad as sg
        >>> x, W = sg.symbol("x", (sg.dim("N"), 8)), sg.parameter("W", (8, 4), "zeros")
        >>> cost = sg.function([x], x @ W).cost_analysis()
        >>> cost.flops, cost["bytes accessed"], cost.at(N=16).flops
        (64*N, 48*N + 128, 1024)
        """
        own = renamed_dims(self.inputs, self._symbols)
        return cost_analysis(self.subject, self._labels.launches, {own[name]: dim(name) for name in own})

    def memory_analysis(self, **dims: int) -> MemoryAnalysis:
        """Plan the memory of a call for these dimensions: every array, and the arena of temporaries with its lifetimes.

        The numbers are those of the plan that a call uses. Raise TypeError for a dimension that the inputs do not have,
        ShapeError for one that is missing or too small.

        >>> import symgrad as sg
        >>> x, W = sg.symbol("x", (sg.dim("N"), 8)), sg.parameter("W", (8, 4), "zeros")
        >>> memory = sg.function([x], sg.softmax(x @ W)).memory_analysis(N=16)
        >>> memory.total, memory.arena == memory.peak
        (1152, True)
        """
        own = renamed_dims(self.inputs, self._symbols)
        for name in dims:
            if name not in own:
                raise TypeError(f"{self.name} has no dimension {name!r}. {nearest(name, own)}")
        sizes = {own[name]: size for name, size in dims.items()}
        self._check_sizes(sizes)
        return memory_analysis(self.subject, self._labels, sizes, dims)

    def profile(self, *arrays: Any, repeat: int = 20, **named: Any) -> Profile:
        """Time every launch by itself: the shortest of `repeat` runs, FLOP/s, bytes/s and the share of the peak.

        The launches run in their order on copies of the parameters, which stay as they are. Each time contains the
        microsecond or two that one call of native code takes; `call` is the time of the program as a whole. The peak is
        measured, once per process. Raise what a call raises for such arrays.
        """
        if repeat < 1:
            raise ValueError(f"repeat is 1 or more, not {repeat}")
        values = self._converted(arrays, named)
        key = tuple(v.shape for v in values)
        plan = self._plans.get(key) or self._plan(key)
        results = self._outputs.fresh(plan.shapes)
        costs = self.cost_analysis().at(**bind_shapes(dict(zip(self.inputs, key, strict=True)))).kernels
        try:
            return profile(self.subject, costs, self._dims(key), [*values, *results], self._threads, repeat)
        except GuardError:
            self._raise_index_error(values)
            raise

    def trace(self, *arrays: Any, **named: Any) -> Trace:
        """Compute every named value of the function, forward and backward, and keep them all.

        Values are named by their user, by layers, by `str` where formulas need a line, or by kernels that store them;
        an update is shown with the values before and after it. The parameters stay as they are. What is fused away in
        the function is stored here by a second program of the same expressions, compiled at the first call: fusion
        changes no bit, so these are the values that the function computes.

        >>> import symgrad as sg
        >>> x = sg.symbol("x", (3,))
        >>> h = sg.tanh(x).named("h")
        >>> trace = sg.function([x], (h * h).sum()).trace([0.0, 1.0, 2.0])
        >>> trace.names, trace["h"].shape, trace["h"].formula
        (('h', 'out'), (3,), 'tanh(x)')
        """
        lines, step = self._stepped
        values = self._converted(arrays, named)
        old = [None if line.parameter is None else line.parameter.value for line in lines]
        return traced(self.name, lines, step(*values), old)


def function(
    inputs: Expr | Iterable[Expr], outputs: Any = (), updates: Any = None, *, threads: int | None = None,
    name: str | None = None, precision: str | None = None, options: Options | None = None,
) -> Function:  # fmt: skip
    """Compile outputs as a function of inputs.

    `outputs` is an expression, or a list, tuple or dict of them: calls give the same structure. `updates` maps
    parameters to their new values (a dict, or pairs): all are computed from the old values, and take effect together.

    Called with arrays, by position or by name, the function returns fresh arrays, rank 0 as NumPy scalars; `out=` takes
    arrays for the results, in the structure of the outputs. Any sizes of symbolic dimensions will do.

    With `precision="bf16"` products of float32 matrices round their operands to bfloat16 (8 bits of precision) and add
    up in float32; all else is float32 as before.

    Raise TypeError for an input that is not a symbol, a symbol that is not an input, ShapeError for a dimension that no
    input's shape tells, CompileError for `"bf16"` on a processor without its dot product.

    >>> import numpy as np
    >>> import symgrad as sg
    >>> x = sg.symbol("x", (sg.dim("N"),))
    >>> f = sg.function([x], (x * 2).sum())
    >>> float(f(np.ones(3)))
    6.0
    """
    given = [inputs] if isinstance(inputs, Expr) else list(inputs)
    return Function(given, outputs, updates, name, chosen_options(options, threads, precision))


_acquire, _release = operator.methodcaller("acquire"), operator.methodcaller("release")


@contextlib.contextmanager
def locked(parameters: Sequence[Parameter]) -> Any:
    """Hold the locks of all parameters, taken in one order everywhere."""
    with contextlib.ExitStack() as stack:
        for parameter in sorted(parameters, key=lambda p: p.attrs["serial"]):
            stack.enter_context(parameter.lock)
        yield
