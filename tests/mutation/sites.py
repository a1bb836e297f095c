"""Where a bug can be planted: every place in our own source where one token, changed, is a plausible mistake.

In: the source tree. Out: `Site`s in a fixed order: a file, a span of its text, what stands there and what to write
instead, and the kind of mistake. Kinds are mechanical (a sign, a comparison, a dropped condition ...), so that nobody
chooses what will be found. Texts for people (errors, docstrings, names) hold no sites; what only asserts (`assert`,
`zip`'s `strict`) or is drawn from by tests (a row's cases, a rule's examples) none either.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What computes: the calculus and the compiler. What prints, downloads or reports has its golden tests.
FILES = (
    "codegen/*.py", "symgrad/rules/*.py", "symgrad/ops/*.py", "symgrad/nn/*.py", "symgrad/train/loop.py",
    "symgrad/train/rows.py", "symgrad/train/labels.py", "symgrad/train/trainer.py", "symgrad/train/graphs.py",
    *(f"symgrad/{name}.py" for name in (
        "dimension", "division", "interval", "polynomial", "indexing", "shape", "expr", "pattern", "rewrite",
        "simplifier", "reverse", "forward", "batch", "vectorise", "support", "regions", "boundary", "compiled",
        "dtypes", "philox",
    )),
)  # fmt: skip
WITHOUT = {
    "codegen/__init__.py", "codegen/dump.py", "codegen/poison.py", "codegen/text.py", "symgrad/ops/derive.py",
    "symgrad/ops/accuracy.py", "symgrad/ops/generate.py", "symgrad/ops/special_values.py",
}  # fmt: skip
# Keywords with texts for people, and with what tests draw: the operands of a row, the graphs that a rule matches.
NOT_COMPUTED = {"cases", "doc", "examples", "got", "hint", "sub_gradient", "where"}


@dataclass(frozen=True, slots=True)
class Site:
    """A bug to plant: in `file`, the text from `start` to `end` becomes `new`."""

    file: str
    start: int
    end: int
    line: int
    kind: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        """Plant the bug in the text of the file."""
        if text[self.start : self.end] != self.old:
            raise ValueError(f"{self.file} has changed: {self.old!r} does not stand at {self.start}")
        return text[: self.start] + self.new + text[self.end :]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.kind}: {_one_line(self.old)} -> {_one_line(self.new)}"


def _one_line(text: str) -> str:
    short = " ".join(text.split())
    return f"`{short if len(short) < 70 else short[:67] + '...'}`"


def all_sites(root: Path = ROOT) -> list[Site]:
    """List every site of the tree, in the order of files and positions."""
    paths = sorted({path for pattern in FILES for path in root.glob(pattern)})
    files = [p.relative_to(root).as_posix() for p in paths]
    return [s for f in files if f not in WITHOUT for s in _sites_of(f, (root / f).read_text(encoding="utf8"))]


def _sites_of(file: str, text: str) -> list[Site]:
    source = _Source(file, text)
    found = {(s.start, s.end, s.new): s for node in source.nodes() for s in _mutations(node, source)}
    return sorted(found.values(), key=lambda s: (s.start, s.end, s.new))


class _Source:
    """A file's text and tree."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text
        self._lines = [0]
        for line in text.encode().splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._bytes = text.encode()

    def nodes(self) -> Iterator[ast.AST]:
        """Walk what computes: no annotations, no docstrings, no texts of errors."""
        tree = ast.parse(self.text)
        keywords = (node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "examples")
        examples = {node.value.id for node in keywords if isinstance(node.value, ast.Name)}
        todo: list[ast.AST] = [tree]
        while todo:
            node = todo.pop()
            if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
                continue
            if isinstance(node, ast.FunctionDef) and node.name in examples:
                continue
            yield node
            for name, child in ast.iter_fields(node):
                if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
                    continue
                if isinstance(node, ast.keyword) and node.arg in NOT_COMPUTED:
                    continue
                parts = child if isinstance(child, list) else [child]
                if name == "body" and parts and _is_text(parts[0]):
                    parts = parts[1:]
                todo += [p for p in parts if isinstance(p, ast.AST)]

    def offset(self, line: int, column: int) -> int:
        return len(self._bytes[: self._lines[line - 1] + column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self.offset(node.lineno, node.col_offset),  # type: ignore[attr-defined]
            self.offset(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )

    def of(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def site(self, node: ast.AST, kind: str, new: str) -> Site:
        start, end = self.span(node)
        return Site(self.file, start, end, node.lineno, kind, self.text[start:end], new)  # type: ignore[attr-defined]

    def between(self, left: ast.AST, right: ast.AST, kind: str, old: str, new: str) -> Iterator[Site]:
        """Replace the operator that stands between two operands."""
        start, end = self.span(left)[1], self.span(right)[0]
        gap = self.text[start:end]
        at = gap.find(old)
        if at >= 0 and "#" not in gap:
            yield Site(self.file, start + at, start + at + len(old), left.end_lineno or 0, kind, old, new)


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


# -- kinds -------------------------------------------------------------------------------------------------------------

OPERATORS = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.FloorDiv: ("//", "%")}
DIRECTED = {ast.Sub: "-", ast.Div: "/", ast.MatMult: "@", ast.FloorDiv: "//", ast.Mod: "%"}
COMPARISONS = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.In: ("in", "not in"),
}  # fmt: skip
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum",
           "reversed": "list", "sorted": "list"}  # fmt: skip
