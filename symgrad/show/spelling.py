"""How a name is made up: `dW1` is the differential of W with the subscript 1, `lam` is the letter lambda.

In: an identifier of a formula. Out: its parts, which notations style. It must not know any markup.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["GREEK", "Spelling", "spelled"]

# How programs write letters, and what they mean.
GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "eps": "ε", "epsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "kappa": "κ", "lam": "λ", "lambda_": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ",
    "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ",
    "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip

_NAME = re.compile(r"(?P<letters>[A-Za-z]+?)(?P<digits>\d*)(?:_(?P<rest>\w+))?")
_DIFFERENTIAL = re.compile(r"d(?P<order>\d?)(?P<rest>[A-Z]\w*|[a-z](?:\d|_\w+|$)\w*)")


@dataclass(frozen=True, slots=True)
class Spelling:
    """A name: perhaps of a differential (of this order), its letters, and its subscript."""

    letters: str
    subscript: str = ""
    differential: int = 0


def spelled(name: str) -> Spelling:
    """Take a name apart.

    >>> spelled("dW1"), spelled("u_xx").subscript, spelled("d2z").differential, spelled("lam").letters
    (Spelling(letters='W', subscript='1', differential=1), 'xx', 2, 'λ')
    >>> spelled("delta"), spelled("dense_kernel")
    (Spelling(letters='δ', subscript='', differential=0), Spelling(letters='dense', subscript='kernel', differential=0))
    """
    differential = 0
    found = _DIFFERENTIAL.fullmatch(name)
    if found is not None:
        differential, name = int(found["order"] or 1), found["rest"]
    parts = _NAME.fullmatch(name)
    if parts is None:
        return Spelling(GREEK.get(name, name), "", differential)
    subscript = ",".join(part for part in (parts["digits"], parts["rest"]) if part)
    return Spelling(GREEK.get(parts["letters"], parts["letters"]), subscript, differential)
