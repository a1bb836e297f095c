"""The examples and the command run, in their short form and with warnings as errors, and print what they promise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What is run, FOLDER being an empty folder, and patterns of lines that it must print, in this order.
RUNS = {
    "gradient": (
        ["examples/01_gradient.py"],
        [
            r"loss = .*",
            r"dW1 += H2\.T @ .*",
            r"dW2 += H1\.T @ .*",
            r"dW3 += x\.T @ .*",
            r"loss at a point: \d+\.\d{6}; the compiled gradients have the shapes \[\(3, 1\), \(5, 3\), \(4, 5\)\]",
        ],
    ),
    "mnist": (
        ["examples/02_mnist.py", "--short"],
        [
            r"Z1 += X @ W1 \+ b1",
            r"H += relu\(Z1\)",
            r"P += softmax\(H @ W2 \+ b2, axis=1\)",
            r"dW2 += H\.T @ \(P - Y\) / N",
            r"dW1 += X\.T @ G1 / N",
            r"Epoch 1/1",
            r"469/469 \[=+\] - .*/step - loss: 0\.2\d{3} - accuracy: 0\.9\d{3}",
            r"test loss 0\.1\d{3}, test accuracy 0\.9[5-8]\d\d",
        ],
    ),
    "own loop": (
        ["examples/03_own_loop.py", "--short"],
        [
            r"dW = x\.T @ .* / N",
            r"step +0  loss 2\.\d{4}",
            r"step +54  loss 0\.\d{4}",
            r"test accuracy 0\.[89]\d{3}",
        ],
    ),
    "custom activation": (
        ["examples/04_custom_activation.py", "--short"],
        [
            r"h1 += sin\(x\)",
            r"h2 += cos\(x\)",
            r"slope = 2 \* h1 \* h2 \+ 1",
            r"bend += 2 \* h2\*\*2 - 2 \* h1\*\*2",
            r"slope: at most \de-09 from the difference quotient",
            r"bend: at most \de-0[78] from the difference quotient",
            r"by hand: sin\(2 \* x\) \+ 1",
            r"a wrong sign: .* its vjp is not its derivative; .*",
            r"relu +error on the data 0\.[1-9]\d{3}, beyond [1-9]\.\d{4}",
            r"snake +error on the data 0\.00\d\d, beyond 0\.[0-4]\d{3}",
            r"by hand +error on the data 0\.00\d\d, beyond 0\.[0-4]\d{3}",
        ],
    ),
    "second derivatives": (
        ["examples/05_second_derivatives.py", "--short"],
        [
            r"t2 += 1 - H1\*\*2",
            r"u_t += 2 \* \(B \* t2\) @ W2 \* t \* t1 \+ t1 \* Z1",
            r"u_xx += .*\(A \* A \* H1 \* t2\) @ W2.*",
            r"11 parameters, derived and compiled in \d+\.\d s",
            r"step +2500  loss \d\.\de-0[12]",
            r"relative L2 error on a grid of 100 x 256 points: 0\.(0[5-9]|1\d)\d\d",
        ],
    ),
    "command": (
        ["-m", "symgrad", "mnist", "--epochs", "1", "--seed", "1"],
        [
            r"dW2 += H\.T @ \(P - Y\) / N",
            r"469/469 .* - loss: 0\.2\d{3} - accuracy: 0\.9\d{3}",
            r"test loss 0\.1\d{3}, test accuracy 0\.9[5-8]\d\d",
        ],
    ),
    "read the gradient": (
        ["examples/06_read_the_gradient.py", "FOLDER"],
        [
            r"Z1 += X @ W1 \+ b1",
            r"db1 = sum\(G1, axis=0\) / N",
            r"checked: 8 of 8 steps agree at 5 random points .*",
            r"written: derivation\.txt gradient\.html gradient\.tex",
        ],
    ),
}


def run(*arguments, cwd=ROOT):
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=240, check=False)


@pytest.mark.parametrize("name", RUNS)
def test_prints_what_it_promises(name, tmp_path):
    arguments, patterns = RUNS[name]
    done = run(*(str(tmp_path) if argument == "FOLDER" else argument for argument in arguments))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = iter(done.stdout.splitlines())
    for pattern in patterns:
        assert any(re.fullmatch(pattern, line.strip()) for line in lines), f"no {pattern!r} in\n{done.stdout}"


def test_every_example_is_run_here():
    there = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert there == {Path(arguments[0]).name for arguments, _ in RUNS.values() if arguments[0].endswith(".py")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required: command"),
        (["minst"], "invalid choice: 'minst'"),
        (["mnist", "--epochs", "many"], "'many' is no number"),
        (["mnist", "--epochs", "-1"], "'-1' is no number, 0 or more"),
        (["mnist", "--data", "/nowhere"], "/nowhere"),
    ],
)
def test_the_command_refuses_in_one_line(arguments, words, tmp_path):
    done = run("-m", "symgrad", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
