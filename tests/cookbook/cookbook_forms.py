"""The Matrix Cookbook, sections 2 to 2.4: rules, determinants, inverses, vector and scalar forms, gradient and Hessian.

K. B. Petersen and M. S. Pedersen, The Matrix Cookbook, version of November 15, 2012. Numbers are its equations.
Where it states a rule for differentials, the matrices are functions of a scalar x here, lines through A with slope B.
"""

import numpy as np
from identity import Identity, kron, power
from numpy import eye, outer, trace
from numpy.linalg import det, inv, pinv

import symgrad as sg
from symgrad import linalg as la


def eq(cite, *fields):
    return Identity(f"Cookbook ({cite})", *fields)


LINES = "x: A:nn B:nn C:nn D:nn"  # X = A + x B, Y = C + x D
INVERTIBLE = "x: A:nn! B:nn"


def adj(x):
    """The transposed matrix of cofactors, by its definition."""
    n = len(x)
    minors = [[det(np.delete(np.delete(x, j, 0), i, 1)) for j in range(n)] for i in range(n)]
    return np.array(minors) * (-1.0) ** np.add.outer(range(n), range(n))


def delta(n):
    """Single-entry matrices J of n x n: axes k, l of the matrix, then i, j of the entry."""
    return np.einsum("ki,lj->klij", eye(n), eye(n))


RULES = (
    eq("34", "d(a X) = a dX", "x: A:nn B:nn a:", lambda x, A, B, a: a * (A + x * B), lambda x, A, B, a: a * B,
      "jacobian"),
    eq("35", "d(X + Y) = dX + dY", LINES, lambda x, A, B, C, D: (A + x * B) + (C + x * D), lambda x, A, B, C, D: B + D,
      "jacobian"),
    eq("36", "d Tr(X) = Tr(dX)", "x: A:nn B:nn", lambda x, A, B: sg.trace(A + x * B), lambda x, A, B: trace(B)),
    eq("37", "d(X Y) = dX Y + X dY", LINES, lambda x, A, B, C, D: (A + x * B) @ (C + x * D),
      lambda x, A, B, C, D: B @ (C + x * D) + (A + x * B) @ D, "jacobian"),
    eq("38", "d(X o Y) = dX o Y + X o dY", LINES, lambda x, A, B, C, D: (A + x * B) * (C + x * D),
      lambda x, A, B, C, D: B * (C + x * D) + (A + x * B) * D, "jacobian"),
    eq("39", "d(X (x) Y) = dX (x) Y + X (x) dY", LINES, lambda x, A, B, C, D: kron(A + x * B, C + x * D),
      lambda x, A, B, C, D: np.kron(B, C + x * D) + np.kron(A + x * B, D), "jacobian"),
    eq("40", "d X^-1 = -X^-1 dX X^-1", INVERTIBLE, lambda x, A, B: la.inv(A + x * B),
      lambda x, A, B: -inv(A + x * B) @ B @ inv(A + x * B), "jacobian"),
    eq("41", "d det X = Tr(adj(X) dX)", INVERTIBLE, lambda x, A, B: la.det(A + x * B),
      lambda x, A, B: trace(adj(A + x * B) @ B)),
    eq("42", "d det X = det X Tr(X^-1 dX)", INVERTIBLE, lambda x, A, B: la.det(A + x * B),
      lambda x, A, B: det(A + x * B) * trace(inv(A + x * B) @ B)),
    eq("43", "d ln det X = Tr(X^-1 dX)", INVERTIBLE, lambda x, A, B: sg.log(la.det(A + x * B)),
      lambda x, A, B: trace(inv(A + x * B) @ B)),
    eq("44", "d X^T = (dX)^T", "x: A:nm B:nm", lambda x, A, B: (A + x * B).T, lambda x, A, B: B.T, "jacobian"),
)  # fmt: skip

CURVE = "x: A:nn! B:nn C:nn"  # Y = A + x B + x^2 C


