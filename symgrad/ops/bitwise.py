"""Elementwise rows on the bits of integers, and of bools, where they are the logical ones.

In: nothing; importing this file registers the rows. Out: the rows themselves, which are the public functions, under
the names of the Array API. Nothing here has a derivative. It must not know how a row becomes machine code.

A shift by the width or more, or by a negative distance, gives what shifting bit by bit would: 0, or -1 for a negative
integer shifted right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symgrad.ops.row import Row
from symgrad.ops.scalar import Oracle, Range, scalar

__all__ = [
    "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert", "bitwise_left_shift", "bitwise_right_shift",
]  # fmt: skip

ANY: Range = (-100.0, 100.0)
BYTE: Range = (0.0, 100.0)
DISTANCE: Range = (0.0, 10.0)


def _bits(name: str, oracle: Oracle, latex: str, doc: str, domain: Sequence[Range], commutative: bool = False) -> Row:
    bytes_ = [DISTANCE if span is DISTANCE else BYTE for span in domain]
    return scalar(
        name, oracle, operands="bits", domain=domain, integers=bytes_, derivatives=("0",) * len(domain), smooth=False,
        differentiable=False, commutative=commutative, latex=latex, doc=doc,
    )  # fmt: skip


bitwise_and = _bits("bitwise_and", np.bitwise_and, r"{x} \wedge {y}", "Give the bits set in both.", (ANY, ANY), True)
bitwise_or = _bits("bitwise_or", np.bitwise_or, r"{x} \vee {y}", "Give the bits set in one or both.", (ANY, ANY), True)
bitwise_xor = _bits(
    "bitwise_xor", np.bitwise_xor, r"{x} \oplus {y}", "Give the bits set in exactly one.", (ANY, ANY), True
)
bitwise_invert = _bits("bitwise_invert", np.invert, r"\overline{{x}}", "Give the bits that are not set.", (ANY,))
bitwise_left_shift = _bits(
    "bitwise_left_shift", np.left_shift, r"{x} \ll {y}", "Shift the bits of x left by y, filling with zeros.",
    (ANY, DISTANCE),
)  # fmt: skip
bitwise_right_shift = _bits(
    "bitwise_right_shift", np.right_shift, r"{x} \gg {y}", "Shift the bits of x right by y, copying the sign.",
    (ANY, DISTANCE),
)  # fmt: skip
