"""PyTorch as a second referee of values and gradients: `python -m benchmarks.referee [NAME ...]`.

In: names of operators; without any, all rows of the registry, the functions and networks of `referee_functions` and
`referee_networks`, and the choices at special points. Needs PyTorch (`pip install -e '.[referee]'`) and the checkout as
working directory. Out: Markdown tables. Every case that a row carries for its tests is compiled and compared at every
size: the value and, for random cotangents, the cotangents of its operands in float64, the value in float32. Exits with
1 where a difference is above its bound, a row has neither a counterpart nor a reason for having none, or a choice is
not the recorded one.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import symgrad as sg
from benchmarks import referee_choices, referee_functions, referee_networks, referee_rows
from symgrad.dtypes import as_dtype
from symgrad.expr import Expr, symbol_node
from symgrad.ops.row import ROWS, Row, Sample
from symgrad.ops.structure import Map
from symgrad.shape import Dim
from symgrad.shape import evaluate as size_value
from tests.row_cases import Call, calls, draw

Arrays = list[np.ndarray]
FLOAT64_BOUND = 1e-12  # of the largest magnitude of the result
ULPS = 4  # float32: of each element for elementwise rows,
ULPS_OF_LARGEST = 16  # of the largest magnitude for others, which add up to some hundred terms
# Near a zero of the result the unit is that of an intermediate: a function of the operands gives its magnitude.
INTERMEDIATE: dict[str, Callable[[Arrays], np.ndarray | float]] = {
    "logaddexp": lambda operands: np.maximum(*map(np.abs, operands)),
    "logdet": lambda operands: 1.0,  # an error of a unit in the determinant
}
# What is known to be less exact, and on whose side.
LOOSE = {("`digamma`", "gradient"): 1e-9}  # PyTorch's: it has trigamma to ten digits
N = sg.dim("n")
SIZE = symbol_node("size", (N,), as_dtype("float32"))  # tells n where no operand does


@dataclass(slots=True)
class Record:
    """What is compared under one name, and the largest differences so far."""

    name: str
    comparisons: int = 0
    value: float = 0.0
    gradient: float | None = None
    ulps: float | None = None
    bound: int = ULPS
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        shown = (self.value, self.gradient, self.ulps)
        cells = ["" if x is None else "0" if x == 0 else f"{x:.1e}" for x in shown[:2]]
        cells.append("" if self.ulps is None else f"{self.ulps:.2f}")
        return f"| {self.name} | {self.comparisons} | {' | '.join(cells)} |"

    def check(self) -> None:
        """Note the figures that are above their bounds."""
        for what, figure, bound in (
            ("value", self.value, FLOAT64_BOUND),
            ("gradient", self.gradient, FLOAT64_BOUND),
            ("float32", self.ulps, self.bound),
        ):
            allowed = LOOSE.get((self.name, what), bound)
            if figure is not None and not figure <= allowed:
                self.faults.append(f"{self.name}: {what} differs by {figure:.3g}, bound {allowed:g}")


# -- differences ---------------------------------------------------------------------------------------------------


def relative(got: Any, want: np.ndarray) -> float:
    """Measure the largest difference in terms of the largest magnitude; infinite where shapes or NaNs differ."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape:
        return math.inf
    differs = (got != want) & ~(np.isnan(got) & np.isnan(want))
    if not differs.any():
        return 0.0
    largest = float(np.max(np.abs(want), initial=0, where=np.isfinite(want)))
    error = float(np.max(np.abs(got - want)[differs])) / max(largest, np.finfo(np.float64).tiny)
    return math.inf if math.isnan(error) else error


def ulps(got: Any, want: np.ndarray, each: bool, least: np.ndarray | float = 0.0) -> float:
    """Measure the largest difference in float32's units in the last place: of each element, or of the largest.

    `least` is a magnitude below which no element is taken to lie.
    """
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    differs = (got != want) & ~(np.isnan(got) & np.isnan(want))
    if not differs.any():
        return 0.0
    scale = np.abs(want) if each else np.full_like(want, np.max(np.abs(want), where=np.isfinite(want), initial=0))
    scale = np.maximum(scale, np.maximum(least, np.finfo(np.float32).tiny))
    units = np.spacing(scale.astype(np.float32)).astype(np.float64)
    return float(np.max((np.abs(got - want) / units)[differs]))


# -- rows ----------------------------------------------------------------------------------------------------------


def bound_attrs(value: Any, n: int) -> Any:
    """Replace the dimensions in an attribute by their values."""
    if isinstance(value, Dim):
        return size_value(value, {"n": n, "m": n})
    return tuple(bound_attrs(item, n) for item in value) if isinstance(value, tuple) else value


