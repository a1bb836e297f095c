"""The Matrix Cookbook, sections 2.5 to 2.8, 8.4 and 10.2: traces, norms, structured matrices, Gaussians, vec.

K. B. Petersen and M. S. Pedersen, The Matrix Cookbook, version of November 15, 2012. Numbers are its equations.
A structured matrix is written by its free elements, and its derivative taken with respect to these.
"""

import math

import numpy as np
from cookbook_forms import eq
from identity import kron, power, vec
from numpy import eye, outer, trace
from numpy.linalg import det, inv, norm

import symgrad as sg
from symgrad import linalg as la

FIRST_ORDER = (
    eq("99", "d Tr(X) / dX", "X:nn", lambda X: sg.trace(X), lambda X: eye(4)),
    eq("100", "d Tr(X A) / dX", "X:nm A:mn", lambda X, A: sg.trace(X @ A), lambda X, A: A.T),
    eq("101", "d Tr(A X B) / dX", "X:nm A:kn B:mk", lambda X, A, B: sg.trace(A @ X @ B), lambda X, A, B: A.T @ B.T),
    eq("102", "d Tr(A X^T B) / dX", "X:mn A:kn B:mk", lambda X, A, B: sg.trace(A @ X.T @ B), lambda X, A, B: B @ A),
    eq("103", "d Tr(X^T A) / dX", "X:nm A:nm", lambda X, A: sg.trace(X.T @ A), lambda X, A: A),
    eq("104", "d Tr(A X^T) / dX", "X:nm A:nm", lambda X, A: sg.trace(A @ X.T), lambda X, A: A),
    eq("105", "d Tr(A (x) X) / dX", "X:nn A:mm", lambda X, A: sg.trace(kron(A, X)), lambda X, A: trace(A) * eye(4)),
)  # fmt: skip

SECOND_ORDER = (
    eq("106", "d Tr(X^2) / dX", "X:nn", lambda X: sg.trace(X @ X), lambda X: 2 * X.T),
    eq("107", "d Tr(X^2 B) / dX", "X:nn B:nn", lambda X, B: sg.trace(X @ X @ B), lambda X, B: (X @ B + B @ X).T),
    eq("108", "d Tr(X^T B X) / dX", "X:nm B:nn", lambda X, B: sg.trace(X.T @ B @ X), lambda X, B: B @ X + B.T @ X),
    eq("109", "d Tr(B X X^T) / dX", "X:nm B:nn", lambda X, B: sg.trace(B @ X @ X.T), lambda X, B: B @ X + B.T @ X),
    eq("110", "d Tr(X X^T B) / dX", "X:nm B:nn", lambda X, B: sg.trace(X @ X.T @ B), lambda X, B: B @ X + B.T @ X),
    eq("111", "d Tr(X B X^T) / dX", "X:mn B:nn", lambda X, B: sg.trace(X @ B @ X.T), lambda X, B: X @ B.T + X @ B),
    eq("112", "d Tr(B X^T X) / dX", "X:mn B:nn", lambda X, B: sg.trace(B @ X.T @ X), lambda X, B: X @ B.T + X @ B),
    eq("113", "d Tr(X^T X B) / dX", "X:mn B:nn", lambda X, B: sg.trace(X.T @ X @ B), lambda X, B: X @ B.T + X @ B),
    eq("114", "d Tr(A X B X) / dX", "X:nm A:mn B:mn", lambda X, A, B: sg.trace(A @ X @ B @ X),
      lambda X, A, B: A.T @ X.T @ B.T + B.T @ X.T @ A.T),
    eq("115", "d Tr(X^T X) / dX", "X:nm", lambda X: sg.trace(X.T @ X), lambda X: 2 * X),
    eq("116", "d Tr(B^T X^T C X B) / dX", "X:nm B:mk C:nn", lambda X, B, C: sg.trace(B.T @ X.T @ C @ X @ B),
      lambda X, B, C: C.T @ X @ B @ B.T + C @ X @ B @ B.T),
    eq("117", "d Tr(X^T B X C) / dX", "X:nm B:nn C:mm", lambda X, B, C: sg.trace(X.T @ B @ X @ C),
      lambda X, B, C: B @ X @ C + B.T @ X @ C.T),
    eq("118", "d Tr(A X B X^T C) / dX", "X:nm A:kn B:mm C:nk", lambda X, A, B, C: sg.trace(A @ X @ B @ X.T @ C),
      lambda X, A, B, C: A.T @ C.T @ X @ B.T + C @ A @ X @ B),
    eq("119", "d Tr((A X B + C)(A X B + C)^T) / dX", "X:nm A:pn B:mk C:pk",
      lambda X, A, B, C: sg.trace((A @ X @ B + C) @ (A @ X @ B + C).T),
      lambda X, A, B, C: 2 * A.T @ (A @ X @ B + C) @ B.T),
    eq("120", "d Tr(X (x) X) / dX", "X:nn", lambda X: sg.trace(kron(X, X)), lambda X: 2 * trace(X) * eye(4)),
)  # fmt: skip