def curve(x, A, B, C):
    return A + x * B + x * x * C


def second_derivative(x, A, B, C):
    Y, slope, bend = curve(x, A, B, C), B + 2 * x * C, 2 * C
    step = inv(Y) @ slope
    return det(Y) * (trace(inv(Y) @ bend) + trace(step) ** 2 - trace(step @ step))


DETERMINANTS = (
    eq("46", "d det(Y) / dx", CURVE, lambda *v: la.det(curve(*v)),
      lambda x, A, B, C: det(curve(x, A, B, C)) * trace(inv(curve(x, A, B, C)) @ (B + 2 * x * C))),
    eq("47 and 50", "sum_k d det(X) / dX_ik X_jk", "X:nn", lambda X: la.det(X), lambda X: det(X) * eye(4),
      "grad @ X.T"),
    eq("48", "d^2 det(Y) / dx^2", CURVE, lambda *v: la.det(curve(*v)), second_derivative, "hessian"),
    eq("49", "d det(X) / dX", "X:nn", lambda X: la.det(X), lambda X: det(X) * inv(X).T),
    eq("51", "d det(A X B) / dX", "X:nn! A:nn B:nn", lambda X, A, B: la.det(A @ X @ B),
      lambda X, A, B: det(A @ X @ B) * inv(X).T),
    eq("52", "d det(X^T A X) / dX, X square", "X:nn! A:nn", lambda X, A: la.det(X.T @ A @ X),
      lambda X, A: 2 * det(X.T @ A @ X) * inv(X).T),
    eq("53", "d det(X^T A X) / dX, A symmetric", "X:nk A:nn+", lambda X, A: la.det(X.T @ A @ X),
      lambda X, A: 2 * det(X.T @ A @ X) * A @ X @ inv(X.T @ A @ X)),
    eq("54", "d det(X^T A X) / dX", "X:nk A:nn!", lambda X, A: la.det(X.T @ A @ X),
      lambda X, A: det(X.T @ A @ X) * (A @ X @ inv(X.T @ A @ X) + A.T @ X @ inv(X.T @ A.T @ X))),
    eq("55", "d ln det(X^T X) / dX", "X:nk", lambda X: la.logdet(X.T @ X), lambda X: 2 * pinv(X).T),
    eq("56", "d ln det(X^T X) / dX^+", "P:kn", lambda P: la.logdet((P.T @ la.inv(P @ P.T)).T @ P.T @ la.inv(P @ P.T)),
      lambda P: -2 * pinv(P).T),
    eq("57", "d ln |det X| / dX", "X:nn", lambda X: la.logdet(X), lambda X: inv(X).T),
    eq("58", "d det(X^k) / dX", "X:nn!", lambda X: la.det(power(X, 3)), lambda X: 3 * det(power(X, 3)) * inv(X).T),
)  # fmt: skip

INVERSES = (
    eq("59", "d Y^-1 / dx", CURVE, lambda *v: la.inv(curve(*v)),
      lambda x, A, B, C: -inv(curve(x, A, B, C)) @ (B + 2 * x * C) @ inv(curve(x, A, B, C)), "jacobian"),
    eq("60", "d (X^-1)_kl / dX_ij", "X:nn!", lambda X: la.inv(X), lambda X: -np.einsum("ki,jl->klij", inv(X), inv(X)),
      "jacobian"),
    eq("61", "d a^T X^-1 b / dX", "X:nn! a:n b:n", lambda X, a, b: a @ la.inv(X) @ b,
      lambda X, a, b: -inv(X).T @ outer(a, b) @ inv(X).T),
    eq("61", "d a^T X^-1 b / dX, by solving", "X:nn! a:n b:n", lambda X, a, b: a @ la.solve(X, b),
      lambda X, a, b: -inv(X).T @ outer(a, b) @ inv(X).T),
    eq("62", "d det(X^-1) / dX", "X:nn!", lambda X: la.det(la.inv(X)), lambda X: -det(inv(X)) * inv(X).T),
    eq("63", "d Tr(A X^-1 B) / dX", "X:nn! A:mn B:nm", lambda X, A, B: sg.trace(A @ la.inv(X) @ B),
      lambda X, A, B: -(inv(X) @ B @ A @ inv(X)).T),
    eq("64", "d Tr((X + A)^-1) / dX", "X:nn! A:nn", lambda X, A: sg.trace(la.inv(X + A)),
      lambda X, A: -(inv(X + A) @ inv(X + A)).T),
)  # fmt: skip