@dataclass(slots=True)
class Case:
    """A case of a row in one function: operands, the cotangent of the result, and results."""

    call: Call
    float_dtype: str
    operands: list[Expr]
    results: list[Expr]
    cotangent: Expr | None

    @property
    def inputs(self) -> list[Expr]:
        return [*self.operands, *([] if self.cotangent is None else [self.cotangent])]

    def draw(self, n: int) -> Arrays:
        samples = [*self.call.case.operands, *([] if self.cotangent is None else [Sample(self.cotangent.shape)])]
        rng = np.random.default_rng([n, zlib.crc32(str(self.call).encode())])
        return [np.asarray(draw(rng, s, n), x.dtype.numpy) for s, x in zip(samples, self.inputs, strict=True)]


def declared(call: Call, float_dtype: str) -> Case:
    """Declare a case's operands; in float64 the cotangents of the float operands are results, too."""

    def symbol(name: str, sample: Sample) -> Expr:
        dtype = float_dtype if sample.dtype == "float" else sample.dtype
        return symbol_node(f"{name}{call.number}", sample.shape, as_dtype(dtype))

    operands = [symbol(name, sample) for name, sample in zip("abcd", call.case.operands, strict=False)]
    node = call.row(*operands, **call.case.attrs)
    floats = [x for x in operands if x.dtype.is_float]
    if float_dtype == "float32" or not (floats and node.dtype.is_float and call.row.differentiable):
        return Case(call, float_dtype, operands, [node], None)
    cotangent = symbol_node(f"g{call.number}", node.shape, node.dtype)
    return Case(call, float_dtype, operands, [node, *sg.vjp(node, floats, cotangent, disconnected="zero")], cotangent)


def referee(case: Case, arrays: Arrays, n: int) -> Arrays:
    """Compute a case's results with PyTorch, floats in float64."""
    tensors = []
    for array in arrays:
        tensor = torch.from_numpy(np.array(array))
        tensors.append(tensor.double().requires_grad_() if tensor.is_floating_point() else tensor)
    operands = tensors[: len(case.operands)]
    attrs = {key: bound_attrs(value, n) for key, value in case.call.case.attrs.items()}
    out = referee_rows.ROWS[case.call.row.name](*operands, **attrs)
    results = [out.detach().numpy()]
    if case.cotangent is not None:
        floats = [x for x in operands if x.requires_grad]
        results += gradients(out, floats, tensors[-1].detach().to(out.dtype))
    return results


def gradients(out: torch.Tensor, floats: list[torch.Tensor], g: torch.Tensor) -> Arrays:
    """Pull a cotangent back; what does not depend on an operand has the cotangent 0."""
    if not out.requires_grad:
        return [np.zeros(x.shape) for x in floats]
    return [g.numpy() for g in torch.autograd.grad(out, floats, g, allow_unused=True, materialize_grads=True)]


def compared(record: Record, case: Case, given: Arrays, got: Arrays, want: Arrays) -> None:
    """Note the differences of one case at one size."""
    record.comparisons += 1
    if case.float_dtype == "float32" and case.results[0].dtype.is_float:
        least = INTERMEDIATE.get(case.call.row.name, lambda operands: 0.0)(given)
        record.ulps = max(record.ulps or 0.0, ulps(got[0], want[0], record.bound == ULPS, least))
        return
    record.value = max(record.value, relative(got[0], want[0]))
    for ours, theirs in zip(got[1:], want[1:], strict=True):
        record.gradient = max(record.gradient or 0.0, relative(ours, theirs))


def compare_row(row: Row, own: list[Call]) -> Record:
    """Compile the cases that share their sizes as one function, and compare its results at each size."""
    record = Record(f"`{row.name}`", bound=ULPS if isinstance(row.structure, Map) else ULPS_OF_LARGEST)
    for float_dtype in ("float64", "float32"):
        for sizes in sorted({call.case.sizes for call in own}):
            cases = [declared(call, float_dtype) for call in own if call.case.sizes == sizes]
            function = sg.function([SIZE, *(x for c in cases for x in c.inputs)], [c.results for c in cases])
            for n in sizes:
                arrays = [case.draw(n) for case in cases]
                found = function(np.zeros(n, "float32"), *(array for own in arrays for array in own))
                for case, given, got in zip(cases, arrays, found, strict=True):
                    compared(record, case, given, got, referee(case, given, n))
    return record


def compare_rows(names: Iterable[str]) -> Iterator[Record]:
    """Compare the rows of these names, which have counterparts."""
    known = calls()
    for name in names:
        yield compare_row(ROWS[name], [call for call in known if call.row.name == name])


