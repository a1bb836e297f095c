"""Let KaTeX read every formula that the tests know: `python -m latex [PAGE.html]` in tests/, with KaTeX in NODE_PATH.

In: golden formulas, every row's cases and derivations, names. Out: exit status 1 and the formulas that KaTeX refuses,
if there are any; with a path, a page that shows all of them, to be looked at.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from row_cases import calls, differentiable

import symgrad as sg

GOLDEN = Path(__file__).parents[1] / "golden"
RENDER = Path(__file__).with_name("render.mjs")


def formulas() -> dict[str, str]:
    """Give LaTeX by a name for each formula."""
    found: dict[str, str] = {}
    for path in sorted(GOLDEN.glob("*.tex")):
        text = path.read_text(encoding="utf8")
        found |= inside(path.stem, text) if path.stem.startswith("derivation") else {path.stem: text}
    for call in calls():
        found[str(call)] = sg.latex(call.node, shapes=call.number == 0)
    names = ("a_b_c", "W1", "dW12", "u_xx", "lam", "Gamma", "größe", "x_new_2")
    found["names"] = sg.latex({name: sg.symbol(name) ** 2 for name in names})
    return found


def inside(name: str, text: str) -> dict[str, str]:
    """Give the formulas inside a text: KaTeX reads no text around them."""
    parts = re.findall(r"(?<!\\)\$(.*?)(?<!\\)\$", text, flags=re.DOTALL)
    return {f"{name}, formula {number}": part for number, part in enumerate(parts, 1)}


def derivations() -> dict[str, str]:
    """Give the formulas of derivations of every row inside a loss."""
    found: dict[str, str] = {}
    for call in differentiable():
        derivation = sg.derivation(sg.sum(sg.sin(call.node)), [x for x in call.operands if x.dtype.is_float])
        found |= inside(f"derivation of {call}", derivation.latex)
        found |= inside(f"equations of {call}", derivation._repr_latex_())
    return found


def main(page: str = "") -> int:
    """Render all; give the number of formulas that were refused, as an exit status of at most 1."""
    texts = formulas() | derivations()
    done = subprocess.run(["node", RENDER], input=json.dumps(texts), capture_output=True, text=True, check=True)
    answer: dict[str, dict[str, str]] = json.loads(done.stdout)
    refused = {name: one["error"] for name, one in answer.items() if "error" in one}
    for name, error in refused.items():
        print(f"{name}: {error}\n{texts[name]}\n")
    print(f"{len(texts) - len(refused)} of {len(texts)} formulas are read")
    if page:
        parts = [f"<h3>{name}</h3>{one.get('html', '')}" for name, one in answer.items()]
        Path(page).write_text("<!doctype html><meta charset=utf8>" + "\n".join(parts), encoding="utf8")
    return int(bool(refused))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
