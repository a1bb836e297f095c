"""The four steps of training, written out: draw a batch, run forward, compute the loss, move the weights.

Softmax regression on MNIST. `step` is compiled from the loss and the update equations; the loop is yours.
"""

import sys

import numpy as np

import symgrad as sg

steps = 60 if "--short" in sys.argv else 2000
(train_images, train_labels), (test_images, test_labels) = sg.datasets.mnist()
train_x = train_images.reshape(60000, 784).astype("float32") / 255
test_x = test_images.reshape(10000, 784).astype("float32") / 255

N = sg.dim("N")
x = sg.symbol("x", (N, 784))
y = sg.symbol("y", (N,), dtype="int32")
W = sg.parameter("W", (784, 10))
b = sg.parameter("b", (10,), init="zeros")

logits = x @ W + b
loss = sg.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
dW, db = sg.grad(loss, [W, b])
print(sg.format_equations({"dW": dW, "db": db}))

learning_rate = 0.5
step = sg.function([x, y], loss, updates={W: W - learning_rate * dW, b: b - learning_rate * db})
classify = sg.function([x], sg.argmax(logits, axis=1))

rng = np.random.default_rng(0)
for i in range(steps):
    batch = rng.integers(0, len(train_x), 128)  # 1. draw a batch
    value = step(train_x[batch], train_labels[batch])  # 2.-4. forward, loss, weights against the gradient
    if i % max(1, steps // 10) == 0:
        print(f"step {i:5d}  loss {value:.4f}")

accuracy = (classify(test_x) == test_labels).mean()
print(f"test accuracy {accuracy:.4f}")