FIRST_ORDER = (
    eq("69", "d x^T a / dx", "x:n a:n", lambda x, a: x @ a, lambda x, a: a),
    eq("70", "d a^T X b / dX", "X:nm a:n b:m", lambda X, a, b: a @ X @ b, lambda X, a, b: outer(a, b)),
    eq("71", "d a^T X^T b / dX", "X:mn a:n b:m", lambda X, a, b: a @ X.T @ b, lambda X, a, b: outer(b, a)),
    eq("72", "d a^T X a / dX", "X:nn a:n", lambda X, a: a @ X @ a, lambda X, a: outer(a, a)),
    eq("73", "d X / dX_ij", "X:nn", lambda X: X * 1, lambda X: delta(4), "jacobian"),
    eq("74", "d (X A)_ij / dX_mn", "X:nn A:nm", lambda X, A: X @ A,
      lambda X, A: np.einsum("im,nj->ijmn", eye(4), A), "jacobian"),
    eq("75", "d (X^T A)_ij / dX_mn", "X:nn A:nm", lambda X, A: X.T @ A,
      lambda X, A: np.einsum("in,mj->ijmn", eye(4), A), "jacobian"),
)  # fmt: skip

RESIDUAL = "x:n A:nm s:m W:nn="

SECOND_ORDER = (
    eq("76", "d sum_klmn X_kl X_mn / dX_ij", "X:nm", lambda X: sg.einsum("kl,mn->", X, X),
      lambda X: 2 * X.sum() * np.ones((4, 3))),
    eq("77", "d b^T X^T X c / dX", "X:nm b:m c:m", lambda X, b, c: b @ X.T @ X @ c,
      lambda X, b, c: X @ (outer(b, c) + outer(c, b))),
    eq("78", "d (B x + b)^T C (D x + d) / dx", "x:n B:mn b:m C:mk D:kn d:k",
      lambda x, B, b, C, D, d: (B @ x + b) @ C @ (D @ x + d),
      lambda x, B, b, C, D, d: B.T @ C @ (D @ x + d) + D.T @ C.T @ (B @ x + b)),
    eq("79", "d (X^T B X)_kl / dX_ij", "X:nm B:nn", lambda X, B: X.T @ B @ X,
      lambda X, B: np.einsum("lj,ki->klij", eye(3), X.T @ B) + np.einsum("kj,il->klij", eye(3), B @ X), "jacobian"),
    eq("80", "d (X^T B X) / dX_ij", "X:nn B:nn", lambda X, B: X.T @ B @ X,
      lambda X, B: np.einsum("kr,rlij->klij", X.T @ B, delta(4)) + np.einsum("krji,rl->klij", delta(4), B @ X),
      "jacobian"),
    eq("81", "d x^T B x / dx", "x:n B:nn", lambda x, B: x @ B @ x, lambda x, B: (B + B.T) @ x),
    eq("82", "d b^T X^T D X c / dX", "X:nm b:m c:m D:nn", lambda X, b, c, D: b @ X.T @ D @ X @ c,
      lambda X, b, c, D: D.T @ X @ outer(b, c) + D @ X @ outer(c, b)),
    eq("83", "d (X b + c)^T D (X b + c) / dX", "X:nm b:m c:n D:nn", lambda X, b, c, D: (X @ b + c) @ D @ (X @ b + c),
      lambda X, b, c, D: (D + D.T) @ outer(X @ b + c, b)),
    eq("84", "d (x - A s)^T W (x - A s) / ds", "s:m A:nm x:n W:nn=", lambda s, A, x, W: (x - A @ s) @ W @ (x - A @ s),
      lambda s, A, x, W: -2 * A.T @ W @ (x - A @ s)),
    eq("85", "d (x - s)^T W (x - s) / dx", "x:n s:n W:nn=", lambda x, s, W: (x - s) @ W @ (x - s),
      lambda x, s, W: 2 * W @ (x - s)),
    eq("86", "d (x - s)^T W (x - s) / ds", "s:n x:n W:nn=", lambda s, x, W: (x - s) @ W @ (x - s),
      lambda s, x, W: -2 * W @ (x - s)),
    eq("87", "d (x - A s)^T W (x - A s) / dx", RESIDUAL, lambda x, A, s, W: (x - A @ s) @ W @ (x - A @ s),
      lambda x, A, s, W: 2 * W @ (x - A @ s)),
    eq("88", "d (x - A s)^T W (x - A s) / dA", "A:nm x:n s:m W:nn=", lambda A, x, s, W: (x - A @ s) @ W @ (x - A @ s),
      lambda A, x, s, W: -2 * W @ outer(x - A @ s, s)),
)  # fmt: skip


