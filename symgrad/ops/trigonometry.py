"""Elementwise rows of circles and hyperbolas: sine and its kin, their inverses, and `hypot`.

In: nothing; importing this file registers the rows. Out: the rows themselves, which are the public functions, under
the names of the Array API. Angles are radians. Derivatives stand in the form that does not overflow. It must not know
SymPy, nor how a row becomes machine code.
"""

from __future__ import annotations

import numpy as np

from symgrad.ops.scalar import REAL, scalar

__all__ = [
    "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "hypot",
]  # fmt: skip

INSIDE = ((-0.9, 0.9),)
ABOVE_ONE = ((1.2, 4.0),)

sin = scalar("sin", np.sin, derivatives=("cos(x)",), latex=r"\sin {x}", doc="Give the sine of an angle in radians.")
cos = scalar("cos", np.cos, derivatives=("-sin(x)",), latex=r"\cos {x}", doc="Give the cosine of an angle in radians.")
tan = scalar(
    "tan", np.tan, domain=((-1.2, 1.2),), derivatives=("1 + square(out)",),
    latex=r"\tan {x}", doc="Give the tangent of an angle in radians.",
)  # fmt: skip
asin = scalar(
    "asin", np.arcsin, domain=INSIDE, derivatives=("1 / sqrt((1 - x) * (1 + x))",),
    latex=r"\arcsin {x}", doc="Give the angle in [-pi/2, pi/2] whose sine is x; NaN outside [-1, 1].",
)  # fmt: skip
acos = scalar(
    "acos", np.arccos, domain=INSIDE, derivatives=("-1 / sqrt((1 - x) * (1 + x))",),
    latex=r"\arccos {x}", doc="Give the angle in [0, pi] whose cosine is x; NaN outside [-1, 1].",
)  # fmt: skip
atan = scalar(
    "atan", np.arctan, derivatives=("1 / (1 + square(x))",),
    latex=r"\arctan {x}", doc="Give the angle in [-pi/2, pi/2] whose tangent is x.",
)  # fmt: skip
atan2 = scalar(
    "atan2", np.arctan2, domain=(REAL, (0.3, 3.0)),
    derivatives=("y / hypot(x, y) / hypot(x, y)", "-(x / hypot(x, y) / hypot(x, y))"),
    latex=r"\operatorname{atan2}({x}, {y})", sub_gradient="NaN in both at x = y = 0, where every slope occurs",
    doc="Give the angle in [-pi, pi] of the point with ordinate x and abscissa y.",
)  # fmt: skip
sinh = scalar("sinh", np.sinh, derivatives=("cosh(x)",), latex=r"\sinh {x}", doc="Give the hyperbolic sine.")
cosh = scalar("cosh", np.cosh, derivatives=("sinh(x)",), latex=r"\cosh {x}", doc="Give the hyperbolic cosine.")
tanh = scalar("tanh", np.tanh, derivatives=("1 - square(out)",), latex=r"\tanh {x}", doc="Give the hyperbolic tangent.")
asinh = scalar(
    "asinh", np.arcsinh, derivatives=("1 / hypot(x, 1)",),
    latex=r"\operatorname{arsinh} {x}", doc="Give the number whose hyperbolic sine is x.",
)  # fmt: skip
acosh = scalar(
    "acosh", np.arccosh, domain=ABOVE_ONE, derivatives=("1 / (sqrt(x - 1) * sqrt(x + 1))",),
    latex=r"\operatorname{arcosh} {x}", doc="Give the number >= 0 whose hyperbolic cosine is x; NaN below 1.",
)  # fmt: skip
atanh = scalar(
    "atanh", np.arctanh, domain=INSIDE, derivatives=("1 / ((1 - x) * (1 + x))",),
    latex=r"\operatorname{artanh} {x}", doc="Give the number whose hyperbolic tangent is x; NaN outside [-1, 1].",
)  # fmt: skip
hypot = scalar(
    "hypot", np.hypot, domain=(REAL, (0.3, 3.0)), commutative=True,
    derivatives=("x / where(out == 0, 1, out)", "y / where(out == 0, 1, out)"),
    latex=r"\sqrt{{x}^2 + {y}^2}", sub_gradient="0 in both at x = y = 0",
    doc="Give sqrt(x**2 + y**2) without overflow; inf where an operand is infinite.",
)  # fmt: skip
