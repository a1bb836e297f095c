"""The command line: `symgrad mnist`, `symgrad bench`; also as `python -m symgrad mnist`.

In: arguments. Out: what the command prints, and an exit status. It must not know more than the public names, and that
the benchmark lies beside the package in a checkout: it is not installed, and runs in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import symgrad as sg

CHECKOUT = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0 if it succeeded."""
    parser = argparse.ArgumentParser(prog="symgrad", description="Symbolic gradients, compiled.")
    commands = parser.add_subparsers(dest="command", required=True)
    mnist = commands.add_parser("mnist", help="train the reference network on MNIST")
    mnist.add_argument("--epochs", type=_count, default=5)
    mnist.add_argument("--seed", type=int, default=0)
    mnist.add_argument("--data", default=None, help="a folder with the four IDX files")
    commands.add_parser("bench", add_help=False, help="compare with other libraries: bench --help tells more")
    given, rest = parser.parse_known_args(arguments)
    if rest and given.command != "bench":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return bench(rest) if given.command == "bench" else train_mnist(given.epochs, given.seed, given.data)
    except (OSError, sg.FormatError) as error:
        parser.error(str(error))


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number, 0 or more")
    return int(text)


def bench(arguments: Sequence[str], checkout: Path = CHECKOUT) -> int:
    """Run the benchmark of the checkout that this package is imported from, with these arguments.

    Raise FileNotFoundError where there is none. The modules of the working directory are not found by that process: a
    folder of the same name there would be run instead.
    """
    if not (checkout / "benchmarks" / "__main__.py").is_file():
        raise FileNotFoundError(
            f"no benchmark lies beside this package, in {checkout}. It comes with the source and is not installed: "
            "`make bench` in a checkout, or `pip install -e .` there and then `symgrad bench`."
        )
    path = os.pathsep.join([str(checkout), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    return subprocess.run([sys.executable, "-m", "benchmarks", *arguments], env=environment).returncode


def train_mnist(epochs: int, seed: int, data: str | None = None) -> int:
    """Print the gradient of the reference network, train it, and print its test accuracy."""
    sg.set_seed(seed)
    (train_images, train_labels), (test_images, test_labels) = sg.datasets.mnist(data)
    model = sg.Sequential(
        [
            sg.layers.Dense(512, activation="relu", input_shape=(784,)),
            sg.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    print(model.gradients(), end="\n\n")
    train_x = train_images.reshape(-1, 784).astype("float32") / 255
    test_x = test_images.reshape(-1, 784).astype("float32") / 255
    model.fit(train_x, sg.to_categorical(train_labels, 10), epochs=epochs, batch_size=128)
    loss, accuracy = model.evaluate(test_x, sg.to_categorical(test_labels, 10))
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")
    return 0
