"""The notation of the loop IR's text: what the printer writes and the parser reads.

    kernel scale(x: in float32[N], y: out float32[N]; N):
      for i in 0..N vector(16):
        let t = x[i] * 2.0f32
        y[i] = select(t < 0.0f32, 0.0f32, t)

Statements: `let`, `local`, `NAME = value` (Set), `BUFFER[index] = value` (Store), `prefetch`, `alloc`, `for` (`by` a
step, then a tag), `if`/`else`, `while`, `pass` for an empty block; lines that begin with `#` are the kernel's comment.
Values: operators as below, other operations as calls, with `<dtype>` where the result's does not follow; literals carry
their dtype; `index(i + 1)` is an index used as a value. Indices and bounds are Python expressions of sizes.
"""

from __future__ import annotations

from symgrad.dtypes import DType

INFIX: dict[str, tuple[str, int]] = {  # operation -> (operator, precedence)
    "eq": ("==", 1), "ne": ("!=", 1), "lt": ("<", 1), "le": ("<=", 1), "gt": (">", 1), "ge": (">=", 1),
    "or": ("|", 2), "xor": ("^", 3), "and": ("&", 4), "shl": ("<<", 5), "ashr": (">>", 5), "lshr": (">>>", 5),
    "add": ("+", 6), "sub": ("-", 6), "mul": ("*", 7), "div": ("/", 7), "floordiv": ("//", 7), "mod": ("%", 7),
}  # fmt: skip
OPERATORS: dict[str, tuple[str, int]] = {symbol: (name, level) for name, (symbol, level) in INFIX.items()}
COMPARISON = 1  # does not associate: `a < b < c` is not written

SUFFIXES: dict[DType, str] = {dtype: f"{dtype.kind}{8 * dtype.size}" for dtype in DType if dtype is not DType.BOOL}
BY_SUFFIX: dict[str, DType] = {suffix: dtype for dtype, suffix in SUFFIXES.items()}
INDENT = "  "

# No array or value can be called so. Other words are told apart by what follows them; dims are only found in sizes.
RESERVED = frozenset(("true", "false", "pass", "else"))
