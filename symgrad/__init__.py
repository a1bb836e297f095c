"""symgrad: symbolic differentiation and code generation for neural networks.

Declare a network as an expression graph, derive its gradient function by the chain rule, read it, compile it to native
kernels, train with it. Operators and gradients are imported here; what prints, draws, compiles or trains at its first
use.
"""

import importlib
from collections.abc import Callable
from typing import Any

from symgrad import linalg
from symgrad import ops as _ops
from symgrad import started as _started  # noqa: F401 - the time is noted before anything is compiled
from symgrad.errors import (
    CompileError,
    DTypeError,
    FormatError,
    GradientError,
    IndexRangeError,
    ShapeError,
    SymgradError,
)
from symgrad.expr import Expr, Parameter
from symgrad.interpreter import evaluate
from symgrad.ops import *  # noqa: F403
from symgrad.ops.custom import elementwise
from symgrad.options import Options
from symgrad.regions import checkpoint, custom_gradient
from symgrad.reverse import grad, value_and_grad, vjp
from symgrad.seeds import set_seed
from symgrad.simplifier import simplify
from symgrad.surface import OPERATORS as _OPERATORS
from symgrad.surface import PRINTERS as _PRINTERS

# name -> module that has it, for what is imported at its first use; None: the name is the module itself.
_LAZY: dict[str, tuple[str, str | None]] = {
    "format_equations": ("symgrad.show", "format_equations"),
    "latex": ("symgrad.show", "latex"),
    "pprint": ("symgrad.show", "pprint"),
    "srepr": ("symgrad.show", "srepr"),
    "derivation": ("symgrad.chainrule.derivation", "derivation"),
    "graph": ("symgrad.drawing.figure", "graph"),
    "hvp": ("symgrad.forward", "hvp"),
    "jvp": ("symgrad.forward", "jvp"),
    "hessian": ("symgrad.vectorise", "hessian"),
    "jacobian": ("symgrad.vectorise", "jacobian"),
    "vmap": ("symgrad.vectorise", "vmap"),
    "explorer": ("symgrad.page", "explorer"),
    "function": ("symgrad.compiled", "function"),
    "Function": ("symgrad.compiled", "Function"),
    "parameter": ("symgrad.nn.initializers", "parameter"),
    "initializers": ("symgrad.nn.initializers", None),
    "layers": ("symgrad.nn.layers", None),
    "losses": ("symgrad.nn.losses", None),
    "metrics": ("symgrad.nn.metrics", None),
    "optim": ("symgrad.nn.optim", None),
    "datasets": ("symgrad.train.datasets", None),
    "Model": ("symgrad.train.model", "Model"),
    "Sequential": ("symgrad.train.sequential", "Sequential"),
    "to_categorical": ("symgrad.train.labels", "to_categorical"),
}

__version__ = "0.1.0"
__all__ = [  # noqa: PLE0604
    *_ops.__all__, *_LAZY,
    "CompileError", "DTypeError", "Expr", "FormatError", "GradientError", "IndexRangeError", "Options", "Parameter",
    "ShapeError", "SymgradError",
    "elementwise", "evaluate", "grad", "set_seed", "simplify", "value_and_grad", "vjp",
    "checkpoint", "custom_gradient", "linalg",
]  # fmt: skip


def _at_first_use(registry: dict[str, Callable[..., Any]], key: str, module: str) -> Callable[..., Any]:
    """Give what imports a module, which then stands in the registry itself."""

    def call(*arguments: Any) -> Any:
        importlib.import_module(module)
        return registry[key](*arguments)

    return call


_OPERATORS[".why"] = _at_first_use(_OPERATORS, ".why", "symgrad.chainrule.why")
for _kind in ("text", "latex", "html"):
    _PRINTERS[_kind] = _at_first_use(_PRINTERS, _kind, "symgrad.show")
_PRINTERS["svg"] = _at_first_use(_PRINTERS, "svg", "symgrad.drawing.figure")


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'symgrad' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    loaded = importlib.import_module(module)
    value = loaded if attribute is None else getattr(loaded, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"})
