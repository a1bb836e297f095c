"""What a rewrite promised, and whether it holds: the values of a program before and after, by the rule's class.

In: two expressions, arrays. Out: None, or what is wrong. Bitwise: the same bits in the declared dtypes. The others:
wherever the original is finite and its error bound says what it is, within the bounds of both. Integers and bools:
equal, in every class. Positions outside their axis are refused by both or by neither. It must not know rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from oracle.bound import bounded
from oracle.enclosure import COMPARISONS, distance
from oracle.values import Graph, evaluated

from symgrad.errors import IndexRangeError, ShapeError
from symgrad.expr import Expr, TensorType, topological
from symgrad.interpreter import evaluate
from symgrad.ops.row import row_of
from symgrad.ops.structure import Gather, Scatter
from symgrad.rewrite import RuleClass

# Which values a class is asked about; with extremes only the bitwise rules promise more than that no number is lost.
KINDS: dict[RuleClass, tuple[str, ...]] = dict.fromkeys(RuleClass, ("tame", "extreme"))
KINDS |= {RuleClass.BITWISE: ("tame", "wild"), RuleClass.REAL: ("tame", "tame")}

LARGE = 1e18  # products of larger numbers, in another order, are beyond float32


def fault(kind: RuleClass, before: Expr, after: Expr, env: Mapping[Any, Any], calm: bool = True) -> str | None:
    """Tell how a rewrite breaks its promise; None if it does not."""
    if before.type != after.type:
        return f"{before.type} became {after.type}"
    old, new = (_value(x, env) for x in (before, after))
    if isinstance(old, (ShapeError, ValueError)) or (
        isinstance(old, IndexRangeError) and not isinstance(new, np.ndarray)
    ):
        return None  # sizes, or powers of integers, that the original has no meaning for
    if isinstance(old, IndexRangeError):
        return "accepts positions that were refused" if _indexed(after) else None
    if not isinstance(new, np.ndarray):
        return f"refuses what was accepted: {new}"
    if old.shape != new.shape or old.dtype != new.dtype:
        return f"{old.dtype}{old.shape} became {new.dtype}{new.shape}"
    if not before.dtype.is_float and not _has_floats(before, after):
        return _shown("integers differ", old, new, old != new)
    if kind is RuleClass.BITWISE:
        return _shown("bits differ", old, new, ~_same_bits(old, new))
    return _beyond(kind, before, after, env, new, calm)


def _has_floats(*roots: Expr) -> bool:
    return any(isinstance(node.type, TensorType) and node.dtype.is_float for node in topological(roots))


def _value(x: Expr, env: Mapping[Any, Any]) -> np.ndarray | Exception:
    """Evaluate in the declared dtypes; a refusal is given back."""
    try:
        return np.asarray(evaluate(x, env, dtype=None))
    except (IndexRangeError, ShapeError, ValueError) as refusal:
        return refusal


def _indexed(root: Expr) -> bool:
    """Tell whether a program still reads positions; one that does not need them need not refuse any."""
    return any(
        node.op == "one_hot" or isinstance(row_of(node).structure, Gather | Scatter) for node in topological([root])
    )


def _same_bits(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    if old.dtype.kind != "f":
        return old == new
    return (np.isnan(old) & np.isnan(new)) | ((old == new) & (np.signbit(old) == np.signbit(new)))


def _beyond(
    kind: RuleClass, before: Expr, after: Expr, env: Mapping[Any, Any], new: np.ndarray, calm: bool
) -> str | None:
    """Compare with error bounds, where the original is a number; what it makes of infinities is no matter of reals."""
    (value, error), (other, more) = bounded([before, after], env)
    graph = evaluated([before], env)
    if _has_no_meaning(graph):
        return None
    calm = calm and not any((np.abs(x) > LARGE).any() for x in graph.values.values() if x.dtype.kind == "f")
    if not before.dtype.is_float:
        return _shown("decided elements differ", value, other, (value != other) & (error == 0) & (more == 0))
    with np.errstate(all="ignore"):
        known = np.isfinite(value) & np.isfinite(error)
        lost = known & ~np.isfinite(new)
        wrong = known & (distance(other, value) > error + more) & calm
    if lost.any() and not calm and (kind is RuleClass.REAL or _share_infinity(before, after, env)):
        return None
    return _shown("a number is lost", value, new, lost) or _shown("beyond the bound", value, other, wrong)


def _has_no_meaning(graph: Graph) -> bool:
    """Tell whether NaN is compared, which has no place in an order, whether 0 is a size to divide by, or a divisor of
    nothing, and whether nothing has a distribution."""
    order = [node for node in graph.order if node not in graph.given]
    compared = (x for node in order if node.op in COMPARISONS for x in graph.operands(node))
    if any(np.isnan(x).any() for x in compared if x.dtype.kind == "f"):
        return True
    if any(node.op in ("softmax", "log_softmax") and 0 in graph.values[node].shape for node in order):
        return True
    empty = [node for node in order if node.op == "divide" and not graph.values[node].size]
    if any((graph.values[node.args[1]] == 0).any() for node in empty):
        return True
    return any(node.op == "dim" and graph.values[node] == 0 for node in graph.order)


def _share_infinity(before: Expr, after: Expr, env: Mapping[Any, Any]) -> bool:
    """Tell whether both programs start from an infinity: what is made of it no class of rules but one promises."""
    kept = set(topological([after]))
    shared = [node for node in topological([before]) if node in kept and isinstance(node.type, TensorType)]
    return any(np.isinf(x).any() for x in evaluate(shared, env, dtype=None) if np.asarray(x).dtype.kind == "f")


def _shown(what: str, old: np.ndarray, new: np.ndarray, wrong: np.ndarray) -> str | None:
    if not wrong.any():
        return None
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{what} at {place}: {old[place]!r} became {new[place]!r}"
