"""Models around their training: how they are built, named, shown and shared; several inputs; what the bar prints."""

import _thread
import copy
import io
import pickle
import re
import signal
import threading

import numpy as np
import pytest

import symgrad as sg
from symgrad.train.progress import Progress

RNG = np.random.default_rng(3)
X = RNG.standard_normal((90, 6)).astype(np.float32)
Y = np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 90)]
TARGETS = RNG.standard_normal((90, 2)).astype(np.float32)
Dense, Flatten, Input = sg.layers.Dense, sg.layers.Flatten, sg.layers.Input


def assert_same_bits(some, others):
    assert [w.tobytes() for w in some] == [w.tobytes() for w in others]


def classifier(*first, seed=2):
    model = sg.Sequential([*first, Dense(5, "relu"), Dense(3, "softmax")], seed=seed)
    model.compile("sgd", "categorical_crossentropy", ["accuracy"])
    return model


# -- building ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["fit", "evaluate", "train_on_batch", "predict"])
def test_a_sequential_without_input_shape_is_built_by_its_first_data(verb):
    model, known = classifier(), classifier(Input((6,)))
    calls = {
        "fit": lambda m: m.fit(X, Y, epochs=0), "evaluate": lambda m: m.evaluate(X, Y),
        "train_on_batch": lambda m: m.train_on_batch(X, Y), "predict": lambda m: m.predict(X),
    }  # fmt: skip
    with pytest.raises(sg.ShapeError, match="not built yet.*input_shape, or call fit first"):
        model.gradients()
    for each in (model, known):
        calls[verb](each)
    assert_same_bits(model.get_weights(), known.get_weights())
    assert list(model.gradients()) == ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]


def test_data_that_do_not_fit_leave_a_model_unbuilt():
    model, other = classifier(), classifier()
    with pytest.raises(sg.ShapeError, match=r"y: labels have another shape.*\(90, 3\) for \(N, 2, 3\)"):
        model.fit(X.reshape(90, 2, 3), Y)
    with pytest.raises(sg.ShapeError, match="batch axis"):
        model.fit(X[:, 0], Y)
    with pytest.raises(sg.ShapeError, match="not built yet"):
        model.get_weights()
    assert model.fit(X, Y, verbose=0, seed=1).history == other.fit(X, Y, verbose=0, seed=1).history


def test_layers_added_one_by_one_are_the_same_model():
    model = sg.Sequential(seed=2)
    model.compile("sgd", "categorical_crossentropy", ["accuracy"])
    for layer in (Dense(5, "relu", input_shape=(6,)), Dense(3, "softmax")):
        model.add(layer)
    other = classifier(Input((6,)))
    assert_same_bits(model.get_weights(), other.get_weights())
    assert model.evaluate(X, Y) == other.evaluate(X, Y)
    kept = model.get_weights()
    with pytest.raises(TypeError, match="made of layers, not int"):
        model.add(3)
    assert_same_bits(kept, model.get_weights())
    model.add(Dense(2))
    assert_same_bits(kept, model.get_weights()[:4])
    assert model.predict(X).shape == (90, 2)


def test_flatten_first_takes_images():
    model = classifier(Flatten(input_shape=(2, 3)))
    flat = classifier(Input((6,)))
    images = X.reshape(90, 2, 3)
    flat.set_weights(model.get_weights())
    assert model.evaluate(images, Y) == flat.evaluate(X, Y)
    assert np.array_equal(model.predict(images[::-1]), flat.predict(X)[::-1])
    model.fit(images[:, ::-1], Y, verbose=0, seed=1)
    flat.fit(np.ascontiguousarray(images[:, ::-1]).reshape(90, 6), Y, verbose=0, seed=1)
    assert_same_bits(model.get_weights(), flat.get_weights())


def test_a_model_of_no_parameters_evaluates():
    model = sg.Sequential([Flatten(input_shape=(2, 3))])
    model.compile("sgd", "mse")
    assert np.array_equal(model.predict(X.reshape(90, 2, 3)), X)
    assert model.evaluate(X.reshape(90, 2, 3), X + 1) == pytest.approx(1, rel=1e-5)
    assert model.fit(X.reshape(90, 2, 3), X, verbose=0).history == {"loss": [0.0]}


# -- functional models ---------------------------------------------------------------------------------------------


def two_inputs():
    left, right = Input((6,), name="left"), Input((3,), name="right")
    hidden = sg.tanh(Dense(4)(left) + Dense(4, use_bias=False)(right))
    return sg.Model([left, right], Dense(2, name="head")(hidden), seed=1)


