"""The namespace `sg.linalg`: linear algebra under NumPy's names."""

from symgrad.ops.decompositions import cholesky, det, det_sign, inv, logdet, slogdet, solve, triangular_solve
from symgrad.ops.fill import trace
from symgrad.ops.layout import matrix_transpose
from symgrad.ops.linalg import matmul, outer, tensordot
from symgrad.ops.norms import norm

__all__ = [
    "cholesky", "det", "det_sign", "inv", "logdet", "matmul", "matrix_transpose", "norm", "outer", "slogdet", "solve",
    "tensordot", "trace", "triangular_solve",
]  # fmt: skip
