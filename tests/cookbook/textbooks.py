"""Identities of other texts on matrix calculus, and of statistics and learning; cited by section, for want of numbers.

- Magnus and Neudecker, Matrix Differential Calculus with Applications in Statistics and Econometrics.
- Minka, Old and New Matrix Algebra Useful for Statistics.
- Giles, An extended collection of matrix derivative results for forward and reverse mode algorithmic differentiation.
- Murray, Differentiation of the Cholesky decomposition (arXiv:1602.07527).
- Laue, Mitterreiter and Giesen, Computing higher order derivatives of matrix and tensor expressions (NeurIPS 2018).
- Boyd and Vandenberghe, Convex Optimization; Bishop, Pattern Recognition and Machine Learning.
- Those without a citation follow from the quotient and chain rules, and stand here for the operators that they use.

A text that gives adjoints or differentials is tested with the cotangent G of a matrix, that is with the function
sum(G o F(X)), or with Jacobians.
"""

import numpy as np
from identity import Identity, kron, vec
from numpy import diag, exp, eye, log, outer, trace
from numpy.linalg import cholesky, det, inv, norm

import symgrad as sg
from symgrad import linalg as la

COMMUTATION = np.einsum("il,jk->ijkl", eye(3), eye(4)).transpose(1, 0, 3, 2)  # d (X^T)_ji / d X_kl, as [j, i, k, l]


def against(G, F):
    """Pair a function with the cotangent of its result."""
    return sg.sum(G * F)


def phi(x):
    """Take the lower triangle with half of the diagonal."""
    return np.tril(x) - diag(diag(x)) / 2


def symmetrised(x):
    return (x + x.T) / 2


GILES = (
    Identity("Giles, section 2.1, multiplication", "A' from C = A B", "A:nm B:mk G:nk",
             lambda A, B, G: against(G, A @ B), lambda A, B, G: G @ B.T),
    Identity("Giles, section 2.1, multiplication", "B' from C = A B", "B:mk A:nm G:nk",
             lambda B, A, G: against(G, A @ B), lambda B, A, G: A.T @ G),
    Identity("Giles, section 2.2, inverse", "A' from C = A^-1", "A:nn! G:nn",
             lambda A, G: against(G, la.inv(A)), lambda A, G: -inv(A).T @ G @ inv(A).T),
    Identity("Giles, section 2.2, determinant", "A' from C = det A", "A:nn! g:", lambda A, g: g * la.det(A),
             lambda A, g: g * det(A) * inv(A).T),
    Identity("Giles, matrix inverse product", "A' from C = A^-1 B", "A:nn! B:nk G:nk",
             lambda A, B, G: against(G, la.solve(A, B)), lambda A, B, G: -inv(A).T @ G @ (inv(A) @ B).T),
    Identity("Giles, matrix inverse product", "B' from C = A^-1 B", "B:nk A:nn! G:nk",
             lambda B, A, G: against(G, la.solve(A, B)), lambda B, A, G: inv(A).T @ G),
    Identity("Giles, first quadratic form", "A' from C = B^T A B", "A:nn B:nk G:kk",
             lambda A, B, G: against(G, B.T @ A @ B), lambda A, B, G: B @ G @ B.T),
    Identity("Giles, first quadratic form", "B' from C = B^T A B", "B:nk A:nn G:kk",
             lambda B, A, G: against(G, B.T @ A @ B), lambda B, A, G: A @ B @ G.T + A.T @ B @ G),
    Identity("Giles, second quadratic form", "A' from C = B^T A^-1 B", "A:nn! B:nk G:kk",
             lambda A, B, G: against(G, B.T @ la.solve(A, B)),
             lambda A, B, G: -inv(A).T @ B @ G @ B.T @ inv(A).T),
    Identity("Giles, second quadratic form", "B' from C = B^T A^-1 B", "B:nk A:nn! G:kk",
             lambda B, A, G: against(G, B.T @ la.solve(A, B)),
             lambda B, A, G: inv(A) @ B @ G.T + inv(A).T @ B @ G),
    Identity("Giles, Cholesky factorisation", "A' from L L^T = A", "A:nn+ G:nn",
             lambda A, G: against(G, la.cholesky(A)),
             lambda A, G: symmetrised(inv(L := cholesky(A)).T @ phi(L.T @ G) @ inv(L))),
    Identity("Murray 2016, section 3", "dL = L Phi(L^-1 dA L^-T)", "x: A:nn+ B:nn=",
             lambda x, A, B: la.cholesky(A + 0.1 * x * B),
             lambda x, A, B: 0.1 * (L := cholesky(A + 0.1 * x * B)) @ phi(inv(L) @ B @ inv(L).T), "jacobian"),
    Identity("Giles, matrix inverse product, triangular", "L' from C = L^-1 B", "L:nnl B:nk G:nk",
             lambda L, B, G: against(G, la.triangular_solve(L, B)),
             lambda L, B, G: -np.tril(inv(L).T @ G @ (inv(L) @ B).T)),
    Identity("Giles, Cholesky and log-determinant", "A' from sum ln diag L, L L^T = A", "A:nn+",
             lambda A: sg.sum(sg.log(sg.diagonal(la.cholesky(A)))), lambda A: inv(A) / 2),
)  # fmt: skip