def test_two_inputs_train_evaluate_and_predict():
    model = two_inputs()
    model.compile("adam", "mse")
    inputs = [X, X[:, ::2].astype(np.float64)]
    history = model.fit(inputs, TARGETS, epochs=20, batch_size=16, validation_split=0.2, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert list(model.gradients()) == ["dense/kernel", "dense/bias", "dense_1/kernel", "head/kernel", "head/bias"]
    expected = sg.evaluate(model.output, dict(zip(model.inputs, inputs, strict=True)))
    np.testing.assert_allclose(model.predict(inputs), expected, rtol=1e-5, atol=1e-6)
    assert np.array_equal(model.predict({"right": inputs[1], "left": inputs[0]}), model.predict(inputs))
    assert model.evaluate(inputs, TARGETS) == pytest.approx(float(((expected - TARGETS) ** 2).mean()), rel=1e-5)
    assert history["val_loss"][-1] == model.evaluate([a[72:] for a in inputs], TARGETS[72:], batch_size=16)


def test_parameters_in_the_open_belong_to_the_model():
    x, W = Input((6,), name="x"), sg.parameter("W", (6, 2), seed=1)
    model = sg.Model(x, x @ W)
    model.compile(sg.optim.SGD(0.1), "mse")
    model.fit(X, X @ np.ones((6, 2)), epochs=40, batch_size=10, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], 1, atol=1e-3)
    assert list(model.gradients()) == ["W"]
    model.set_weights([np.zeros((6, 2))])
    assert not W.value.any()


def test_an_input_named_as_the_labels_is_another_symbol():
    y = Input((6,), name="Y")
    model = sg.Model(y, Dense(6)(y))
    model.compile("sgd", "mse")
    assert model.evaluate(X, np.zeros_like(X)) == pytest.approx(float((model.predict(X) ** 2).mean()), rel=1e-5)


def test_two_inputs_of_one_name_are_refused():
    one, other = Input((6,), name="x"), Input((3,), name="x")
    with pytest.raises(ValueError, match="two inputs are named 'x'"):
        sg.Model([one, other], Dense(2)(one))


def test_integers_as_indices():
    tokens, table = Input((2,), dtype="int32", name="tokens"), sg.parameter("table", (5, 3), seed=1)
    model = sg.Model(tokens, sg.mean(table[tokens], axis=1))
    model.compile(sg.optim.SGD(0.5), "mse")
    data = RNG.integers(-5, 5, (90, 2))
    np.testing.assert_allclose(model.predict(data), table.value[data].mean(axis=1), rtol=1e-6)
    history = model.fit(data.astype(np.int8)[::-1], np.zeros((90, 3)), epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]


def test_a_shared_layer_has_one_set_of_parameters():
    square = Dense(6, "tanh")
    model = sg.Sequential([Input((6,)), square, square, Dense(3, "softmax")])
    model.compile("adam", "categorical_crossentropy")
    assert list(model.gradients()) == ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]
    losses = model.fit(X, Y, epochs=5, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_what_a_layer_registers_is_updated_whatever_the_data():
    class Count(sg.layers.Layer):
        def build(self, shape, dtype):
            self.steps = self.add_parameter("steps", (), "zeros", trainable=False)

        def call(self, x, training=False):
            self.add_update(self.steps, self.steps + 1)
            return x + 0 * self.steps

    counter = Count()
    model = classifier(counter)
    for x in (X, X.astype(np.float64), X[:, ::-1]):
        model.fit(x, Y, batch_size=30, verbose=0)
    assert counter.steps.value == 9
    model.evaluate(X, Y)
    assert counter.steps.value == 9


def test_functions_are_losses_and_metrics():
    def loss(y, p):
        return sg.square(y - p)  # one value per element: averaged

    model = classifier(Input((6,)))
    model.compile("sgd", lambda y, p: sg.mean(sg.square(y - p), axis=1), ["mse", loss, lambda y, p: sg.max(p)])
    history = model.fit(X, Y, batch_size=90, verbose=0).history
    assert list(history) == ["loss", "mse", "loss_1", "<lambda>"]
    assert history["loss"] == pytest.approx(history["mse"])
    assert history["loss"] == pytest.approx(history["loss_1"])


def test_models_are_neither_copied_nor_pickled():
    model = classifier()
    assert repr(model) == "<Sequential 'sequential': 2 layers, not built yet>"
    model.predict(X)
    assert repr(model) == "<Sequential 'sequential': 2 layers, 4 parameters>"
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"neither copied nor pickled.*set_weights\(get_weights\(\)\)"):
            duplicate(model)


# -- several threads -----------------------------------------------------------------------------------------------


