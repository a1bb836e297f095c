"""What the writer of LLVM IR puts before a loop, and what code of heavy bodies is written once."""

import re

import pytest

import symgrad as sg
from codegen.jit import optimized_ir
from codegen.machine import host
from codegen.writer import Writer

EIGHT = "<8 x float>"
MOVED = [
    "add i64 %a, 1", "fsub double %a, %b", f"fdiv {EIGHT} %a, %b", "icmp slt i64 %a, %b", "fcmp une float %a, %b",
    "select i1 %a, float %b, float %b", "getelementptr float, ptr %a, i64 %b", "zext i1 %a to i8", "lshr i32 %a, 3",
    f"call {EIGHT} @llvm.fma.v8f32({EIGHT} %a, {EIGHT} %b, {EIGHT} %b)", "call i64 @llvm.smin.i64(i64 %a, i64 %b)",
    "call i1 @llvm.vector.reduce.or.v8i1(<8 x i1> %a)", f"insertelement {EIGHT} poison, float %a, i64 0",
]  # fmt: skip
KEPT = [
    "load float, ptr %a", "sdiv i64 %a, %b", "udiv i64 %a, %b", "urem i64 %a, 8", "srem <4 x i32> %a, %b",
    f"call {EIGHT} @llvm.masked.load.v8f32.p0(ptr align 4 %a, <8 x i1> %b, {EIGHT} zeroinitializer)",
    f"call {EIGHT} @llvm.masked.gather.v8f32.v8p0(<8 x ptr> align 4 %a, <8 x i1> %b, {EIGHT} zeroinitializer)",
    "phi i64 [ %a, %entry ], [ %b, %latch ]", "load atomic i64, ptr %a acquire, align 8", "call i64 @other(i64 %a)",
]  # fmt: skip


def lines(out: Writer) -> list[str]:
    """Give the function's lines with the numbers of names taken off."""
    return [re.sub(r"\.\d+", "", line).strip() for line in out.function("f", "", "").splitlines()[2:-1]]


@pytest.mark.parametrize("instruction", MOVED)
def test_what_does_not_change_in_a_loop_stands_before_it_once(instruction):
    out = Writer()
    with out.loop():
        out.effect("loop begins")
        first, second = out.value(instruction), out.value(instruction)
    assert first == second
    assert lines(out) == [f"%t = {instruction}", "loop begins"]


@pytest.mark.parametrize("instruction", KEPT)
def test_what_reads_memory_or_may_trap_stays_where_it_is_asked_for(instruction):
    out = Writer()
    with out.loop():
        out.effect("loop begins")
        assert out.value(instruction) != out.value(instruction)
    assert lines(out)[0] == "loop begins"


def test_a_value_goes_as_far_out_as_its_operands():
    out = Writer()
    with out.loop():
        i = out.value("load i64, ptr %p", "i")
        with out.loop():
            k = out.value("load i64, ptr %p", "k")
            outer = out.value(f"mul i64 {i}, 3", "outer")
            inner = out.value(f"mul i64 {k}, 3", "inner")
            both = out.value(f"add i64 {outer}, {inner}", "both")
            out.value("mul i64 %n, 3", "constant")
            assert [out.depth(v) for v in (i, k, outer, inner, both, "%n", "7")] == [1, 2, 1, 2, 2, 0, 0]
    assert [line.split(" = ")[0] for line in lines(out)] == ["%constant", "%i", "%outer", "%k", "%inner", "%both"]


def test_a_value_before_one_loop_is_not_known_in_the_next():
    out = Writer()
    names = []
    for _ in range(2):
        with out.loop():
            names.append(out.value("add i64 %n, 1"))
            out.effect("loop begins")
    assert len(set(names)) == 2
    assert lines(out) == ["%t = add i64 %n, 1", "loop begins"] * 2


def test_stack_slots_are_known_everywhere():
    out = Writer()
    with out.loop():
        slot = out.slot("[8 x float]", "slot")
        out.effect("loop begins")
        out.value(f"getelementptr float, ptr {slot}, i64 3", "at")
    assert lines(out) == [
        "%slot = alloca [8 x float]", "%at = getelementptr float, ptr %slot, i64 3", "loop begins",
    ]  # fmt: skip


def ir_of(make, *inputs: sg.Expr) -> str:
    return sg.function(list(inputs), make(*inputs)).llvm_ir()


X, W = sg.symbol("x", (sg.dim("N"), 64), dtype="float32"), sg.symbol("w", (64, 96), dtype="float32")


def functions_in(text: str) -> int:
    """Count what lgamma alone has: branches to a block for unusual numbers."""
    return text.count("llvm.expect")


@pytest.mark.parametrize(
    ("make", "copies"),
    [
        (lambda x, w: sg.lgamma(x @ w), 2),  # whole vectors and, where columns end, masked ones
        (lambda x, w: sg.lgamma(x).sum(axis=1), 2),
        (lambda x, w: sg.lgamma(w).sum(axis=0), 2),
        (lambda x, w: sg.lgamma(x).max(axis=1), 2),
    ],
)
def test_a_heavy_function_is_written_once_or_twice(make, copies):
    """Not for every register of a tile or of a sum: LLVM would take seconds."""
    once = functions_in(ir_of(lambda v: sg.lgamma(v), sg.symbol("v", (8,), dtype="float32")))
    assert once > 0
    assert functions_in(ir_of(make, X, W)) <= copies * once


def test_a_heavy_epilogue_leaves_the_sums_in_registers():
    text = ir_of(lambda x, w: sg.lgamma(x @ w), X, W)
    (product,) = (part for part in re.split(r"(?=target triple)", text) if "@product_" in part)
    assert "alloca" in product
    assert "alloca" not in optimized_ir(product, host())
