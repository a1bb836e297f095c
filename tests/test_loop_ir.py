"""The loop IR as text: printed, read back, verified; and what its interpreter makes of the corner cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen import meaning
from codegen.ir import OPS, Access, Buffer, Const, Index, Kernel, Let, Load, Name, Op
from codegen.notation import INFIX
from codegen.parse import parse_kernel
from codegen.signature import CHOICES, COMPARISONS, admits, result_dtype
from codegen.text import print_kernel, print_value
from codegen.verify import verify
from symgrad.dtypes import BOOL, FLOAT32, FLOAT64, INT32, INT64, UINT32, DType
from symgrad.errors import CompileError, FormatError
from symgrad.shape import dim

EXAMPLE = """\
# softmax's numerator
# of each row
kernel example(x: in float32[M, N], n: in int64[M], y: inout float32[M, N], s: out bool[]; M, N):
  let half = index(N//2 - 1)
  for i in 0..M by 8 parallel:
    alloc t: float32[2, 32] register
    alloc u: float64[M*N + 1, 3] scratch
    let m = n[i] + 1i64
    local a = -0.0f32
    local k = 0i64
    prefetch x[i + 1, 0]
    for r in 0..2 unroll:
      for v in 0..32 vector(16):
        t[r, v] = fma(x[i, v], 2.5f32, -1e-07f32)
    while (k < index(M - m)) & not(false):
      k = k + 2i64
      let q = k
      u[q, 0] = cast<float64>(x[i, (3*i + q) % N]) / 3.0f64
    for j in i + 1..N by 2:
      if x[i, j] > f32(-inf):
        a = a + exp(x[i, j] - a) * (a - (a - 1.0f32))
      else:
        if a != f32(nan):
          pass
        y[i, j] = select(a < 0.0f32, f32(inf), bitcast<float32>(7u32 >>> 1u32 << 2u32))
    s[] = true
"""


def test_the_printer_writes_what_the_parser_reads():
    kernel = parse_kernel(EXAMPLE)
    verify(kernel)
    assert print_kernel(kernel) == EXAMPLE
    assert parse_kernel(print_kernel(kernel)) == kernel
    assert kernel.comment == ("softmax's numerator", "of each row")
    assert kernel.tasks == (dim("M") + 7) // 8


scalars = st.one_of(
    st.floats(allow_nan=False).map(lambda x: Const(x, FLOAT64)),
    st.floats(width=32, allow_nan=False).map(lambda x: Const(x, FLOAT32)),
    st.integers(-(2**31), 2**31 - 1).map(lambda x: Const(x, INT32)),
    st.integers(0, 2**32 - 1).map(lambda x: Const(x, UINT32)),
    st.booleans().map(lambda x: Const(x, BOOL)),
    st.sampled_from([Const(math.nan, FLOAT32), Index(dim("N") * 2 - 1), Index(3), Load("x", (dim("N") % 7,), FLOAT32)]),
)


@st.composite
def typed_values(draw):
    value = draw(scalars)
    for _ in range(draw(st.integers(0, 6))):
        dtype = INT64 if isinstance(value, Index) else value.dtype
        name = draw(st.sampled_from([name for name in OPS if admits(name, dtype) and name not in ("cast", "bitcast")]))
        if name in CHOICES:
            args = (Op("eq", (value, value), BOOL), value, value)
        else:
            args = (value,) * OPS[name]
            if OPS[name] == 2 and draw(st.booleans()):
                args = (value, Op("cast", (draw(scalars),), dtype))
        value = Op(name, args, result_dtype(name, [BOOL if name in CHOICES else dtype, dtype]))
    return value


@given(typed_values())
def test_every_value_is_read_back_exactly(value):
    kernel = Kernel("k", (Buffer("x", FLOAT32, (7,), Access.IN),), ("N",), (Let("v", value),))
    verify(kernel)
    again = parse_kernel(print_kernel(kernel))
    assert again == kernel
    assert repr(again) == repr(kernel)  # 0.0 == -0.0, but they are two literals


@pytest.mark.parametrize("outer", INFIX)
@pytest.mark.parametrize("inner", INFIX)
def test_operators_nest_as_they_were_built(outer, inner):
    a, b = Name("a", INT32), Name("b", INT32)

    def both(name, left, right):
        return Op(name, (left, right), BOOL if name in COMPARISONS else INT32)

    nested = both(inner, a, b)
    if nested.dtype is BOOL:
        nested = Op("cast", (nested,), INT32)
    value = both(outer, both("sub", nested, a), both(outer if outer not in COMPARISONS else "mul", a, nested))
    text = f"kernel k():\n  let a = 1i32\n  let b = 2i32\n  let v = {print_value(value)}\n"
    assert parse_kernel(text).body[2].value == value


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "no kernel"),
        ("kernel k(x: in float32[3])", 1, "expected ':'"),
        ("kernel k():\n", 1, "without statements"),
        ("kernel k(x: on float32[3]):\n  pass\n", 1, "'on' is no access"),
        ("kernel k(x: in float33[3]):\n  pass\n", 1, "'float33' is no dtype"),
        ("kernel k():\n  let a = 1.5\n", 2, "no literal with a dtype"),
        ("kernel k():\n  let a = 1.5i32\n", 2, "1.5 is no int32"),
        ("kernel k():\n  let a = b\n", 2, "no value is called 'b'"),
        ("kernel k():\n\n  let a = b[0]\n", 3, "no buffer is called 'b'"),
        ("kernel k():\n  let a = cast(1i32)\n", 2, "must be stated"),
        ("kernel k():\n   let a = 1i32\n", 2, "two spaces"),
        ("kernel k():\n    let a = 1i32\n", 2, "too deeply"),
        ("kernel k():\n  for i in 0..4 sideways:\n    pass\n", 2, "'sideways' is no loop tag"),
        ("kernel k():\n  for i in 0..4 vector(x):\n    pass\n", 2, "expected an integer"),
        ("kernel k():\n  for i in 0..4//0:\n    pass\n", 2, "0"),
        ("kernel k():\n  let a = 1i32 ? 2i32\n", 2, "'?' not understood"),
        ("kernel k():\n  let a = 1i32 2i32\n", 2, "unexpected '2'"),
        ("kernel k():\n  let a = f32(pi)\n", 2, "no special"),
        ("kernel k():\n  pass\nkernel l():\n  pass\n", 3, "after the kernel's end"),
        ("kernel k():\n  let a = " + "(" * 3000 + "1i32" + ")" * 3000, 1, "nested too deeply"),
    ],
)
def test_other_text_is_refused_with_its_line(text, line, message):
    with pytest.raises(FormatError) as error:
        parse_kernel(text)
    assert message in str(error.value)
    assert f"(line {line})" in str(error.value)


HEAD = "kernel k(x: in float32[M, N], n: in int64[M], y: out float32[M, N]; M, N):\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("let M = 1i32", "M is already a dim"),
        ("let a = 1i32\nlet a = 1i32", "a is already a let"),
        ("let true = 1i32", "word of the notation"),
        ("let a = x[0]", "x has 2 axes, not 1"),
        ("let a = x[i, 0]", "i is no index in scope"),
        ("let a = 1i32\nlet b = x[a, 0]", "a is no index in scope"),
        ("local a = 1i64\nlet b = x[a, 0]", "a is no index in scope"),
        ("let a = x[-1, 0]", "outside axis 0"),
        ("let a = x[0, N]", "outside axis 1"),
        ("for i in 0..N:\n  let a = x[0, i + N]", "outside axis 1"),
        ("let a = 300u8", "300 is no uint8"),
        ("let a = 1i32 + 1i64", "operands of add differ: int32, int64"),
        ("let a = 2.0f32 * sqrt(x[i, 0])", "i is no index in scope"),
        ("let a = 1i32 / 2i32", "div does not take int32"),
        ("let a = sqrt(2i32)", "sqrt does not take int32"),
        ("let a = min(1i32)", "min takes 2 operands"),
        ("let a = select(1i32, 1i32, 2i32)", "condition of select"),
        ("let a = select(true, 1i32, 2i64)", "select of int32 and int64"),
        ("let a = rarely(1.0f32, 1i32, 2i32)", "the condition of rarely is float32"),
        ("let a = rarely(true, 1i32, 2i64)", "rarely of int32 and int64"),
        ("let a = residue(1i32, 1i32, 1i32)", "residue does not take int32"),
        ("let a = bitcast<float64>(1i32)", "bitcast from int32 to float64"),
        ("let a = add<float64>(1.0f32, 1.0f32)", "add gives float32"),
        ("a = 1i32", "a is no local in scope"),
        ("let a = 1i32\na = 2i32", "a is no local in scope"),
        ("local a = 1i32\na = 2i64", "a is int32, the value int64"),
        ("if true:\n  local a = 1i32\na = 2i32", "a is no local in scope"),
        ("x[0, 0] = 1.0f32", "x is only read"),
        ("y[0, 0] = 1i32", "y is float32, the value int32"),
        ("if 1i32:\n  pass", "the condition is int32"),
        ("for i in 0..N by 0:\n  pass", "a step of 0"),
        ("for i in 0..N unroll:\n  pass", "bounds of an unrolled loop"),
        ("for i in 0..N parallel:\n  pass\nfor j in 0..N parallel:\n  pass", "at most one parallel"),
        ("for i in 0..N:\n  for j in 0..N parallel:\n    pass", "parallel loop is the outermost"),
        ("y[0, 0] = 1.0f32\nfor j in 0..N parallel:\n  pass", "beside the parallel loop"),
        ("for i in 0..N vector(4):\n  for j in 0..N vector(4):\n    pass", "vector loop stands in a vector loop"),
        ("for i in 0..N turn(4):\n  y[i, 0] = x[i, 0]", "does more than copy"),
        ("for i in 0..N turn(4):\n  for j in 0..M vector(4):\n    y[i, j] = x[i, j] + 1.0f32", "does more than copy"),
        ("for i in 0..N turn(4):\n  for j in 0..M vector(8):\n    y[i, j] = x[i, j]", "vector loop with 4 lanes"),
        ("for i in 0..N turn(4):\n  for j in 0..i vector(4):\n    y[i, j] = x[i, j]", "is no square"),
        ("for i in 0..N turn(4):\n  for j in 0..M vector(4):\n    y[i, j] = y[j, i]", "turned in place"),
        ("for i in 0..N vector(4):\n  while true:\n    pass", "while loop stands in a vector loop"),
        ("for i in 0..N vector(4):\n  alloc t: float32[4] register", "local array is declared in a vector loop"),
        ("for i in 0..N vector(4):\n  for j in 0..i:\n    pass", "bound i differs from lane to lane"),
        ("for i in 0..M vector(4):\n  let a = n[i]\n  for j in 0..a:\n    pass", "bound a differs from lane to lane"),
        ("for i in 0..M vector(4):\n  let a = n[i] + 1i64\n  for j in 0..a:\n    pass", "a differs from lane to lane"),
        ("for i in 0..M vector(4):\n  let a = n[i]\n  let b = 2i64 * (a + a)\n  for j in 0..b:\n    pass", "differs"),
        ("for i in 0..M vector(4):\n  y[0, 0] = 1.0f32", "store to one element"),
        ("local s = 0.0f32\nfor i in 0..M vector(4):\n  s = s + 1.0f32", "declared outside the vector loop"),
        ("alloc t: float32[M] register", "shape of a register array is not constant"),
        ("alloc t: int8[4] register\nfor i in 0..4:\n  t[i] = 0i8", "index i of the register array t is not constant"),
        ("alloc t: int8[4, 4] register\nfor i in 0..4 vector(4):\n  t[i, 0] = 0i8", "neighbours on the last axis"),
        ("for i in 0..N vector(4):\n  prefetch y[0, i//2]", "does not move evenly"),
        ("let a = n[0]\nalloc t: float32[a] scratch", "which is no dim"),
        ("if true:\n  alloc t: float32[4] scratch\nalloc t: float32[4] scratch", "another scratch array"),
    ],
)
def test_the_verifier_names_statement_and_fault(body, message):
    kernel = parse_kernel(HEAD + "".join(f"  {line}\n" for line in body.splitlines()))
    with pytest.raises(CompileError) as error:
        verify(kernel)
    assert message in str(error.value)
    assert "(kernel k)" in str(error.value)


def test_values_that_are_out_of_their_dtype_have_no_operation():
    for name in OPS:
        for dtype in DType:
            if not admits(name, dtype) and not dtype.is_float:
                with pytest.raises(CompileError, match=f"{name} does not take {dtype}"):
                    verify(Kernel("k", (), (), (Let("v", Op(name, (Const(0, dtype),) * OPS[name], dtype)),)))


def test_fma_rounds_once():
    generator = np.random.default_rng(0)
    a, b, c = (generator.standard_normal(500).astype(np.float32) for _ in range(3))
    exact = a.astype(np.longdouble) * b + c  # 64 bits hold the product and, for these sizes, the sum
    want = exact.astype(np.float32)
    got = [meaning.fused(*values) for values in zip(a, b, c, strict=True)]
    np.testing.assert_array_equal(got, want)
    tiny = np.float32(1e-30)
    assert meaning.fused(tiny, tiny, np.float32(0)) == 0
    assert np.signbit(meaning.fused(-tiny, tiny, np.float32(0)))
    infinite, nan, two = np.float32(np.inf), np.float32(np.nan), np.float32(2)
    for values in ((infinite, two, two), (two, -infinite, two), (two, two, infinite)):
        assert meaning.fused(*values) == values[0] * values[1] + values[2]
    large = np.float32(1e30)  # its square is no float32, but less than infinite
    assert meaning.fused(large, large, -infinite) == meaning.fused(-large, large, -infinite) == -infinite
    for values in ((nan, two, two), (two, nan, two), (two, two, nan), (np.float32(0), infinite, two)):
        with np.errstate(invalid="ignore"):
            assert np.isnan(meaning.fused(*values))
    assert meaning.fused(np.float32(2.0), np.float32(3.0), np.float32(-6.0)) == 0


def test_the_interpreter_refuses_a_negative_index():
    kernel = parse_kernel("kernel k(x: out float32[4]; N):\n  x[N - 4] = 1.0f32\n")
    with pytest.raises(CompileError, match="negative index"):
        meaning.run(kernel, [np.zeros(4, np.float32)], {"N": 3})
