"""Read a gradient: as text, as LaTeX, as a derivation that is checked, and as a page to walk through.

Writes gradient.html (open it in a browser), gradient.tex (an `aligned` environment, for a document with amsmath) and
derivation.txt into the folder named as the argument, or the current one.
"""

import sys
from pathlib import Path

import symgrad as sg

N = sg.dim("N")
X = sg.symbol("X", (N, 784))
Y = sg.symbol("Y", (N, 10), facts={"rows_sum_to_one"})
W1, b1 = sg.parameter("W1", (784, 512)), sg.parameter("b1", (512,), init="zeros")
W2, b2 = sg.parameter("W2", (512, 10)), sg.parameter("b2", (10,), init="zeros")

Z1 = (X @ W1 + b1).named("Z1")
H = sg.relu(Z1).named("H")
P = sg.softmax(H @ W2 + b2, axis=1).named("P")
loss = -sg.mean(sg.sum(Y * sg.log(P), axis=1))

parameters = [W1, b1, W2, b2]
gradients = dict(zip(["dW1", "db1", "dW2", "db2"], sg.grad(loss, parameters), strict=True))
print(sg.format_equations(gradients))

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
folder.mkdir(parents=True, exist_ok=True)
(folder / "gradient.tex").write_text(sg.latex(gradients) + "\n", encoding="utf8")

derivation = sg.derivation(loss, parameters)
report = derivation.check()
(folder / "derivation.txt").write_text(f"{derivation}\n{report}\n", encoding="utf8")
print()
print(report)

sg.explorer(loss, folder / "gradient.html", wrt=parameters, title="The reference network")
print()
print("written:", *sorted(path.name for path in folder.glob("*") if path.stem in ("gradient", "derivation")))