def quartic(X, B, C):
    BB = B @ B.T
    return (C @ X @ X.T @ C @ X @ BB + C.T @ X @ BB @ X.T @ C.T @ X
            + C @ X @ BB @ X.T @ C @ X + C.T @ X @ X.T @ C.T @ X @ BB)  # fmt: skip


def ratio(X, A, B, C):
    D = inv(A + X.T @ C @ X)
    return -2 * C @ X @ D @ X.T @ B @ X @ D + 2 * B @ X @ D


def sine(X):
    """Sum the series of the matrix function, whose terms beyond the last are below the rounding of the first."""
    return sum((-1) ** i / math.factorial(2 * i + 1) * power(X, 2 * i + 1) for i in range(6))


def cosine(X):
    values, vectors = np.linalg.eig(X)
    return (vectors @ np.diag(np.cos(values)) @ inv(vectors)).real


OTHER_TRACES = (
    eq("121", "d Tr(X^k) / dX", "X:nn", lambda X: sg.trace(power(X, 5)), lambda X: 5 * power(X, 4).T),
    eq("122", "d Tr(A X^k) / dX", "X:nn A:nn", lambda X, A: sg.trace(A @ power(X, 4)),
      lambda X, A: sum((power(X, r) @ A @ power(X, 3 - r)).T for r in range(4))),
    eq("123", "d Tr(B^T X^T C X X^T C X B) / dX", "X:nm B:mk C:nn",
      lambda X, B, C: sg.trace(B.T @ X.T @ C @ X @ X.T @ C @ X @ B), quartic),
    eq("124", "d Tr(A X^-1 B) / dX", "X:nn! A:mn B:nm", lambda X, A, B: sg.trace(A @ la.solve(X, B)),
      lambda X, A, B: -inv(X).T @ A.T @ B.T @ inv(X).T),
    eq("125", "d Tr((X^T C X)^-1 A) / dX", "X:nk A:kk C:nn+", lambda X, A, C: sg.trace(la.inv(X.T @ C @ X) @ A),
      lambda X, A, C: -C @ X @ inv(X.T @ C @ X) @ (A + A.T) @ inv(X.T @ C @ X)),
    eq("126", "d Tr((X^T C X)^-1 (X^T B X)) / dX", "X:nk B:nn= C:nn+",
      lambda X, B, C: sg.trace(la.inv(X.T @ C @ X) @ (X.T @ B @ X)), lambda X, B, C: ratio(X, np.zeros((2, 2)), B, C)),
    eq("127", "d Tr((A + X^T C X)^-1 (X^T B X)) / dX", "X:nk A:kk+ B:nn= C:nn+",
      lambda X, A, B, C: sg.trace(la.inv(A + X.T @ C @ X) @ (X.T @ B @ X)), ratio),
    eq("128", "d Tr(sin X) / dX", "X:nn0", lambda X: sg.trace(sine(X)), lambda X: cosine(X).T),
)  # fmt: skip

NORMS = (
    eq("129", "d ||x - a|| / dx", "x:n a:n", lambda x, a: la.norm(x - a), lambda x, a: (x - a) / norm(x - a)),
    eq("130", "d ((x - a) / ||x - a||) / dx", "x:n a:n", lambda x, a: (x - a) / la.norm(x - a),
      lambda x, a: eye(4) / norm(x - a) - outer(x - a, x - a) / norm(x - a) ** 3, "jacobian"),
    eq("131", "d ||x||^2 / dx", "x:n", lambda x: la.norm(x) ** 2, lambda x: 2 * x),
    eq("132", "d ||X||_F^2 / dX", "X:nm", lambda X: la.norm(X) ** 2, lambda X: 2 * X),
)  # fmt: skip

# Free elements of a symmetric matrix: its lower triangle, row by row; `WHERE[i, j]` tells which stands at i, j.
ROWS, COLUMNS = np.tril_indices(4)
WHERE = np.zeros((4, 4), "int64")
WHERE[ROWS, COLUMNS] = WHERE[COLUMNS, ROWS] = np.arange(10)
OFFSETS = np.subtract.outer(np.arange(4), np.arange(4))  # i - j


def symmetric(t):
    return sg.take(t, WHERE) + 4 * sg.eye(4, dtype="float64")


def symmetric_value(t):
    return t[WHERE] + 4 * eye(4)


def free(matrix):
    return matrix[ROWS, COLUMNS]


def alpha(A):
    """The sums along the diagonals of A^T, from the lowest to the highest."""
    return np.array([trace(A.T, offset) for offset in range(-3, 4)])