def misplaced() -> list[str]:
    """List the rows that have neither a counterpart nor a reason for having none, or both."""
    both = referee_rows.ROWS.keys() & referee_rows.WITHOUT.keys()
    neither = ROWS.keys() - referee_rows.ROWS.keys() - referee_rows.WITHOUT.keys()
    gone = (referee_rows.ROWS.keys() | referee_rows.WITHOUT.keys()) - ROWS.keys()
    return [f"{name}: place this row in benchmarks/referee_rows.py, once" for name in sorted(both | neither)] + [
        f"{name}: benchmarks/referee_rows.py names a row that does not exist" for name in sorted(gone)
    ]


# -- composites ----------------------------------------------------------------------------------------------------


def compare_composite(entry: referee_networks.Composite) -> Record:
    """Compare the value, and the gradients or the Hessian, in float64 and, all as one figure, in float32."""
    record = Record(entry.name, comparisons=2, bound=ULPS_OF_LARGEST)
    shapes = {**entry.operands, **(entry.fixed or {})}
    rng = np.random.default_rng(zlib.crc32(entry.name.encode()))
    drawn = [rng.uniform(-1, 1, shape).astype("float32") for shape in shapes.values()]
    want = with_torch(entry, [torch.from_numpy(x).double() for x in drawn])
    for dtype in ("float64", "float32"):
        symbols = [sg.symbol(name, shape, dtype) for name, shape in shapes.items()]
        value = entry.ours(*symbols)
        variables = symbols[: len(entry.operands)]
        derived = sg.grad(value, variables) if entry.order == 1 else [sg.hessian(value, variables[0])]
        got = sg.function(symbols, [value, *derived])(*(x.astype(dtype) for x in drawn))
        if dtype == "float32":
            record.ulps = max(ulps(a, b, each=False) for a, b in zip(got, want, strict=True))
        else:
            record.value = relative(got[0], want[0])
            record.gradient = max(relative(a, b) for a, b in zip(got[1:], want[1:], strict=True))
    return record


def with_torch(entry: referee_networks.Composite, tensors: list[torch.Tensor]) -> Arrays:
    value = entry.theirs(*tensors)
    if entry.order == 1:
        derived = torch.func.grad(entry.theirs, tuple(range(len(entry.operands))))(*tensors)
    else:
        derived = (torch.func.hessian(entry.theirs)(*tensors),)
    return [value.numpy(), *(x.detach().numpy() for x in derived)]


# -- choices -------------------------------------------------------------------------------------------------------


def compare_choice(entry: referee_choices.Choice) -> tuple[str, str]:
    """Give both gradients at a special point, as text."""
    shape = () if len(entry.point) == 1 else (len(entry.point),)
    at = np.array(entry.point).reshape(shape)
    x = sg.symbol("x", shape, "float64")
    tensor = torch.tensor(at, requires_grad=True)
    (pulled,) = gradients(entry.theirs(tensor), [tensor], torch.ones((), dtype=torch.float64))
    return shown(sg.function([x], sg.grad(entry.ours(x), x))(at)), shown(pulled)


def shown(gradient: Any) -> str:
    return ", ".join(f"{x:.4g}" for x in np.asarray(gradient, np.float64).reshape(-1) + 0.0)


# -- the report ----------------------------------------------------------------------------------------------------

HEAD = "| {} | comparisons | value, float64 | gradient, float64 | value, float32 (ulp) |\n|---|---|---|---|---|"


def report(title: str, records: Iterable[Record]) -> list[str]:
    """Print a table as it grows; give what is wrong."""
    print(HEAD.format(title))
    faults = []
    for record in records:
        record.check()
        print(record, flush=True)
        faults += record.faults
    print()
    return faults


def report_choices() -> list[str]:
    """Print the gradients at special points; it is wrong if they differ without a reason, or agree in spite of one."""
    print("| at | symgrad | PyTorch | why they differ |\n|---|---|---|---|")
    faults = []
    for entry in referee_choices.CHOICES:
        ours, theirs = compare_choice(entry)
        print(f"| {entry.name} | {ours} | {theirs} | {entry.reason} |", flush=True)
        if (ours != theirs) != bool(entry.reason):
            faults.append(f"{entry.name}: {ours} and {theirs}, but the reason recorded is {entry.reason!r}")
    print()
    return faults


def main(names: list[str]) -> int:
    """Compare, print, and tell whether anything is wrong."""
    unknown = [name for name in names if name not in referee_rows.ROWS]
    if unknown:
        print(f"no counterpart: {', '.join(unknown)}")
        return 2
    faults = misplaced()
    faults += report("operator", compare_rows(names or [name for name in ROWS if name in referee_rows.ROWS]))
    if not names:
        faults += report("function", map(compare_composite, referee_functions.FUNCTIONS))
        faults += report("composite", map(compare_composite, referee_networks.COMPOSITES))
        faults += report_choices()
        for name, reason in referee_rows.WITHOUT.items():
            print(f"- `{name}` has no counterpart: {reason}")
    for fault in faults:
        print(f"WRONG: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
