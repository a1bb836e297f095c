"""One operation of the loop IR as LLVM instructions, on scalars or on vectors alike.

In: the operation's name, the dtypes and the operands as text. Out: the name of the result. Every operation is total:
integer division by zero gives 0 (and a remainder of 0), the one overflowing quotient wraps, shifting by the width or
more gives what shifting bit by bit would; only a cast of a float that the integer type cannot hold gives an unspecified
value. No instruction has a fast-math flag and none becomes a call into a mathematics library.
It must not know where operands come from.
"""

from __future__ import annotations

from collections.abc import Callable

from codegen.machine import Machine
from codegen.writer import TYPES, Writer, mangled, typed
from symgrad.dtypes import BOOL, DType
from symgrad.errors import CompileError

_BINARY: dict[str, dict[str, str]] = {  # name -> kind -> instruction
    "add": {"f": "fadd", "i": "add", "u": "add"},
    "sub": {"f": "fsub", "i": "sub", "u": "sub"},
    "mul": {"f": "fmul", "i": "mul", "u": "mul"},
    "div": {"f": "fdiv"},
    "and": dict.fromkeys("biu", "and"),
    "or": dict.fromkeys("biu", "or"),
    "xor": dict.fromkeys("biu", "xor"),
}
_COMPARE: dict[str, dict[str, str]] = {
    "eq": {"f": "fcmp oeq", "i": "icmp eq", "u": "icmp eq", "b": "icmp eq"},
    "ne": {"f": "fcmp une", "i": "icmp ne", "u": "icmp ne", "b": "icmp ne"},
    "lt": {"f": "fcmp olt", "i": "icmp slt", "u": "icmp ult", "b": "icmp ult"},
    "le": {"f": "fcmp ole", "i": "icmp sle", "u": "icmp ule", "b": "icmp ule"},
    "gt": {"f": "fcmp ogt", "i": "icmp sgt", "u": "icmp ugt", "b": "icmp ugt"},
    "ge": {"f": "fcmp oge", "i": "icmp sge", "u": "icmp uge", "b": "icmp uge"},
}
_INTRINSIC: dict[str, dict[str, str]] = {
    "sqrt": {"f": "sqrt"},
    "floor": {"f": "floor"},
    "ceil": {"f": "ceil"},
    "trunc": {"f": "trunc"},
    "rint": {"f": "roundeven"},
    "copysign": {"f": "copysign"},
    "abs": {"f": "fabs"},
    "min": {"i": "smin", "u": "umin"},
    "max": {"i": "smax", "u": "umax"},
}

Emit = Callable[["Arith", str, DType, list[str]], str]


class Arith:
    """Operations on `lanes` lanes (0: on scalars) for one machine, written to one function."""

    def __init__(self, out: Writer, machine: Machine, lanes: int) -> None:
        self.out, self.machine, self.lanes = out, machine, lanes

    def type_of(self, dtype: DType) -> str:
        """Return the LLVM type of operands of a dtype."""
        return typed(TYPES[dtype], self.lanes)

    def constant(self, number: int, element: str) -> str:
        """Return an integer constant in all lanes."""
        return f"splat ({element} {number})" if self.lanes else str(number)

    def apply(self, name: str, dtype: DType, result: DType, args: list[str]) -> str:
        """Write the operation on operands of `dtype` (of a select: of its two choices) and return its value."""
        type_, kind = self.type_of(dtype), dtype.kind
        if name in _BINARY:
            return self.out.value(f"{_BINARY[name][kind]} {type_} {args[0]}, {args[1]}")
        if name in _COMPARE:
            return self.out.value(f"{_COMPARE[name][kind]} {type_} {args[0]}, {args[1]}")
        if name in _INTRINSIC and kind in _INTRINSIC[name]:
            return self.call(_INTRINSIC[name][kind], dtype, args)
        if name in ("cast", "bitcast"):
            return self.cast(dtype, result, args[0]) if name == "cast" else self.bitcast(dtype, result, args[0])
        return _SPECIAL[name](self, name, dtype, args)

    def call(self, intrinsic: str, dtype: DType, args: list[str], extra: str = "") -> str:
        """Write a call of an LLVM intrinsic whose operands and result have one type."""
        type_ = self.type_of(dtype)
        operands = ", ".join(f"{type_} {arg}" for arg in args) + extra
        return self.out.value(f"call {type_} @llvm.{intrinsic}.{mangled(TYPES[dtype], self.lanes)}({operands})")

    def select(self, cond: str, dtype: DType, yes: str, no: str) -> str:
        """Write a choice by a condition of the same number of lanes."""
        type_ = self.type_of(dtype)
        return self.out.value(f"select {typed('i1', self.lanes)} {cond}, {type_} {yes}, {type_} {no}")

    def cast(self, source: DType, target: DType, arg: str) -> str:
        """Write a conversion of the value."""
        from_type, to_type = self.type_of(source), self.type_of(target)
        if source == target:
            return arg
        if target is BOOL:
            zero = "zeroinitializer" if self.lanes else literal_zero(source)
            return self.out.value(f"{_COMPARE['ne'][source.kind]} {from_type} {arg}, {zero}")
        if source.is_float and not target.is_float:
            # An out-of-range conversion is poison, which would spread; frozen, it is an unspecified number.
            cut = self.out.value(f"{'fptosi' if target.kind == 'i' else 'fptoui'} {from_type} {arg} to {to_type}")
            return self.out.value(f"freeze {to_type} {cut}")
        if target.is_float:
            convert = {"i": "sitofp", "u": "uitofp", "b": "uitofp"}.get(source.kind)
            convert = convert or ("fpext" if target.size > source.size else "fptrunc")
            return self.out.value(f"{convert} {from_type} {arg} to {to_type}")
        if TYPES[source] == TYPES[target]:
            return arg
        widen = "sext" if source.kind == "i" else "zext"
        narrower = source is not BOOL and target.size < source.size
        return self.out.value(f"{'trunc' if narrower else widen} {from_type} {arg} to {to_type}")

    def bitcast(self, source: DType, target: DType, arg: str) -> str:
        """Write a reinterpretation of the bits."""
        if TYPES[source] == TYPES[target]:
            return arg
        return self.out.value(f"bitcast {self.type_of(source)} {arg} to {self.type_of(target)}")


