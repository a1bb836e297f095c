"""Values of the loop IR as LLVM values: each node once, whatever shares it.

In: a `Value` and the `Scope` it stands in. Out: a scalar where it is the same in all lanes, else a vector.
A name that is no row of `OPS` for its dtype is a function of `codegen.vecmath`: what it stands for is evaluated in its
place. It must not know statements.
"""

from __future__ import annotations

from codegen.access import Scope, Slot, load
from codegen.address import vector
from codegen.arith import Arith
from codegen.ir import Const, Index, Load, Name, Op, Value
from codegen.signature import admits, children, dtype_of
from codegen.vecmath import MATH
from codegen.writer import TYPES, Val, Writer, literal, typed
from symgrad.dtypes import DType
from symgrad.errors import CompileError, nearest
from symgrad.shape import dim


def evaluate(value: Value, scope: Scope) -> Val:
    """Write what computes a value and return it.

    Nodes are told apart by identity. What depends on memory or on a `Local` is computed anew in each statement.
    """
    return _evaluate(value, {}, scope)


def _evaluate(value: Value, now: dict[int, Val], scope: Scope) -> Val:
    """Compute a value; `now` has the values that are good for this statement only."""
    stack = [value]
    while stack:
        node = stack[-1]
        if _found(node, now, scope) is not None:
            stack.pop()
            continue
        operands = _operands(node, scope)
        missing = [operand for operand in operands if _found(operand, now, scope) is None]
        if missing:
            stack.extend(reversed(missing))
            continue
        stack.pop()
        fleeting = _reads_state(node, scope) or any(id(operand) in now for operand in operands)
        known = [_known(operand, now, scope) for operand in operands]
        if isinstance(node, Op) and node.name == "rarely":
            result, also = _rarely(node, known, now, scope)
            fleeting |= also
        else:
            result = _compute(node, known, scope)
        if fleeting:
            now[id(node)] = result
        else:
            scope.memo[id(node)] = (node, result)
    return _known(value, now, scope)


def as_vector(value: Val, dtype: DType, scope: Scope) -> str:
    """Return a value in every lane of the vector loop around, or the scalar outside."""
    return scope.out.splat(value, TYPES[dtype], scope.lanes)


def _found(node: Value, now: dict[int, Val], scope: Scope) -> Val | None:
    if id(node) in now:
        return now[id(node)]
    entry = scope.memo.get(id(node))
    return entry[1] if entry else None


def _known(node: Value, now: dict[int, Val], scope: Scope) -> Val:
    found = _found(node, now, scope)
    assert found is not None
    return found


def _reads_state(node: Value, scope: Scope) -> bool:
    return isinstance(node, Load) or (isinstance(node, Name) and isinstance(scope.names.get(node.name), Slot))


def _operands(node: Value, scope: Scope) -> tuple[Value, ...]:
    """Return what a node is computed from first; for a function, its definition on these arguments."""
    if isinstance(node, Op) and node.name == "rarely":
        cond, _, usual = node.args
        return cond, usual
    if not isinstance(node, Op) or _is_row(node):
        return children(node)
    if id(node) not in scope.functions:
        function = MATH.get((node.name, node.dtype))
        if function is None:
            known = [name for name, dtype in MATH if dtype == node.dtype]
            raise CompileError(f"no operation {node.name} for {node.dtype}", hint=nearest(node.name, known))
        scope.functions[id(node)] = (node, function(*node.args))
    return (scope.functions[id(node)][1],)


def _is_row(node: Op) -> bool:
    return admits(node.name, dtype_of(node.args[0]))


def _compute(node: Value, operands: list[Val], scope: Scope) -> Val:
    match node:
        case Const(value, dtype):
            return Val(literal(value, dtype))
        case Index(size):
            return vector(scope.indices.resolved(size), scope.indices, scope.out)
        case Load(buffer, index, _):
            return load(scope.arrays[buffer], index, scope)
        case Name(name, dtype):
            return _named(name, dtype, scope)
        case Op():
            return _operation(node, operands, scope) if _is_row(node) else operands[0]


def _named(name: str, dtype: DType, scope: Scope) -> Val:
    meaning = scope.names.get(name)
    if meaning is None:  # bound to an index
        return vector(scope.indices.resolved(dim(name)), scope.indices, scope.out)
    if isinstance(meaning, Slot):
        return Val(scope.out.value(f"load {typed(TYPES[dtype], meaning.lanes)}, ptr {meaning.pointer}"), meaning.lanes)
    return meaning


def _operation(node: Op, operands: list[Val], scope: Scope) -> Val:
    lanes = max(operand.lanes for operand in operands)
    dtypes = [dtype_of(argument) for argument in node.args]
    texts = [scope.out.splat(value, TYPES[dtype], lanes) for value, dtype in zip(operands, dtypes, strict=True)]
    text = Arith(scope.out, scope.machine, lanes).apply(node.name, dtypes[-1], node.dtype, texts)
    return Val(text, lanes)


def _rarely(node: Op, known: list[Val], now: dict[int, Val], scope: Scope) -> tuple[Val, bool]:
    """Write a block for the unusual operand that is jumped over where no lane wants it; tell whether it reads state.

    What is computed inside is known only there, where everything computed before is known too.
    """
    out, (cond, usual) = scope.out, known
    rare, common, done = (out.label(part) for part in ("rare", "common", "either"))
    out.branch(_expected(_any(cond, out), out), rare, common)
    out.open(rare)
    inside, inner = dict(now), scope.child()
    unusual = _evaluate(node.args[1], inside, inner)
    element, lanes = TYPES[node.dtype], max(cond.lanes, unusual.lanes, usual.lanes)
    text = out.splat(unusual, element, lanes)
    if cond.lanes:
        text = Arith(out, scope.machine, lanes).select(cond.text, node.dtype, text, out.splat(usual, element, lanes))
    from_rare = (text, out.block)
    out.jump(done)
    out.open(common)
    from_common = (out.splat(usual, element, lanes), common)
    out.jump(done)
    out.open(done)
    return Val(out.phi(typed(element, lanes), "either", from_rare, from_common), lanes), id(node.args[1]) in inside


def _any(cond: Val, out: Writer) -> str:
    """Return whether a condition holds in any lane."""
    if not cond.lanes:
        return cond.text
    return out.value(f"call i1 @llvm.vector.reduce.or.v{cond.lanes}i1(<{cond.lanes} x i1> {cond.text})", "any")


def _expected(cond: str, out: Writer) -> str:
    """Return a condition that LLVM takes for false when it places blocks and registers."""
    return out.value(f"call i1 @llvm.expect.i1(i1 {cond}, i1 false)")