STRUCTURED = (
    eq("137", "d g(U) / dX_ij by the chain rule, g = ln det, U = X^T X", "X:nk", lambda X: la.logdet(X.T @ X),
      lambda X: np.einsum("kl,klij->ij", inv(X.T @ X).T, np.einsum("lj,ik->klij", eye(2), X)
                          + np.einsum("kj,il->klij", eye(2), X))),
    eq("138", "df / dA, A symmetric, f = a^T A^-1 a", "t:t a:n", lambda t, a: a @ la.solve(symmetric(t), a),
      lambda t, a: free(2 * (S := -outer(*[inv(symmetric_value(t)) @ a] * 2)) - np.diag(np.diag(S)))),
    eq("139", "d Tr(A X) / dX, X symmetric", "t:t A:nn", lambda t, A: sg.trace(A @ symmetric(t)),
      lambda t, A: free(A + A.T - A * eye(4))),
    eq("140", "d det(X) / dX, X symmetric", "t:t", lambda t: la.det(symmetric(t)),
      lambda t: free(det(S := symmetric_value(t)) * (2 * inv(S) - inv(S) * eye(4)))),
    eq("141", "d ln det(X) / dX, X symmetric", "t:t", lambda t: la.logdet(symmetric(t)),
      lambda t: free(2 * inv(S := symmetric_value(t)) - inv(S) * eye(4))),
    eq("142", "d Tr(A X) / dX, X diagonal", "x:n A:nn", lambda x, A: sg.trace(A @ (x * sg.eye(4, dtype="float64"))),
      lambda x, A: np.diag(A * eye(4))),
    eq("143", "d Tr(A T) / dT, T Toeplitz", "t:d A:nn", lambda t, A: sg.trace(A @ sg.take(t, 3 - OFFSETS)),
      lambda t, A: alpha(A)),
    eq("144", "d Tr(A T) / dT, T symmetric Toeplitz", "t:n A:nn",
      lambda t, A: sg.trace(A @ sg.take(t, np.abs(OFFSETS))),
      lambda t, A: np.where(np.arange(4) > 0, alpha(A)[3:] + alpha(A)[3::-1], trace(A))),
)  # fmt: skip


def log_density(s, m, S):
    """The logarithm of a Gaussian density, as symbols."""
    return -0.5 * (la.logdet(2 * math.pi * S) + (s - m) @ la.solve(S, s - m))


def density(s, m, S):
    return math.exp(-0.5 * (s - m) @ inv(S) @ (s - m)) / math.sqrt(det(2 * math.pi * S))


def log_mixture(r, s, m, S, q, u, T):
    """r and q weigh the components with means m, u and covariances S, T."""
    return sg.logaddexp(sg.log(r) + log_density(s, m, S), sg.log(q) + log_density(s, u, T))


def share(r, s, m, S, q, u, T):
    mine = r * density(s, m, S)
    return mine / (mine + q * density(s, u, T))


def mixture_covariance(S, s, m, r, q, u, T):
    inner = -inv(S) + inv(S) @ outer(s - m, s - m) @ inv(S)
    return share(r, s, m, S, q, u, T) * inner / 2


REST = "q:> u:n T:nn+"

GAUSSIANS = (
    eq("392", "d ln p(s) / d rho_j, a mixture of Gaussians", f"r:> s:n m:n S:nn+ {REST}", log_mixture,
      lambda *v: share(*v) / v[0]),
    eq("394", "d ln p(s) / d mu_j, a mixture of Gaussians", f"m:n s:n r:> S:nn+ {REST}",
      lambda m, s, r, S, *o: log_mixture(r, s, m, S, *o),
      lambda m, s, r, S, *o: share(r, s, m, S, *o) * inv(S) @ (s - m)),
    eq("396", "d ln p(s) / d Sigma_j, a mixture of Gaussians", f"S:nn+ s:n m:n r:> {REST}",
      lambda S, s, m, r, *o: log_mixture(r, s, m, S, *o), mixture_covariance),
)  # fmt: skip

KRONECKER = (
    eq("516", "d det(A (x) X) / dX from det(A)^n det(X)^m", "X:nn! A:mm!", lambda X, A: la.det(kron(A, X)),
      lambda X, A: 3 * det(A) ** 4 * det(X) ** 3 * inv(X).T),
    eq("520", "d vec(A X B) / dX from (B^T (x) A) vec(X)", "X:nm A:kn B:mp", lambda X, A, B: vec(A @ X @ B),
      lambda X, A, B: np.kron(B.T, A).reshape(12, 3, 4).transpose(0, 2, 1), "jacobian"),
)  # fmt: skip

IDENTITIES = FIRST_ORDER + SECOND_ORDER + OTHER_TRACES + NORMS + STRUCTURED + GAUSSIANS + KRONECKER