DROPPED = {"add", "append", "update", "discard", "extend", "remove", "setdefault", "insert"}
# In the text of loop IR and LLVM IR.
TOKENS = (
    ("slt", "sle"), ("ult", "ule"), ("olt", "ult"), ("ogt", "ugt"), ("oge", "uge"), ("une", "one"), ("uno", "ord"),
    ("acquire", "monotonic"), ("release", "monotonic"), ("acq_rel", "monotonic"), ("fadd", "fsub"), ("sext", "zext"),
    ("ashr", "lshr"), ("srem", "urem"), ("sdiv", "udiv"),
)  # fmt: skip


def _mutations(node: ast.AST, source: _Source) -> Iterator[Site]:
    kinds = KINDS.get(type(node))
    if kinds is not None:
        yield from kinds(node, source)


def _binary(node: ast.BinOp, source: _Source) -> Iterator[Site]:
    if any(_is_sequence(side) for side in (node.left, node.right)):
        return
    change = OPERATORS.get(type(node.op))
    if change is not None:
        kind = "sign" if isinstance(node.op, ast.Add | ast.Sub) else "operator"
        yield from source.between(node.left, node.right, kind, *change)
    if type(node.op) in DIRECTED and source.of(node.left) != source.of(node.right):
        new = f"({source.of(node.right)}) {DIRECTED[type(node.op)]} ({source.of(node.left)})"
        yield source.site(node, "swapped operands", new)
    if isinstance(node.op, ast.Add | ast.Sub) and isinstance(node.right, ast.Constant) and node.right.value == 1:
        yield source.site(node, "off by one", source.of(node.left))


def _is_sequence(node: ast.AST) -> bool:
    text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return text or isinstance(node, ast.JoinedStr | ast.List | ast.Tuple | ast.ListComp)


def _compare(node: ast.Compare, source: _Source) -> Iterator[Site]:
    operands = [node.left, *node.comparators]
    for left, operation, right in zip(operands, node.ops, operands[1:], strict=False):
        if type(operation) in COMPARISONS:
            yield from source.between(left, right, "comparison", *COMPARISONS[type(operation)])


def _boolean(node: ast.BoolOp, source: _Source) -> Iterator[Site]:
    for dropped in (0, len(node.values) - 1):
        rest = [f"({source.of(v)})" for k, v in enumerate(node.values) if k != dropped]
        word = " and " if isinstance(node.op, ast.And) else " or "
        yield source.site(node, "condition dropped", f"({word.join(rest)})")


def _unary(node: ast.UnaryOp, source: _Source) -> Iterator[Site]:
    if isinstance(node.op, ast.Not):
        yield source.site(node, "negation dropped", f"({source.of(node.operand)})")
    elif isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
        yield source.site(node, "sign", f"({source.of(node.operand)})")


