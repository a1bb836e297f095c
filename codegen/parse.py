"""Reading of kernels: the text of `codegen.text` back into the loop IR.

In: text. Out: the kernel that was printed, or a FormatError with the number of the line. Only the form is checked here
(every name must be known, for its dtype); what a kernel means is for `codegen.verify`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from codegen.ir import (
    Access,
    Alloc,
    Buffer,
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
    Prefetch,
    Set,
    Space,
    Stmt,
    Store,
    Tag,
    Value,
    While,
)  # fmt: skip
from codegen.notation import BY_SUFFIX, COMPARISON, OPERATORS
from codegen.signature import dtype_of, result_dtype
from codegen.tokens import Line
from symgrad.dtypes import BOOL, DType
from symgrad.errors import FormatError


def parse_kernel(text: str) -> Kernel:
    """Read one kernel.

    Raises FormatError, naming the line, where the text is not a kernel's.

    >>> parse_kernel("kernel zero(y: out float32[4]):\\n  for i in 0..4 unroll:\\n    y[i] = 0.0f32\\n").body[0].var
    'i'
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    comment = tuple(line[1:].removeprefix(" ") for _, line in lines if line.startswith("#"))
    lines = [(number, line) for number, line in lines if not line.startswith("#")]
    if not lines:
        raise FormatError("no kernel in the text", where="line 1")
    try:
        return replace(_Reader(lines).kernel(), comment=comment)
    except RecursionError:
        raise FormatError("the text is nested too deeply", where=f"line {lines[0][0]}") from None


