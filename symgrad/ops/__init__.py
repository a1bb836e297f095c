"""The operators: importing this package registers every row and gives expressions their syntax.

In: nothing. Out: every public function of the operator modules, under its NumPy name, and the namespace `random`.
A row lives in the module of its kind; `row.py` holds the registry, `structure.py` the structural classes.
"""

from symgrad.ops import random, view  # noqa: F401
from symgrad.ops.composite import log_softmax, logsumexp, mean, softmax, var
from symgrad.ops.index import one_hot, pick, take
from symgrad.ops.layout import (
    arange,
    broadcast_to,
    concatenate,
    expand_dims,
    flatten,
    flip,
    matrix_transpose,
    moveaxis,
    ravel,
    reshape,
    squeeze,
    stack,
    swapaxes,
    transpose,
)
from symgrad.ops.leaves import constant, dim, symbol
from symgrad.ops.linalg import dot, inner, matmul, outer, tensordot, vdot
from symgrad.ops.methods import positive, subs
from symgrad.ops.reduce import all, any, argmax, argmin, max, min, prod, sum
from symgrad.ops.scalar import (
    abs,
    add,
    astype,
    cos,
    divide,
    equal,
    erf,
    exp,
    expm1,
    floor,
    floor_divide,
    greater,
    greater_equal,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    power,
    reciprocal,
    relu,
    remainder,
    sigmoid,
    sign,
    sin,
    softplus,
    sqrt,
    square,
    stop_gradient,
    subtract,
    tanh,
    where,
)

__all__ = [
    "constant", "dim", "random", "symbol",
    "abs", "add", "astype", "cos", "divide", "erf", "exp", "expm1", "floor", "floor_divide", "log", "log1p", "maximum",
    "minimum", "multiply", "negative", "positive", "power", "reciprocal", "relu", "remainder", "sigmoid", "sign", "sin",
    "softplus", "sqrt", "square", "stop_gradient", "subtract", "tanh", "where",
    "equal", "greater", "greater_equal", "isnan", "less", "less_equal", "logical_and", "logical_not", "logical_or",
    "logical_xor", "not_equal",
    "all", "any", "argmax", "argmin", "max", "min", "prod", "sum",
    "log_softmax", "logsumexp", "mean", "softmax", "var",
    "arange", "broadcast_to", "concatenate", "expand_dims", "flatten", "flip", "matrix_transpose", "moveaxis", "ravel",
    "reshape", "squeeze", "stack", "swapaxes", "transpose",
    "dot", "inner", "matmul", "outer", "tensordot", "vdot",
    "one_hot", "pick", "take",
    "subs",
]  # fmt: skip