MAGNUS_NEUDECKER = (
    Identity("Magnus and Neudecker, chapter 9, D vec X^T = K", "D X^T", "X:mn", lambda X: X.T, lambda X: COMMUTATION,
             "jacobian"),
    Identity("Magnus and Neudecker, chapter 9, scalar functions of a matrix", "D a^T X X^T a", "X:nm a:n",
             lambda X, a: a @ X @ X.T @ a, lambda X, a: 2 * outer(a, a) @ X),
    Identity("Magnus and Neudecker, chapter 9, determinant", "D det(X X^T)", "X:kn", lambda X: la.det(X @ X.T),
             lambda X: 2 * det(X @ X.T) * inv(X @ X.T) @ X),
    Identity("Magnus and Neudecker, chapter 9, determinant", "D ln det(X^2)", "X:nn!", lambda X: la.logdet(X @ X),
             lambda X: 2 * inv(X).T),
    Identity("Magnus and Neudecker, chapter 9, matrix functions", "D (X X^T)", "X:nm", lambda X: X @ X.T,
             lambda X: np.einsum("ki,lj->klij", eye(4), X) + np.einsum("li,kj->klij", eye(4), X), "jacobian"),
    Identity("Magnus and Neudecker, chapter 9, matrix functions", "D (X^-1 A)", "X:nn! A:nm",
             lambda X, A: la.solve(X, A), lambda X, A: -np.einsum("ki,jl->klij", inv(X), inv(X) @ A), "jacobian"),
    Identity("Magnus and Neudecker, chapter 9, adjoint matrix", "D adj(X) = D det(X) X^-1", "X:nn!",
             lambda X: la.det(X) * la.inv(X),
             lambda X: det(X) * (np.einsum("kl,ji->klij", Y := inv(X), Y) - np.einsum("ki,jl->klij", Y, Y)),
             "jacobian"),
    Identity("Magnus and Neudecker, chapter 10, Hessians", "H Tr(A X^T B X), its form", "X:nm A:mm B:nn",
             lambda X, A, B: sg.trace(A @ X.T @ B @ X),
             lambda X, A, B: np.einsum("ik,jl->ijkl", B, A.T) + np.einsum("ki,lj->ijkl", B, A.T), "hessian"),
    Identity("Magnus and Neudecker, chapter 10, Hessians", "H ln det X", "X:nn!", lambda X: la.logdet(X),
             lambda X: -np.einsum("jk,li->ijkl", inv(X), inv(X)), "hessian"),
    Identity("Magnus and Neudecker, chapter 10, Hessians", "H Tr X^-1", "X:nn!", lambda X: sg.trace(la.inv(X)),
             lambda X: np.einsum("jk,li->ijkl", Y := inv(X), Y @ Y) + np.einsum("jk,li->ijkl", Y @ Y, Y), "hessian"),
)  # fmt: skip