def _call(node: ast.Call, source: _Source) -> Iterator[Site]:
    if isinstance(node.func, ast.Name) and node.func.id in SWAPPED:
        yield source.site(node.func, "one function for another", SWAPPED[node.func.id])
    two = len(node.args) == 2 and not node.keywords and all(isinstance(a, ast.Name | ast.Attribute) for a in node.args)
    named = isinstance(node.func, ast.Name | ast.Attribute) and "isinstance" not in source.of(node.func)
    if two and named and source.of(node.args[0]) != source.of(node.args[1]):
        first, second = node.args
        gap = source.text[source.span(first)[1] : source.span(second)[0]]
        start, end = source.span(first)[0], source.span(second)[1]
        new = f"{source.of(second)}{gap}{source.of(first)}"
        yield Site(source.file, start, end, first.lineno, "swapped operands", source.text[start:end], new)


def _keyword(node: ast.keyword, source: _Source) -> Iterator[Site]:
    if node.arg in ("axis", "axes") and source.of(node.value) in ("-1", "0", "1", "-2"):
        yield source.site(node.value, "axis", {"-1": "0", "0": "-1", "1": "0", "-2": "-1"}[source.of(node.value)])
    elif node.arg in ("barrier", "guard") and not isinstance(node.value, ast.Constant):
        yield source.site(node.value, "barrier removed", "False")
    elif node.arg != "strict" and isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool):
        yield source.site(node.value, "flag", str(not node.value.value))


def _subscript(node: ast.Subscript, source: _Source) -> Iterator[Site]:
    index = source.of(node.slice)
    other = {"0": "1", "1": "0", "-1": "-2", "2": "1", ":-1": ":", "1:": ":", "-2": "-1", "::-1": "::"}.get(index)
    if other is not None:
        yield source.site(node.slice, "wrong position", other)
    elif isinstance(node.slice, ast.Constant) and node.slice.value in SWAPPED:
        yield source.site(node.slice, "one function for another", repr(SWAPPED[node.slice.value]))


def _statement(node: ast.Expr, source: _Source) -> Iterator[Site]:
    call = node.value
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in DROPPED:
        yield source.site(node, "statement dropped", "pass")


def _augmented(node: ast.AugAssign, source: _Source) -> Iterator[Site]:
    yield source.site(node, "statement dropped", "pass")


def _guard(node: ast.If, source: _Source) -> Iterator[Site]:
    leaves = len(node.body) == 1 and isinstance(node.body[0], ast.Return | ast.Continue | ast.Break | ast.Raise)
    if leaves and not node.orelse:
        yield source.site(node.test, "case dropped", "False")


def _choice(node: ast.IfExp, source: _Source) -> Iterator[Site]:
    yield source.site(node, "case dropped", f"({source.of(node.body)})")
    yield source.site(node, "case dropped", f"({source.of(node.orelse)})")


def _constant(node: ast.Constant, source: _Source) -> Iterator[Site]:
    value, text = node.value, source.of(node)
    if isinstance(value, float) and value not in (0.0, float("inf")):
        yield source.site(node, "constant", repr(value * (1 + 1e-4)))
    elif isinstance(value, str) and node.lineno:
        start, _ = source.span(node)
        for old, new in TOKENS:
            for match in re.finditer(rf"\b{old}\b", text):
                at = start + match.start()
                yield Site(source.file, at, at + len(old), node.lineno, "instruction", old, new)
        if source.file.startswith("symgrad/ops/") and _is_formula(value):
            for match in re.finditer(r" ([+*-]) ", text):
                at = start + match.start(1)
                sign = match[1]
                yield Site(source.file, at, at + 1, node.lineno, "formula", sign, {"+": "-", "-": "+", "*": "+"}[sign])


def _is_formula(text: str) -> bool:
    return bool(re.fullmatch(r"[a-z0-9_ ().,+*/<>=&|~?:-]+", text)) and bool(
        re.search(r"[a-z0-9)] [+*-] [a-z0-9(]", text)
    )


KINDS = {
    ast.BinOp: _binary, ast.Compare: _compare, ast.BoolOp: _boolean, ast.UnaryOp: _unary, ast.Call: _call,
    ast.keyword: _keyword, ast.Subscript: _subscript, ast.Expr: _statement, ast.AugAssign: _augmented, ast.If: _guard,
    ast.IfExp: _choice, ast.Constant: _constant,
}  # fmt: skip
