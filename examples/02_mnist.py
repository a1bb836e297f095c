"""The classic Keras MNIST example, then what Keras does not show: the gradient function of the trained model."""

import sys

import symgrad as sg
from symgrad import datasets, layers

epochs = 1 if "--short" in sys.argv else 5

(train_images, train_labels), (test_images, test_labels) = datasets.mnist.load_data()

model = sg.Sequential()
model.add(layers.Dense(512, activation="relu", input_shape=(28 * 28,)))
model.add(layers.Dense(10, activation="softmax"))
model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])

train_images = train_images.reshape((60000, 28 * 28))
train_images = train_images.astype("float32") / 255
test_images = test_images.reshape((10000, 28 * 28))
test_images = test_images.astype("float32") / 255
train_labels = sg.to_categorical(train_labels)
test_labels = sg.to_categorical(test_labels)

print("The gradient of the loss with respect to every parameter:\n")
print(model.gradients(), "\n")

model.fit(train_images, train_labels, epochs=epochs, batch_size=128)
test_loss, test_acc = model.evaluate(test_images, test_labels)
print(f"test loss {test_loss:.4f}, test accuracy {test_acc:.4f}")