def literal_zero(dtype: DType) -> str:
    """Return zero as LLVM spells it for scalars."""
    return "0.0" if dtype.is_float else "0"


def _fma(a: Arith, name: str, dtype: DType, args: list[str]) -> str:
    if a.machine.has_fma:
        return a.call("fma", dtype, args)
    product = a.apply("mul", dtype, dtype, args[:2])
    return a.apply("add", dtype, dtype, [product, args[2]])


def _residue(a: Arith, name: str, dtype: DType, args: list[str]) -> str:
    """Add, without fma, first the rounded product, then what its rounding lost: the products of Dekker's halves."""
    if a.machine.has_fma:
        return a.call("fma", dtype, args)
    product = a.apply("mul", dtype, dtype, args[:2])
    lost = a.apply("neg", dtype, dtype, [product])
    (head, tail), (other_head, other_tail) = (_halves(a, dtype, arg) for arg in args[:2])
    for left, right in ((head, other_head), (head, other_tail), (tail, other_head), (tail, other_tail)):
        lost = a.apply("add", dtype, dtype, [lost, a.apply("mul", dtype, dtype, [left, right])])
    return a.apply("add", dtype, dtype, [a.apply("add", dtype, dtype, [product, args[2]]), lost])


def _halves(a: Arith, dtype: DType, arg: str) -> tuple[str, str]:
    """Cut a float in two whose products with another's halves are exact (two lower float64 halves': to 53 bits)."""
    whole, low_bits = {8: (DType.INT64, 27), 4: (DType.INT32, 12)}[dtype.size]
    bits = a.bitcast(dtype, whole, arg)
    kept = a.out.value(f"and {a.type_of(whole)} {bits}, {a.constant(-1 << low_bits, TYPES[whole])}")
    head = a.bitcast(whole, dtype, kept)
    return head, a.apply("sub", dtype, dtype, [arg, head])


def _neg(a: Arith, name: str, dtype: DType, args: list[str]) -> str:
    type_ = a.type_of(dtype)
    if dtype.is_float:
        return a.out.value(f"fneg {type_} {args[0]}")
    return a.out.value(f"sub {type_} {a.constant(0, TYPES[dtype])}, {args[0]}")


def _abs(a: Arith, name: str, dtype: DType, args: list[str]) -> str:
    return a.call("abs", dtype, args, ", i1 false")


def _not(a: Arith, name: str, dtype: DType, args: list[str]) -> str:
    return a.out.value(f"xor {a.type_of(dtype)} {args[0]}, {a.constant(-1, TYPES[dtype])}")


def _select(a: Arith, name: str, dtype: DType, args: list[str]) -> str:
    return a.select(args[0], dtype, args[1], args[2])


def _mulhi(a: Arith, name: str, dtype: DType, args: list[str]) -> str:
    bits = 8 * dtype.size
    type_, wide = a.type_of(dtype), typed(f"i{2 * bits}", a.lanes)
    left, right = (a.out.value(f"zext {type_} {arg} to {wide}") for arg in args)
    product = a.out.value(f"mul {wide} {left}, {right}")
    upper = a.out.value(f"lshr {wide} {product}, {a.constant(bits, f'i{2 * bits}')}")
    return a.out.value(f"trunc {wide} {upper} to {type_}")