MINKA = (
    Identity("Minka, derivatives", "d Tr(X^-1 A)", "X:nn! A:nn", lambda X, A: sg.trace(la.inv(X) @ A),
             lambda X, A: -(inv(X) @ A @ inv(X)).T),
    Identity("Minka, derivatives", "d ln |A + B X C|", "X:mk A:nn! B:nm C:kn",
             lambda X, A, B, C: la.logdet(A + B @ X @ C), lambda X, A, B, C: (C @ inv(A + B @ X @ C) @ B).T),
    Identity("Minka, Hadamard product", "d x^T (A o B) x = d Tr(diag(x) A diag(x) B^T)", "x:n A:nn B:nn",
             lambda x, A, B: sg.einsum("i,ij,j,ij->", x, A, x, B),
             lambda x, A, B: diag(A @ diag(x) @ B.T) + diag(A.T @ diag(x) @ B)),
    Identity("Minka, Hadamard product", "d Tr(A^T (B o X))", "X:nm A:nm B:nm",
             lambda X, A, B: sg.trace(A.T @ (B * X)), lambda X, A, B: A * B),
    Identity("Minka, diag", "d Tr(A diag(x) B)", "x:n A:mn B:nm",
             lambda x, A, B: sg.trace(A @ (x * sg.eye(4, dtype="float64")) @ B), lambda x, A, B: diag(B @ A)),
    Identity("Minka, Kronecker product and vec", "d vec(B)^T (A (x) X) vec(C)", "X:kn A:mp B:km C:np",
             lambda X, A, B, C: vec(B) @ kron(A, X) @ vec(C), lambda X, A, B, C: B @ A @ C.T),
    Identity("Minka, second derivatives", "d^2 (x^T A x)^2", "x:n A:nn", lambda x, A: (x @ A @ x) ** 2,
             lambda x, A: 2 * outer(S := (A + A.T) @ x, S) + 2 * (x @ A @ x) * (A + A.T), "hessian"),
)  # fmt: skip


def softmax(x):
    return exp(x) / exp(x).sum()


def sigmoid(x):
    return 1 / (1 + exp(-x))


def negative_log_likelihood(S, x, m):
    return 0.5 * (la.logdet(S) + (x - m) @ la.inv(S) @ (x - m))


CONVEX = (
    Identity("Boyd and Vandenberghe, section A.4.1", "grad ln det X", "X:nn+", lambda X: la.logdet(X),
             lambda X: inv(X)),
    Identity("Boyd and Vandenberghe, section A.4.2", "grad ln sum exp(a_i^T x + b_i)", "x:n A:pn b:p",
             lambda x, A, b: sg.logsumexp(A @ x + b), lambda x, A, b: A.T @ softmax(A @ x + b)),
    Identity("Boyd and Vandenberghe, section A.4.4", "Hessian of ln sum exp(a_i^T x + b_i)", "x:n A:pn b:p",
             lambda x, A, b: sg.logsumexp(A @ x + b),
             lambda x, A, b: A.T @ (diag(p := softmax(A @ x + b)) - outer(p, p)) @ A, "hessian"),
    Identity("Boyd and Vandenberghe, section 3.1.5", "Hessian of ln sum exp x", "x:n", lambda x: sg.logsumexp(x),
             lambda x: (z := exp(x)).sum() ** -2 * (z.sum() * diag(z) - outer(z, z)), "hessian"),
    Identity("Boyd and Vandenberghe, section 3.1.5", "Hessian of x^2 / y", "z:k", lambda z: z[0] ** 2 / (z[1] + 3),
             lambda z: 2 / (y := z[1] + 3) ** 3 * outer(v := [y, -z[0]], v), "hessian"),
    Identity("Boyd and Vandenberghe, section 3.1.5", "Hessian of the geometric mean", "x:n>",
             lambda x: sg.prod(x) ** 0.25,
             lambda x: -(np.prod(x) ** 0.25) / 16 * (4 * diag(x**-2) - outer(1 / x, 1 / x)), "hessian"),
    Identity("Boyd and Vandenberghe, chapter 9, logarithmic barrier", "grad -sum ln(b - A x)", "x:n A:pn b:p>",
             lambda x, A, b: -sg.sum(sg.log(b + 9 - A @ x)), lambda x, A, b: A.T @ (1 / (b + 9 - A @ x))),
    Identity("Boyd and Vandenberghe, chapter 9, logarithmic barrier", "Hessian of -sum ln(b - A x)", "x:n A:pn b:p>",
             lambda x, A, b: -sg.sum(sg.log(b + 9 - A @ x)),
             lambda x, A, b: A.T @ diag((b + 9 - A @ x) ** -2) @ A, "hessian"),
)  # fmt: skip

