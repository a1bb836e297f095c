"""The operations of the loop IR on bfloat16: what they mean, and that the processor's instructions do just that."""

import numpy as np
import pytest
from halves import SPECIAL, needs_dot, rounded
from loop_kernels import N, buffer, check, i, load, out, vector

from codegen import meaning
from codegen.emit import emit
from codegen.ir import Const, For, Kernel, Let, Op, Store
from codegen.machine import MACHINES, host, with_dot
from codegen.peak import CHAINS, multiply_adds
from codegen.verify import verify
from symgrad.dtypes import FLOAT32, UINT16, UINT32
from symgrad.errors import CompileError


def operations(lanes):
    """Write both operations: of every float its bits, of every two pairs and a float the sum."""
    x, *pairs = load("x", i), load("a", i, dtype=UINT32), load("b", i, dtype=UINT32)
    body = (
        Store("half", (i,), Op("bf16", (x,), UINT16)),
        Store("sum", (i,), Op("dot2", (*pairs, x), FLOAT32)),
    )
    buffers = (
        buffer("x", N), *(buffer(name, N, dtype=UINT32) for name in "ab"),
        out("half", N, dtype=UINT16), out("sum", N),
    )  # fmt: skip
    loop = vector("i", 0, N, *body, lanes=lanes) if lanes else For("i", 0, N, body)
    return Kernel("operations", buffers, ("N",), (loop,))


def operands(size):
    """Give floats and pairs: special ones, any bits, and numbers near one whose sums must be rounded."""
    draw = np.random.default_rng(0)
    x, a, b = (draw.integers(0, 2**32, size, dtype=np.uint64).astype(np.uint32) for _ in range(3))
    x[: len(SPECIAL)] = np.array(SPECIAL, np.float32).view(np.uint32)
    middle = size // 2
    for pairs in (a, b):
        pairs[middle:] = draw.integers(0x3F00, 0x4000, (size - middle, 2)).astype(np.uint16).view(np.uint32)[:, 0]
    x[middle:] = draw.standard_normal(size - middle).astype(np.float32).view(np.uint32)
    return [x.view(np.float32), a, b, np.zeros(size, np.uint16), np.zeros(size, np.float32)]


@needs_dot
@pytest.mark.parametrize("lanes", [0, 4, 8, 16])
def test_the_instructions_do_what_the_operations_mean(lanes):
    check(operations(lanes), with_dot(host()), operands(1031), {"N": 1031})


def test_a_half_is_the_nearest():
    normal = np.array([v for v in SPECIAL if v == 0 or 2.0**-126 <= abs(v) < np.inf], np.float32)
    halves = np.array([meaning.bfloat16_bits(x) for x in normal])
    assert halves.dtype == np.uint16
    np.testing.assert_array_equal(halves.astype(np.uint32) << 16, rounded(normal).view(np.uint32))
    tie, above = np.array([0x3F808000, 0x3F818000], np.uint32).view(np.float32)
    assert [meaning.bfloat16_bits(x) for x in (tie, above)] == [0x3F80, 0x3F82]
    for special, bits in ((np.inf, 0x7F80), (-np.inf, 0xFF80), (-1e-39, 0x8000), (3.4e38, 0x7F80)):
        assert meaning.bfloat16_bits(np.float32(special)) == bits
    nan = meaning.bfloat16_bits(np.uint32(0xFF800001).view(np.float32))  # its upper half alone would be infinite
    assert nan == 0xFFC0


def test_the_upper_product_is_added_first_and_each_addition_rounds():
    def pair(low, high):
        first, second = (int(meaning.bfloat16_bits(np.float32(x))) for x in (low, high))
        return np.uint32(first | second << 16)

    one = np.float32(1)
    assert meaning.dot2(pair(4096, 4096), pair(-4096, 4096), one) == 0  # 1 + 2**24 has no place for the 1
    assert meaning.dot2(pair(4096, 4096), pair(4096, -4096), one) == 1
    assert meaning.dot2(pair(1e-30, 0), pair(1e-10, 0), np.float32(0)) == 0  # a subnormal result
    assert meaning.dot2(pair(1, 1), pair(0, 0), np.float32(1e-40)) == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Op("bf16", (Const(1.0, FLOAT32),), UINT32), "bf16 of float32 as uint32"),
        (Op("bf16", (Const(1, UINT32),), UINT16), "bf16 of uint32 as uint16"),
        (Op("dot2", (Const(1, UINT32),) * 3, FLOAT32), "dot2 of uint32, uint32, uint32 as float32"),
        (Op("dot2", (Const(1, UINT32),) * 2, FLOAT32), "dot2 of uint32, uint32 as float32"),
    ],
)
def test_the_verifier_knows_their_dtypes(value, message):
    with pytest.raises(CompileError, match=message):
        verify(Kernel("k", (), (), (Let("v", value),)))


@pytest.mark.parametrize("name", ["avx512", "avx2", "neon"])
def test_nothing_is_emitted_for_a_machine_without_the_instruction(name):
    with pytest.raises(CompileError, match=f"(?s)bf16 needs a machine with .*{name}"):
        emit(operations(16), MACHINES[name])


@needs_dot
def test_the_peak_is_measured_with_pairs():
    kernel = multiply_adds(FLOAT32, 16, 2, pairs=True)
    verify(kernel)
    assert emit(kernel, with_dot(host())).count("dpbf16ps") == CHAINS
