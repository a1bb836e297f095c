"""What a kernel means: an interpreter of the loop IR, one scalar at a time, blind to every tag.

In: a kernel, NumPy arrays, dims. Out: the arrays, changed. It is the second opinion on emitted code: a parallel,
unrolled or vector loop runs here from first to last iteration. Functions of `codegen.vecmath` are given by the caller.
It must not know machines. Slow by intention: nothing here is worth being fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.ir import (
    Alloc,
    Const,
    For,
    If,
    Index,
    Kernel,
    Let,
    Load,
    Local,
    Name,
    Op,
    Set,
    Stmt,
    Store,
    Value,
    While,
)
from codegen.signature import CHOICES, admits, children, dtype_of
from symgrad.dtypes import DType
from symgrad.errors import CompileError
from symgrad.shape import Size, evaluate

Scalar = Any  # a NumPy scalar
Functions = Mapping[tuple[str, DType], Callable[..., Value]]


def run(
    kernel: Kernel, arrays: Sequence[NDArray[Any]], dims: Mapping[str, int], functions: Functions | None = None
) -> None:
    """Run a kernel on arrays of its buffers' shapes, given in their order.

    >>> from codegen.parse import parse_kernel
    >>> y = np.zeros(3, np.float32)
    >>> head, loop = "kernel squares(y: out float32[N]; N):", "  for i in 0..N vector(16):"
    >>> kernel = parse_kernel("\\n".join((head, loop, "    y[i] = cast<float32>(index(i*i))")))
    >>> run(kernel, [y], {"N": 3}); y
    array([0., 1., 4.], dtype=float32)
    """
    names = {buffer.name: array for buffer, array in zip(kernel.buffers, arrays, strict=True)}
    with np.errstate(all="ignore"):
        _Run(functions or {}).block(kernel.body, {**dims, **names})


class _Run:
    """One run; `env` maps dims and loop variables to ints, arrays to arrays, values to NumPy scalars."""

    def __init__(self, functions: Functions) -> None:
        self.functions = functions

    def block(self, body: Sequence[Stmt], env: dict[str, Any]) -> None:
        declared: set[str] = set()
        for stmt in body:
            if isinstance(stmt, (Let, Local, Alloc)):
                declared.add(stmt.name)
            self.statement(stmt, env)
        for name in declared:
            del env[name]

    def statement(self, stmt: Stmt, env: dict[str, Any]) -> None:
        match stmt:
            case Let(name, value) | Local(name, value) | Set(name, value):
                env[name] = self.value(value, env)
            case Store(buffer, index, value):
                result = self.value(value, env)
                env[buffer][self.index(index, env)] = result
            case Alloc(name, dtype, shape):
                env[name] = np.empty(self.index(shape, env), dtype.numpy)
            case For(var, start, stop, body, step, tag):
                every = 1 if tag.is_wide else step
                for position in range(self.size(start, env), self.size(stop, env), every):
                    env[var] = position
                    self.block(body, env)
                env.pop(var, None)
            case If(cond, body, orelse):
                self.block(body if self.value(cond, env) else orelse, env)
            case While(cond, body):
                while self.value(cond, env):
                    self.block(body, env)

    def size(self, size: Size, env: dict[str, Any]) -> int:
        return int(evaluate(size, env))

    def index(self, sizes: Sequence[Size], env: dict[str, Any]) -> tuple[int, ...]:
        index = tuple(self.size(size, env) for size in sizes)
        if any(position < 0 for position in index):
            raise CompileError("a kernel uses a negative index", got=str(index))
        return index

    def value(self, value: Value, env: dict[str, Any]) -> Scalar:
        """Compute each node once; nodes are told apart by identity and kept alive by the value and `calls`."""
        done: dict[int, Scalar] = {}
        calls: dict[int, Value] = {}  # what the functions among them stand for
        stack = [value]
        while stack:
            node = stack[-1]
            operands = self.operands(node, calls)
            missing = [operand for operand in operands if id(operand) not in done]
            stack.extend(reversed(missing))
            if not missing:
                done[id(node)] = self.compute(node, [done[id(operand)] for operand in operands], env)
                stack.pop()
        return done[id(value)]

    def operands(self, node: Value, calls: dict[int, Value]) -> tuple[Value, ...]:
        if not isinstance(node, Op) or admits(node.name, dtype_of(node.args[0])):
            return children(node)
        if id(node) not in calls:
            calls[id(node)] = self.functions[node.name, node.dtype](*node.args)
        return (calls[id(node)],)

    def compute(self, node: Value, operands: list[Scalar], env: dict[str, Any]) -> Scalar:
        match node:
            case Const(number, dtype):
                return dtype.numpy.type(number)
            case Name(name):
                return env[name]
            case Index(size):
                return np.int64(self.size(size, env))
            case Load(buffer, index):
                return env[buffer][self.index(index, env)]
            case Op(name, args):
                return _carry_out(node, operands) if admits(name, dtype_of(args[0])) else operands[0]


def _carry_out(op: Op, args: list[Scalar]) -> Scalar:
    """Carry out one operation; NumPy's integers wrap and divide by zero to zero as the IR's do."""
    if op.name == "bitcast":
        return args[0].view(op.dtype.numpy)
    if op.name in ("fma", "residue"):
        return fused(*args)
    if op.name == "bf16":
        return bfloat16_bits(*args)
    if op.name == "dot2":
        return dot2(*args)
    if op.name == "mulhi":
        return op.dtype.numpy.type(int(args[0]) * int(args[1]) >> 8 * op.dtype.size)
    if op.name == "lshr":  # NumPy shifts signed integers arithmetically
        unsigned = np.dtype(f"u{op.dtype.size}").type
        return (args[0].view(unsigned) >> args[1].view(unsigned)).view(op.dtype.numpy)
    if op.name == "cast":
        return args[0].astype(op.dtype.numpy)
    return (args[1] if args[0] else args[2]) if op.name in CHOICES else _NUMPY[op.name](*args)


def fused(a: Scalar, b: Scalar, c: Scalar) -> Scalar:
    """Return a * b + c rounded once, computed with whole numbers."""
    if not np.isfinite(c) and np.isfinite(a) and np.isfinite(b):
        return c  # however large the product is
    if not all(np.isfinite(x) for x in (a, b, c)) or a == 0 or b == 0:
        return a * b + c  # no rounding in the product
    (an, ad), (bn, bd), (cn, cd) = (x.item().as_integer_ratio() for x in (a, b, c))
    top = an * bn * cd + cn * ad * bd
    return _nearest(top, ad * bd * cd, type(a)) if top else type(a)(0.0)


def bfloat16_bits(x: Scalar) -> Scalar:
    """Return the upper half of a float32, rounded to nearest, ties to even: the bits of a bfloat16."""
    bits = int(x.view(np.uint32))
    if np.isnan(x):
        return np.uint16(bits >> 16 | 0x40)
    if not bits & 0x7F800000:  # subnormal, or zero
        return np.uint16(bits >> 16 & 0x8000)
    return np.uint16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)


def dot2(a: Scalar, b: Scalar, total: Scalar) -> Scalar:
    """Return a float32 plus the products of two pairs of bfloat16: first that of the upper halves, then of the lower.

    This is what `vdpbf16ps` does, bit for bit.
    """
    total = _flushed(total)
    for shift in (16, 0):
        x, y = (_flushed(np.uint32((int(pair) >> shift & 0xFFFF) << 16).view(np.float32)) for pair in (a, b))
        total = _flushed(fused(x, y, total))
    return total


def _flushed(x: Scalar) -> Scalar:
    """Replace a subnormal float32 by a zero of its sign."""
    return np.copysign(np.float32(0), x) if abs(x) < np.finfo(np.float32).smallest_normal else x


def _nearest(top: int, bottom: int, type_: Any) -> Scalar:
    """Return the float nearest to top/bottom (bottom is a power of two), ties to even, below the normal range too."""
    sign, top = (-1, -top) if top < 0 else (1, top)
    info = np.finfo(type_)
    exponent = top.bit_length() - bottom.bit_length()  # of the leading bit, as bottom is a power of two
    last = max(exponent - info.nmant, int(info.minexp) - info.nmant)  # weight of the result's last bit
    numerator, denominator = (top, bottom << last) if last >= 0 else (top << -last, bottom)
    units, rest = divmod(numerator, denominator)
    units += 2 * rest > denominator or (2 * rest == denominator and units % 2 == 1)
    return type_(sign) * np.ldexp(type_(units), last)


_NUMPY: dict[str, Callable[..., Scalar]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "abs": np.abs,
    "sqrt": np.sqrt, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint,
    "copysign": np.copysign, "rem": np.fmod, "floordiv": np.floor_divide, "mod": np.mod,
    "min": np.minimum, "max": np.maximum, "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "not": np.invert, "shl": np.left_shift, "ashr": np.right_shift,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip
