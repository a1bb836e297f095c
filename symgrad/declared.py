"""What a compiled function is declared with, checked: inputs, updates, symbols, dimensions.

In: what a user gives `sg.function`. Out: the same in one form, or an error that says what does not fit. It must not
know how anything is compiled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from symgrad import side
from symgrad.boundary import unbound
from symgrad.errors import DTypeError, ShapeError
from symgrad.expr import Expr, Parameter, topological
from symgrad.ops.layout import requirements
from symgrad.ops.row import as_expr, label, row_of
from symgrad.ops.structure import Fold
from symgrad.shape import Dim, Size, format_shape, names


def checked_inputs(inputs: Sequence[Any]) -> tuple[Expr, ...]:
    """Give the inputs if they are symbols of distinct names; else raise TypeError."""
    for node in inputs:
        if not isinstance(node, Expr) or node.op != "symbol":
            raise TypeError(f"an input is a symbol, not {node!r}. Parameters are read where they stand.")
    names_given = [label(n) for n in inputs]
    for name in names_given:
        if names_given.count(name) > 1:
            raise TypeError(f"two inputs are named {name!r}. Arrays are passed by name: give each symbol its own.")
    return tuple(inputs)


def checked_updates(updates: Any) -> list[tuple[Parameter, Expr]]:
    """Give updates as pairs; raise for what is no parameter, is given twice, or does not fit it."""
    pairs = list(updates.items()) if isinstance(updates, Mapping) else () if updates is None else updates
    if not isinstance(pairs, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise TypeError("updates is a dict {parameter: new value}, or a list of such pairs")
    checked: dict[Parameter, Expr] = {}
    for parameter, value in pairs:
        if not isinstance(parameter, Parameter):
            raise TypeError(f"updates map parameters to values, not {parameter!r}")
        if parameter in checked:
            raise ValueError(f"{parameter.name!r} is updated twice")
        new = as_expr(value, parameter.dtype)
        if new.shape != parameter.shape:
            got = f"{format_shape(new.shape)} for {format_shape(parameter.shape)}"
            raise ShapeError(f"the new value of {parameter.name!r} has the wrong shape", got=got)
        if new.dtype is not parameter.dtype:
            what = f"the new value of {parameter.name!r} has the wrong dtype"
            hint = f"Add .astype({str(parameter.dtype)!r}); an array constant of float64 makes a sum float64."
            raise DTypeError(what, got=f"{new.dtype} for {parameter.dtype}", hint=hint)
        checked[parameter] = new
    return list(checked.items())


def check_symbols(inputs: Sequence[Expr], roots: Sequence[Expr]) -> None:
    """Raise TypeError for a symbol that is no input, ShapeError for a dimension that no input's shape tells."""
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


def not_negative(node: Expr) -> list[Size]:
    """List the sizes that must not be negative: room for slices, something to choose from."""
    structure = row_of(node).structure
    if isinstance(structure, Fold) and not structure.empty:
        return [node.args[0].shape[axis] - 1 for axis in node.attrs["axes"]]
    return list(requirements(node))


def _size_names(value: Any) -> frozenset[str]:
    if isinstance(value, tuple):
        return frozenset().union(*map(_size_names, value))
    return names(value) if isinstance(value, Dim) else frozenset()


def output_titles(outputs: Any, nodes: Sequence[Expr], taken: Collection[str] = ()) -> tuple[str, ...]:
    """Name the outputs: as their user did, by their key in a dict, else out, or out1 out2 ... where there are several.

    Names that are `taken` belong to other values.

    >>> import symgrad as sg
    >>> x = sg.symbol("x", (2,))
    >>> output_titles({"double": x * 2, "both": [x + 1, x - 1]}, [x * 2, x + 1, x - 1])
    ('double', 'both_0', 'both_1')
    """
    titles: list[str] = []
    for path, node in zip(_paths(outputs), nodes, strict=True):
        keyed = "_".join(path) if path and not path[0].isdecimal() else ""
        title = side.name_of(node) or keyed or ("out" if len(nodes) == 1 else f"out{len(titles) + 1}")
        number = len(titles) + 1
        while not title.isidentifier() or title in titles or title in taken:
            title, number = f"out{number}", number + 1
        titles.append(title)
    return tuple(titles)


def _paths(structure: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """List the keys and positions that lead to each leaf of nested lists, tuples and dicts."""
    if isinstance(structure, Mapping):
        for key, part in structure.items():
            yield from _paths(part, (*before, str(key)))
    elif isinstance(structure, list | tuple):
        for position, part in enumerate(structure):
            yield from _paths(part, (*before, str(position)))
    else:
        yield before


def renamed_dims(inputs: Sequence[Expr], symbols: Sequence[Expr]) -> dict[str, str]:
    """Map the dimensions of the inputs to what they are called in symbols of the same shapes."""
    pairs = [pair for x, own in zip(inputs, symbols, strict=True) for pair in zip(x.shape, own.shape, strict=True)]
    return {str(size): str(own) for size, own in pairs if isinstance(size, Dim) and str(size) in size.names}
