"""The operators: importing this package registers every row and gives expressions their syntax.

In: nothing. Out: every public function of the operator modules, under its NumPy name, and the namespace `random`.
A row lives in the module of its kind; `row.py` holds the registry, `structure.py` the structural classes.
"""

from symgrad.ops import random, view  # noqa: F401
from symgrad.ops.activations import (
    celu,
    elu,
    gelu,
    hard_sigmoid,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
)
from symgrad.ops.bitwise import (
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
)
from symgrad.ops.composite import log_softmax, logsumexp, mean, softmax, var
from symgrad.ops.decompositions import inv, logdet
from symgrad.ops.facts import assume
from symgrad.ops.fill import (
    arange,
    diag,
    diagonal,
    eye,
    full,
    full_like,
    ones,
    ones_like,
    trace,
    tril,
    triu,
    zeros,
    zeros_like,
)
from symgrad.ops.index import one_hot, pick, scatter_add, scatter_along_axis, take, take_along_axis
from symgrad.ops.layout import (
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
from symgrad.ops.norms import norm, std
from symgrad.ops.order import argsort, cumprod, cumsum, recurrence, searchsorted, sort, top_k
from symgrad.ops.rearrange import pad, repeat, roll, split, tile
from symgrad.ops.reduce import all, any, argmax, argmin, max, min, prod, sum
from symgrad.ops.scalar import (
    abs,
    add,
    astype,
    cbrt,
    ceil,
    clip,
    divide,
    equal,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    fmod,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
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
    remainder,
    round,
    sign,
    sqrt,
    square,
    stop_gradient,
    subtract,
    trunc,
    where,
)
from symgrad.ops.slicing import place
from symgrad.ops.special import (
    digamma,
    erf,
    erfc,
    lgamma,
    ndtr,
    polygamma,
    trigamma,
)
from symgrad.ops.subscripts import einsum
from symgrad.ops.trigonometry import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    hypot,
    sin,
    sinh,
    tan,
    tanh,
)

__all__ = [
    "constant", "dim", "random", "symbol",
    "abs", "add", "astype", "cbrt", "ceil", "clip", "divide", "exp", "exp2", "expm1", "floor", "floor_divide", "fmod",
    "log", "log10", "log1p", "log2", "logaddexp", "maximum", "minimum", "multiply", "negative", "positive", "power",
    "reciprocal", "remainder", "round", "sign", "sqrt", "square", "stop_gradient", "subtract", "trunc", "where",
    "equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "less", "less_equal", "logical_and",
    "logical_not", "logical_or", "logical_xor", "not_equal",
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "hypot", "sin", "sinh", "tan", "tanh",
    "digamma", "erf", "erfc", "lgamma", "ndtr", "polygamma", "trigamma",
    "celu", "elu", "gelu", "hard_sigmoid", "hard_swish", "hard_tanh", "leaky_relu", "log_sigmoid", "mish", "relu",
    "relu6", "selu", "sigmoid", "silu", "softplus", "softsign",
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "all", "any", "argmax", "argmin", "max", "min", "prod", "sum",
    "log_softmax", "logsumexp", "mean", "norm", "softmax", "std", "var",
    "arange", "broadcast_to", "concatenate", "expand_dims", "flatten", "flip", "matrix_transpose", "moveaxis", "ravel",
    "place", "reshape", "squeeze", "stack", "swapaxes", "transpose", "pad", "repeat", "roll", "split", "tile",
    "diag", "diagonal", "eye", "full", "full_like", "ones", "ones_like", "trace", "tril", "triu", "zeros",
    "zeros_like",
    "dot", "einsum", "inner", "matmul", "outer", "tensordot", "vdot",
    "inv", "logdet",
    "argsort", "cumprod", "cumsum", "recurrence", "searchsorted", "sort", "top_k",
    "one_hot", "pick", "scatter_add", "scatter_along_axis", "take", "take_along_axis",
    "assume", "subs",
]  # fmt: skip