def test_a_model_predicts_from_several_threads_at_once():
    model = classifier(Input((6,)))
    expected = model.predict(X, batch_size=7)
    results: list[np.ndarray] = []

    def work():
        results.extend(model.predict(X, batch_size=7) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    assert all(np.array_equal(r, expected) for r in results)


def test_a_model_is_fitted_from_several_threads_without_losing_a_step():
    model = classifier(Input((6,)))
    model.compile("adam", "categorical_crossentropy")
    threads = [
        threading.Thread(target=model.fit, args=(X, Y), kwargs={"epochs": 5, "batch_size": 4, "verbose": 0})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert model.optimizer.state[0].value == 4 * 5 * 23
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_a_sample_may_be_one_number():
    x = Input(())
    model = sg.Model(x, 3 * x + sg.parameter("shift", (), init="zeros"))
    model.compile(optimizer=sg.optim.SGD(0.2), loss="mse")
    numbers = RNG.standard_normal(200).astype(np.float32)
    model.fit(numbers, 3 * numbers + 2, epochs=20, verbose=0)
    np.testing.assert_allclose(model.predict(numbers), 3 * numbers + 2, atol=0.05)


def test_an_interrupt_ends_a_long_fit_and_the_model_goes_on(request):
    model = classifier(Input((6,)))
    model.fit(X, Y, verbose=0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    threading.Timer(0.2, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=10**9, verbose=0)
    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_plans_of_many_lengths_are_not_kept_for_ever():
    model = classifier(Input((6,)))
    for n in range(1, 91):
        assert model.predict(X[:n]).shape == (n, 3)
    (program,) = model._programs.values()
    assert len(program._plans) <= 64


# -- what is printed -----------------------------------------------------------------------------------------------


def test_summary(golden, capsys):
    model = sg.Sequential([Flatten(input_shape=(28, 28)), Dense(512, "relu"), Dense(10, "softmax")], name="digits")
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    golden("summary.txt", "\n".join(lines))
    two_inputs().summary()
    assert "Total params: 50" in capsys.readouterr().out


class Terminal(io.StringIO):
    def isatty(self):
        return True


BAR = "=" * 30


def test_without_a_terminal_an_epoch_is_one_line(capsys):
    model = classifier(Input((6,)))
    model.fit(X, Y, epochs=2, batch_size=30, validation_data=(X, Y))
    out = capsys.readouterr().out
    number = r"\d\.\d{4}"
    measures = f"loss: {number} - accuracy: {number} - val_loss: {number} - val_accuracy: {number}"
    line = rf"3/3 \[{BAR}\] - \d+(us|ms|s) \d+(us|ms|s)/step - {measures}\n"
    assert re.fullmatch(rf"Epoch 1/2\n{line}Epoch 2/2\n{line}", out)
    for silent in (lambda: model.fit(X, Y, verbose=0), lambda: model.evaluate(X, Y), lambda: model.predict(X)):
        silent()
        assert capsys.readouterr().out == ""
    model.predict(X, verbose=1)
    assert re.fullmatch(rf"3/3 \[{BAR}\] - \w+ \w+/step\n", capsys.readouterr().out)
    model.evaluate(X, Y, verbose=1)
    assert re.fullmatch(rf"3/3 \[{BAR}\] - .* - loss: {number} - accuracy: {number}\n", capsys.readouterr().out)


def test_on_a_terminal_the_bar_moves(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    model = classifier(Input((6,)))
    model.fit(X, Y, batch_size=9)
    header, *rest = screen.getvalue().split("\r")
    assert header == "Epoch 1/1\n"
    assert re.fullmatch(r"\d+/10 \[=+>?\.*\] - loss: \d\.\d{4} - accuracy: \d\.\d{4}", rest[0])
    assert rest[-1].startswith(f"10/10 [{BAR}] - ")
    assert rest[-1].endswith("\n")
    assert max(map(len, rest[:-1])) <= len(rest[-1])  # nothing of the moving bar is left behind


def test_the_bar_fills_up():
    screen = Terminal()
    bar = Progress(4, 1, screen)
    for done in (1, 2, 4):
        bar.update(done, {"loss": 0.00012345})
    bars = re.findall(r"\[(.*?)\]", screen.getvalue())
    assert bars == ["=======>......................", "===============>..............", "=" * 30]
    assert "loss: 1.2345e-04" in screen.getvalue()
    with pytest.raises(ValueError, match="verbose is 'auto', 0, 1 or 2, not 3"):
        Progress(4, 3)


def test_gradients_of_a_model_in_mathematical_notation(capsys):
    model = sg.Sequential([sg.layers.Dense(2, input_shape=(3,))])
    model.compile("sgd", "mse")
    gradients = model.gradients()
    assert r"\mathrm{d}W &=" in sg.latex(gradients)
    assert gradients._repr_latex_() == rf"$\displaystyle {sg.latex(gradients)}$"
    assert gradients._repr_html_().startswith("<math")
    sg.pprint(gradients)
    assert "dW = " in capsys.readouterr().out