class _Reader:
    """Statements and values; `dtypes` are those of the buffers and names in scope."""

    def __init__(self, lines: list[tuple[int, str]]) -> None:
        self.lines = [Line(number, text) for number, text in lines]
        self.at = 0
        self.buffers: dict[str, DType] = {}
        self.dtypes: dict[str, DType] = {}

    def kernel(self) -> Kernel:
        line = self.lines[0]
        self.at = 1
        line.expect("kernel")
        name = line.word()
        line.expect("(")
        buffers: list[Buffer] = []
        while line.next.text not in (";", ")"):
            if buffers:
                line.expect(",")
            buffers.append(self.buffer(line))
        dims: list[str] = []
        if line.accept(";"):
            dims.append(line.word())
            while line.accept(","):
                dims.append(line.word())
        line.expect(")")
        body = self.block(line)
        if self.at < len(self.lines):
            self.lines[self.at].fail("a line after the kernel's end")
        return Kernel(name, tuple(buffers), tuple(dims), body)

    def buffer(self, line: Line) -> Buffer:
        name = line.word()
        line.expect(":")
        access, dtype = line.choice(Access, "access"), line.choice(DType, "dtype")
        self.buffers[name] = dtype
        return Buffer(name, dtype, line.sizes(), access)

    def block(self, head: Line) -> tuple[Stmt, ...]:
        """Read the deeper lines after a line that ends in a colon."""
        head.expect(":")
        head.end()
        outside = dict(self.buffers), dict(self.dtypes)
        body: list[Stmt] = []
        empty = True
        while self.at < len(self.lines) and self.lines[self.at].depth > head.depth:
            line = self.lines[self.at]
            if line.depth != head.depth + 1:
                line.fail("indented too deeply")
            self.at += 1
            empty = False
            if not (line.accept("pass")):
                body.append(self.statement(line))
            line.end()
        if empty:
            head.fail("a block without statements; write `pass`")
        self.buffers, self.dtypes = outside
        return tuple(body)

    def statement(self, line: Line) -> Stmt:
        word = line.word()
        if word in _STATEMENTS and line.next.text not in ("=", "["):
            return _STATEMENTS[word](self, line)
        if line.next.text == "[":
            index = line.sizes()
            line.expect("=")
            return Store(word, index, self.value(line))
        line.expect("=")
        return Set(word, self.value(line))

    def let(self, line: Line) -> Let:
        name, value = self.binding(line)
        return Let(name, value)

    def local(self, line: Line) -> Local:
        name, value = self.binding(line)
        return Local(name, value)

    def binding(self, line: Line) -> tuple[str, Value]:
        name = line.word()
        line.expect("=")
        value = self.value(line)
        self.dtypes[name] = dtype_of(value)
        return name, value

    def prefetch(self, line: Line) -> Prefetch:
        return Prefetch(line.word(), line.sizes())

    def alloc(self, line: Line) -> Alloc:
        name = line.word()
        line.expect(":")
        dtype = line.choice(DType, "dtype")
        self.buffers[name] = dtype
        return Alloc(name, dtype, line.sizes(), line.choice(Space, "space"))

    def loop(self, line: Line) -> For:
        var = line.word()
        line.expect("in")
        start = line.size()
        line.expect("..")
        stop = line.size()
        step = line.integer() if line.accept("by") else 1
        tag = Tag.SERIAL if line.next.text == ":" else line.choice(Tag, "loop tag")
        if tag.is_wide:
            line.expect("(")
            step = line.integer()
            line.expect(")")
        return For(var, start, stop, self.block(line), step, tag)

    def branch(self, line: Line) -> If:
        cond = self.value(line)
        body = self.block(line)
        following = self.lines[self.at] if self.at < len(self.lines) else None
        if following is None or following.depth != line.depth or not following.accept("else"):
            return If(cond, body)
        self.at += 1
        return If(cond, body, self.block(following))

    def repeat(self, line: Line) -> While:
        cond = self.value(line)
        return While(cond, self.block(line))

    def value(self, line: Line, level: int = COMPARISON) -> Value:
        """Read operators that bind at least as tightly as `level`; they associate to the left."""
        left = self.primary(line)
        while line.next.kind == "sign" and line.next.text in OPERATORS and OPERATORS[line.next.text][1] >= level:
            name, own = OPERATORS[line.take().text]
            right = self.value(line, own + 1)
            left = self.operation(line, name, (left, right), None)
        return left

    def primary(self, line: Line) -> Value:
        if line.accept("("):
            inner = self.value(line)
            line.expect(")")
            return inner
        if line.next.kind == "number" or line.next.text == "-":
            return self.literal(line)
        word = line.word()
        if word in ("true", "false"):
            return Const(word == "true", BOOL)
        if word in BY_SUFFIX and line.next.text == "(":
            return self.special(line, BY_SUFFIX[word])
        if word == "index" and line.accept("("):
            size = line.size()
            line.expect(")")
            return Index(size)
        if line.next.text == "[":
            if word not in self.buffers:
                line.fail(f"no buffer is called {word!r}")
            return Load(word, line.sizes(), self.buffers[word])
        return self.call(line, word)

    def call(self, line: Line, word: str) -> Value:
        """Read a call, or a name where no bracket follows; `<` before a dtype and a bracket is a stated dtype."""
        ahead = [token.text for token in line.tokens[line.at : line.at + 4]]
        stated = ahead[:1] == ["<"] and ahead[1:2] and ahead[1] in set(DType) and ahead[2:] == [">", "("]
        if not stated and line.next.text != "(":
            if word not in self.dtypes:
                line.fail(f"no value is called {word!r}")
            return Name(word, self.dtypes[word])
        dtype = DType(ahead[1]) if stated else None
        line.at += 3 if stated else 0
        line.expect("(")
        arguments: list[Value] = []
        while not line.accept(")"):
            if arguments:
                line.expect(",")
            arguments.append(self.value(line))
        return self.operation(line, word, tuple(arguments), dtype)

    def operation(self, line: Line, name: str, arguments: tuple[Value, ...], dtype: DType | None) -> Op:
        if dtype is None:
            dtype = result_dtype(name, [dtype_of(argument) for argument in arguments])
        if dtype is None:
            line.fail(f"the dtype of {name} must be stated, as in {name}<float32>(...)")
        return Op(name, arguments, dtype)

    def literal(self, line: Line) -> Const:
        negative = line.accept("-")
        token = line.take()
        if token.kind != "number" or token.suffix not in BY_SUFFIX:
            line.fail(f"{token.text + token.suffix!r} is no literal with a dtype, such as 1.5f32")
        dtype = BY_SUFFIX[token.suffix]
        if not dtype.is_float and not token.text.isdigit():
            line.fail(f"{token.text} is no {dtype}")
        number: int | float = float(token.text) if dtype.is_float else int(token.text)
        return Const(-number if negative else number, dtype)

    def special(self, line: Line, dtype: DType) -> Const:
        """Read what follows in f32(inf), f32(-inf) or f32(nan)."""
        line.expect("(")
        negative = line.accept("-")
        word = line.word()
        if word not in ("inf", "nan") or not dtype.is_float:
            line.fail(f"{word!r} is no special {dtype}")
        line.expect(")")
        number = math.inf if word == "inf" else math.nan
        return Const(-number if negative else number, dtype)


_STATEMENTS: dict[str, Callable[[_Reader, Line], Stmt]] = {
    "let": _Reader.let,
    "local": _Reader.local,
    "prefetch": _Reader.prefetch,
    "alloc": _Reader.alloc,
    "for": _Reader.loop,
    "if": _Reader.branch,
    "while": _Reader.repeat,
}
