"""Your own activation: write its formula, read its derivative, check it, train with it.

`snake(x) = x + sin(x)**2` (Ziyin, Hartwig, Ueda 2020) suits periodic data: it goes on where relu has nothing but lines.
"""

import sys

import numpy as np
import sympy

import symgrad as sg

epochs = 100 if "--short" in sys.argv else 400

# 1. A formula is enough: the function takes a SymPy symbol, and SymPy derives the derivative.
snake = sg.elementwise("snake", lambda x: x + sympy.sin(x) ** 2)

x = sg.symbol("x", (sg.dim("N"),), dtype="float64")
slope = sg.grad(snake(x).sum(), x)
bend = sg.grad(slope.sum(), x)
print(sg.format_equations({"slope": slope, "bend": bend}))

# 2. Is that true? Compare the compiled derivatives with difference quotients of the compiled function.
value, both = sg.function([x], snake(x)), sg.function([x], [slope, bend])
at, h = np.linspace(-3, 3, 1001), 1e-4
quotients = [(value(at + h) - value(at - h)) / (2 * h), (value(at + h) - 2 * value(at) + value(at - h)) / h**2]
for name, exact, quotient in zip(["slope", "bend"], both(at), quotients, strict=True):
    print(f"{name}: at most {np.abs(exact - quotient).max():.0e} from the difference quotient")


# 3. Or state the derivative yourself: here sin(2x) for 2 sin(x) cos(x). It is checked at random points when it is used.
@sg.custom_gradient(vjp=lambda operands, out, g: g * (1 + sg.sin(2 * operands[0])))
def by_hand(x):
    return x + sg.sin(x) ** 2


print(f"by hand: {sg.grad(by_hand(x).sum(), x)}")
try:
    sg.custom_gradient(lambda x: x + sg.sin(x) ** 2, lambda operands, out, g: g * (1 - sg.sin(2 * operands[0])))(x)
except sg.GradientError as error:
    print(f"a wrong sign: {error}")


# 4. Train a small network with it, and one with relu, on a wave; then ask both what comes after the data.
def errors(activation):
    """Give the root mean square errors on the data's interval and beyond it."""
    model = sg.Sequential(seed=1)
    model.add(sg.layers.Dense(64, activation=activation, input_shape=(1,)))
    model.add(sg.layers.Dense(1))
    model.compile(optimizer=sg.optim.Adam(learning_rate=0.01), loss="mse")
    seen, beyond = np.linspace(-10, 10, 2000)[:, None], np.linspace(10, 15, 500)[:, None]
    model.fit(seen, np.sin(seen), epochs=epochs, batch_size=100, verbose=0)
    return [float(np.sqrt(np.mean((model.predict(X) - np.sin(X)) ** 2))) for X in (seen, beyond)]


for name, activation in {"relu": "relu", "snake": snake, "by hand": by_hand}.items():
    inside, outside = errors(activation)
    print(f"{name:8} error on the data {inside:.4f}, beyond {outside:.4f}")