def power_jacobian(X, n=3):
    return sum(np.einsum("ki,jl->klij", power(X, r), power(X, n - 1 - r)) for r in range(n))


def power_form(X, a, b, n=3):
    return sum(power(X, r).T @ outer(a, b) @ power(X, n - 1 - r).T for r in range(n))


def square_power_form(X, a, b, n=3):
    """The first of the two terms is the transpose of the printed one, which has rows and columns exchanged."""
    P = power(X, n)
    terms = (power(X, r).T @ (P @ outer(b, a) + P @ outer(a, b)) @ power(X, n - 1 - r).T for r in range(n))
    return sum(terms)


def rayleigh(x, A, B):
    a, b = x @ A.T @ A @ x, x @ B.T @ B @ x
    return 2 * A.T @ A @ x / b - 2 * a * B.T @ B @ x / b**2


HIGHER_ORDER = (
    eq("90", "d (X^n)_kl / dX_ij", "X:nn", lambda X: power(X, 3), power_jacobian, "jacobian"),
    eq("91", "d a^T X^n b / dX", "X:nn a:n b:n", lambda X, a, b: a @ power(X, 3) @ b, power_form),
    eq("92", "d a^T (X^n)^T X^n b / dX", "X:nn a:n b:n", lambda X, a, b: a @ power(X, 3).T @ power(X, 3) @ b,
      square_power_form),
    eq("93", "d s^T A r / dx, s = sin x, r = x o x", "x:n A:nn", lambda x, A: sg.sin(x) @ A @ (x * x),
      lambda x, A: np.diag(np.cos(x)).T @ A @ (x * x) + np.diag(2 * x).T @ A.T @ np.sin(x)),
    eq("95", "d (A x)^T (A x) / (B x)^T (B x) / dx", "x:n A:mn B:nn!",
      lambda x, A, B: (A @ x) @ (A @ x) / ((B @ x) @ (B @ x)), rayleigh),
    eq("97", "d (x^T A x + b^T x) / dx", "x:n A:nn b:n", lambda x, A, b: x @ A @ x + b @ x,
      lambda x, A, b: (A + A.T) @ x + b),
    eq("98", "d^2 (x^T A x + b^T x) / dx dx^T", "x:n A:nn b:n", lambda x, A, b: x @ A @ x + b @ x,
      lambda x, A, b: A + A.T, "hessian"),
)  # fmt: skip

IDENTITIES = RULES + DETERMINANTS + INVERSES + FIRST_ORDER + SECOND_ORDER + HIGHER_ORDER
