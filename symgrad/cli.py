"""The command line: `symgrad mnist`, also as `python -m symgrad mnist`.

In: arguments. Out: what the command prints, and an exit status. It must not know more than the public names.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import symgrad as sg


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0 if it succeeded."""
    parser = argparse.ArgumentParser(prog="symgrad", description="Symbolic gradients, compiled.")
    commands = parser.add_subparsers(dest="command", required=True)
    mnist = commands.add_parser("mnist", help="train the reference network on MNIST")
    mnist.add_argument("--epochs", type=_count, default=5)
    mnist.add_argument("--seed", type=int, default=0)
    mnist.add_argument("--data", default=None, help="a folder with the four IDX files")
    given = parser.parse_args(arguments)
    try:
        return train_mnist(given.epochs, given.seed, given.data)
    except (OSError, sg.FormatError) as error:
        parser.error(str(error))


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number, 0 or more")
    return int(text)


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