def _shift(a: Arith, name: str, dtype: DType, args: list[str]) -> str:
    """Shift; LLVM leaves a distance of the width or more undefined, so such a distance is looked at first."""
    type_, element, bits = a.type_of(dtype), TYPES[dtype], 8 * dtype.size
    value, distance = args
    known = distance.removeprefix(f"splat ({element} ").removesuffix(")")
    if known.isdigit() and int(known) < bits:
        return a.out.value(f"{name} {type_} {value}, {distance}")
    fits = a.out.value(f"icmp ult {type_} {distance}, {a.constant(bits, element)}")
    safe = a.select(fits, dtype, distance, a.constant(bits - 1, element))
    shifted = a.out.value(f"{name} {type_} {value}, {safe}")
    return shifted if name == "ashr" else a.select(fits, dtype, shifted, a.constant(0, element))


def _division(a: Arith, name: str, dtype: DType, args: list[str]) -> str:
    """Divide integers: `floordiv` and `mod` towards minus infinity, `rem` towards zero; total by a safe divisor."""
    type_, element = a.type_of(dtype), TYPES[dtype]
    zero, one = a.constant(0, element), a.constant(1, element)
    top, bottom = args[0], a.out.value(f"freeze {type_} {args[1]}")  # a masked-off lane may hold anything
    is_zero = a.out.value(f"icmp eq {type_} {bottom}, {zero}")
    if dtype.kind == "u":
        safe = a.select(is_zero, dtype, one, bottom)
        result = a.out.value(f"{'udiv' if name == 'floordiv' else 'urem'} {type_} {top}, {safe}")
        return a.select(is_zero, dtype, zero, result)
    minus = a.out.value(f"icmp eq {type_} {bottom}, {a.constant(-1, element)}")
    special = a.out.value(f"or {typed('i1', a.lanes)} {is_zero}, {minus}")
    safe = a.select(special, dtype, one, bottom)
    rest = a.out.value(f"srem {type_} {top}, {safe}")  # 0 for the special divisors, as it should be
    if name == "rem":
        return rest
    signs = a.out.value(f"xor {type_} {rest}, {safe}")
    differ = a.out.value(f"icmp slt {type_} {signs}, {zero}")
    uneven = a.out.value(f"icmp ne {type_} {rest}, {zero}")
    wrong = a.out.value(f"and {typed('i1', a.lanes)} {differ}, {uneven}")
    if name == "mod":
        return a.select(wrong, dtype, a.out.value(f"add {type_} {rest}, {safe}"), rest)
    quotient = a.out.value(f"sdiv {type_} {top}, {safe}")
    borrow = a.out.value(f"sext {typed('i1', a.lanes)} {wrong} to {type_}")
    floored = a.out.value(f"add {type_} {quotient}, {borrow}")
    negated = a.out.value(f"sub {type_} {zero}, {top}")
    return a.select(is_zero, dtype, zero, a.select(minus, dtype, negated, floored))


def _bf16(a: Arith, name: str, dtype: DType, args: list[str]) -> str:
    _check_dot(a, name)
    half = a.out.value(f"fptrunc {a.type_of(dtype)} {args[0]} to {typed('bfloat', a.lanes)}")
    return a.out.value(f"bitcast {typed('bfloat', a.lanes)} {half} to {typed('i16', a.lanes)}")


def _dot2(a: Arith, name: str, dtype: DType, args: list[str]) -> str:
    """Write the instruction; a scalar is the first lane of its narrowest vector."""
    _check_dot(a, name)
    lanes = a.lanes or min(_DOT_LANES)
    if lanes not in _DOT_LANES:
        raise CompileError(f"no instruction is a {name} of {lanes} lanes")
    if not a.lanes:
        args = [_first_of(lanes, element, arg, a) for element, arg in zip(("i32", "i32", "float"), args, strict=True)]
    type_, pairs = typed("float", lanes), typed("bfloat", 2 * lanes)
    left, right = (a.out.value(f"bitcast {typed('i32', lanes)} {arg} to {pairs}") for arg in args[:2])
    intrinsic = f"@llvm.x86.avx512bf16.dpbf16ps.{32 * lanes}"
    result = a.out.value(f"call {type_} {intrinsic}({type_} {args[2]}, {pairs} {left}, {pairs} {right})")
    return result if a.lanes else a.out.value(f"extractelement {type_} {result}, i64 0")


_DOT_LANES = (4, 8, 16)


def _first_of(lanes: int, element: str, arg: str, a: Arith) -> str:
    return a.out.value(f"insertelement {typed(element, lanes)} zeroinitializer, {element} {arg}, i64 0")


def _check_dot(a: Arith, name: str) -> None:
    if not a.machine.has_dot:
        raise CompileError(f"{name} needs a machine with bfloat16 dot products", got=a.machine.name)


_SPECIAL: dict[str, Emit] = {
    "fma": _fma, "residue": _residue, "neg": _neg, "abs": _abs, "not": _not, "select": _select, "mulhi": _mulhi,
    "shl": _shift, "lshr": _shift, "ashr": _shift,
    "floordiv": _division, "mod": _division, "rem": _division,
    "bf16": _bf16, "dot2": _dot2,
}  # fmt: skip