LEARNING = (
    Identity("Bishop, section 4.3.2", "grad of the logistic error", "w:n X:pn y:p", lambda w, X, y:
             sg.sum(sg.softplus(X @ w) - y * (X @ w)), lambda w, X, y: X.T @ (sigmoid(X @ w) - y)),
    Identity("Bishop, section 4.3.3", "Hessian of the logistic error", "w:n X:pn y:p", lambda w, X, y:
             sg.sum(sg.softplus(X @ w) - y * (X @ w)),
             lambda w, X, y: X.T @ diag((s := sigmoid(X @ w)) * (1 - s)) @ X, "hessian"),
    Identity("Bishop, equation (4.106)", "d softmax_k / d a_j", "a:n", lambda a: sg.softmax(a),
             lambda a: diag(softmax(a)) - outer(softmax(a), softmax(a)), "jacobian"),
    Identity("Bishop, equation (4.109)", "grad of the cross-entropy", "W:nm x:n y:m", lambda W, x, y:
             -sg.sum(y * sg.log_softmax(x @ W)), lambda W, x, y: outer(x, y.sum() * softmax(x @ W) - y)),
    Identity("Bishop, section 3.1.4, regularised least squares", "grad 1/2 ||y - X w||^2 + l/2 ||w||^2",
             "w:n X:pn y:p l:>", lambda w, X, y, l: 0.5 * sg.sum((y - X @ w) ** 2) + 0.5 * l * (w @ w),
             lambda w, X, y, l: X.T @ (X @ w - y) + l * w),
    Identity("Bishop, section 2.3.4", "d ln N(x; m, S) / dm", "m:n x:n S:nn+",
             lambda m, x, S: -negative_log_likelihood(S, x, m), lambda m, x, S: inv(S) @ (x - m)),
    Identity("Bishop, section 2.3.4", "d ln N(x; m, S) / dS", "S:nn+ x:n m:n",
             lambda S, x, m: -negative_log_likelihood(S, x, m),
             lambda S, x, m: -0.5 * (inv(S) - inv(S) @ outer(x - m, x - m) @ inv(S))),
    Identity("Laue et al. 2018, logistic regression", "Jacobian of X^T (y o sigma(y o (X w)))", "w:n X:pn y:p",
             lambda w, X, y: X.T @ (y * sg.sigmoid(y * (X @ w))),
             lambda w, X, y: X.T @ diag(y**2 * (s := sigmoid(y * (X @ w))) * (1 - s)) @ X, "jacobian"),
    Identity("Laue et al. 2018, matrix factorisation", "grad ||T - U V^T||_F^2", "U:nk V:mk T:nm",
             lambda U, V, T: sg.sum((T - U @ V.T) ** 2), lambda U, V, T: -2 * (T - U @ V.T) @ V),
    Identity("Laue et al. 2018, matrix factorisation", "Hessian of ||T - U V^T||_F^2", "U:nk V:mk T:nm",
             lambda U, V, T: sg.sum((T - U @ V.T) ** 2),
             lambda U, V, T: 2 * np.einsum("ik,jl->ijkl", eye(4), V.T @ V), "hessian"),
    Identity("Laue et al. 2018, quadratic function", "Hessian of x^T A x", "x:n A:nn", lambda x, A: x @ A @ x,
             lambda x, A: A + A.T, "hessian"),
    Identity("Rasmussen and Williams, Gaussian Processes, equation (5.9)", "d 1/2 (y^T K^-1 y + ln det K) / dK",
             "K:nn+ y:n", lambda K, y: 0.5 * (y @ la.solve(K, y) + la.logdet(K)),
             lambda K, y: 0.5 * (inv(K) - outer(a := inv(K) @ y, a))),
    Identity("Cosine similarity", "d x^T y / (||x|| ||y||)", "x:n y:n",
             lambda x, y: x @ y / (la.norm(x) * la.norm(y)),
             lambda x, y: y / (norm(x) * norm(y)) - (x @ y) * x / (norm(x) ** 3 * norm(y))),
    Identity("Entropy", "d -sum p ln p", "p:n>", lambda p: -sg.sum(p * sg.log(p)), lambda p: -log(p) - 1),
    Identity("Frobenius norm", "d ||X||_F", "X:nm", lambda X: la.norm(X), lambda X: X / norm(X)),
    Identity("1-norm", "d ||A x - b||_1", "x:n A:pn b:p", lambda x, A, b: la.norm(A @ x - b, 1),
             lambda x, A, b: A.T @ np.sign(A @ x - b)),
    Identity("Trace of a covariance", "d Tr(X^T H X), H centres", "X:pn",
             lambda X: sg.trace((X - sg.mean(X, 0)).T @ (X - sg.mean(X, 0))), lambda X: 2 * (X - X.mean(0))),
    Identity("Rayleigh quotient", "d x^T A x / x^T x", "x:n A:nn=", lambda x, A: x @ A @ x / (x @ x),
             lambda x, A: 2 / (x @ x) * (A @ x - (x @ A @ x) / (x @ x) * x)),
    Identity("Square of a trace", "d Tr(X^T X)^2", "X:nm", lambda X: sg.trace(X.T @ X) ** 2,
             lambda X: 4 * trace(X.T @ X) * X),
)  # fmt: skip

IDENTITIES = GILES + MAGNUS_NEUDECKER + MINKA + CONVEX + LEARNING
