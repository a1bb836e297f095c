"""Training: what `fit` computes against NumPy, the verbs of a model, and that the bits are always the same."""

import numpy as np
import numpy_network as reference
import pytest

import symgrad as sg
from symgrad.philox import as_key, fold, permutation

SAMPLES, FEATURES, CLASSES, BATCH = 1000, 20, 4, 128  # 1000 = 7 * 128 + 104: the last batch is short
RNG = np.random.default_rng(1)
X = RNG.standard_normal((SAMPLES, FEATURES)).astype(np.float32)
LABELS = (X @ RNG.standard_normal((FEATURES, CLASSES)) + RNG.standard_normal((SAMPLES, CLASSES))).argmax(axis=1)
Y = np.eye(CLASSES, dtype=np.float32)[LABELS]


def network(optimizer="rmsprop", loss="categorical_crossentropy", metrics=("accuracy",), hidden=16, **chosen):
    model = sg.Sequential(
        [
            sg.layers.Dense(hidden, activation="relu", input_shape=(FEATURES,)),
            sg.layers.Dense(CLASSES, activation="softmax"),
        ],
        seed=3,
    )
    model.compile(optimizer, loss, list(metrics), **chosen)
    return model


def assert_same_bits(some, others):
    assert [w.tobytes() for w in some] == [w.tobytes() for w in others]


# -- against NumPy -------------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": (lambda: sg.optim.SGD(0.1), lambda: reference.sgd(0.1)),
    "momentum": (lambda: sg.optim.SGD(0.05, momentum=0.9), lambda: reference.sgd(0.05, 0.9)),
    "Nesterov": (
        lambda: sg.optim.SGD(0.05, momentum=0.9, nesterov=True),
        lambda: reference.sgd(0.05, 0.9, nesterov=True),
    ),
    "RMSprop": (lambda: "rmsprop", reference.rmsprop),
    "Adam": (lambda: "adam", reference.adam),
}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_epochs_are_those_of_numpy(name, shuffle):
    ours, theirs = OPTIMIZERS[name]
    model, step = network(ours()), theirs()
    weights = [w.astype(np.float64) for w in model.get_weights()]
    history = model.fit(X, Y, epochs=2, batch_size=BATCH, shuffle=shuffle, seed=11, verbose=0).history
    for number in range(2):
        order = permutation(fold(as_key(11), number), SAMPLES) if shuffle else np.arange(SAMPLES)
        loss, accuracy = reference.epoch(weights, X.astype(np.float64), Y, order, BATCH, step)
        assert history["loss"][number] == pytest.approx(loss, rel=2e-6)
        assert history["accuracy"][number] == pytest.approx(accuracy, abs=1.5 / SAMPLES)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, atol=2e-5)


def test_a_batch_that_divides_the_samples_and_one_larger_than_all():
    for batch in (250, 5000):
        model, step = network("sgd"), reference.sgd()
        weights = [w.astype(np.float64) for w in model.get_weights()]
        history = model.fit(X, Y, batch_size=batch, shuffle=False, verbose=0).history
        loss, _ = reference.epoch(weights, X.astype(np.float64), Y, np.arange(SAMPLES), batch, step)
        assert history["loss"] == [pytest.approx(loss, rel=2e-6)]
        np.testing.assert_allclose(model.get_weights()[0], weights[0], atol=1e-5)


def test_the_orders_of_shuffled_epochs_are_permutations_that_differ():
    orders = [permutation(fold(as_key(seed), number), SAMPLES) for seed in (0, 1) for number in (0, 1)]
    assert all(np.array_equal(np.sort(order), np.arange(SAMPLES)) for order in orders)
    assert len({order.tobytes() for order in orders}) == 4


def test_labels_that_do_not_sum_to_one_warn_once_and_train_with_the_general_gradient():
    for labels in (2 * Y, Y.astype(np.uint8) * 3, (Y + 0.25) * np.float32(0.7)):
        model, step = network(sg.optim.SGD(0.1)), reference.sgd(0.1)
        weights = [w.astype(np.float64) for w in model.get_weights()]
        with pytest.warns(UserWarning, match="do not sum to one; training uses the general gradient") as warned:
            loss = model.fit(X, labels, batch_size=BATCH, shuffle=False, verbose=0).history["loss"]
        assert [w.filename for w in warned] == [__file__]
        model.fit(X, labels, epochs=0)  # a second warning would be an error
        expected, _ = reference.epoch(weights, X, labels.astype(np.float64), np.arange(SAMPLES), BATCH, step)
        assert loss == [pytest.approx(expected, rel=2e-6)]
        for got, want in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-5)


# -- the same bits always ------------------------------------------------------------------------------------------

VARIANTS = {
    "again": {}, "one thread": {"threads": 1}, "two threads": {"threads": 2}, "three threads": {"threads": 3},
    "unfused": {"options": sg.Options(fuse=False)},
    "unfused, three threads": {"options": sg.Options(fuse=False), "threads": 3},
    "unpacked": {"options": sg.Options(packing=False)},
}  # fmt: skip
WIDE_X = RNG.standard_normal((700, FEATURES)).astype(np.float32)
WIDE_Y = np.eye(CLASSES, dtype=np.float32)[RNG.integers(0, CLASSES, 700)]


def trained(optimizer, **chosen):
    model = network(optimizer, hidden=96, **chosen)
    history = model.fit(WIDE_X, WIDE_Y, batch_size=BATCH, seed=5, verbose=0).history
    return [*model.get_weights(), *(s.value for s in model.optimizer.state), np.array(list(history.values()))]


@pytest.fixture(scope="module")
def first_runs():
    return {optimizer: trained(optimizer) for optimizer in ("rmsprop", "adam")}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_seed_gives_the_same_bits(variant, first_runs):
    for optimizer, first in first_runs.items():
        assert_same_bits(first, trained(optimizer, **VARIANTS[variant]))


def test_seeds_choose_first_weights_and_orders():
    def run(seed, order):
        model = sg.Sequential([sg.layers.Dense(CLASSES, activation="softmax", input_shape=(FEATURES,))], seed=seed)
        model.compile("sgd", "categorical_crossentropy")
        first = model.get_weights()
        model.fit(X, Y, batch_size=BATCH, seed=order, verbose=0)
        return first, model.get_weights()

    (a, after_a), (b, after_b), (c, _), (d, after_d) = run(1, 1), run(1, 1), run(2, 1), run(1, 2)
    assert_same_bits(a, b)
    assert_same_bits(after_a, after_b)
    assert_same_bits(a, d)
    assert not np.array_equal(a[0], c[0])
    assert not np.array_equal(after_a[0], after_d[0])


def test_set_seed_repeats_everything_that_nobody_seeded():
    def run():
        sg.set_seed(7)
        results = []
        for _ in range(2):
            model = sg.Sequential([sg.layers.Dense(CLASSES, activation="softmax", input_shape=(FEATURES,))])
            model.compile("sgd", "categorical_crossentropy")
            model.fit(X[:200], Y[:200], verbose=0)
            results += model.get_weights()
        return results

    try:
        first = run()
        assert_same_bits(first, run())
        assert not np.array_equal(first[0], first[2])
    finally:
        sg.set_seed(0)


# -- the verbs -----------------------------------------------------------------------------------------------------


def test_fit_lowers_the_loss_and_keeps_a_history():
    model = network()
    history = model.fit(X, Y, epochs=4, batch_size=BATCH, verbose=0, validation_data=(X[:300], Y[:300]))
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history.epoch == [0, 1, 2, 3]
    losses = history.history["loss"]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.9 * losses[0]
    assert history.history["val_loss"][-1] == model.evaluate(X[:300], Y[:300], batch_size=BATCH)[0]


def test_real_digits_are_learnt():
    (images, labels), _ = sg.datasets.mnist()
    model = sg.Sequential([sg.layers.Flatten(), sg.layers.Dense(32, "relu"), sg.layers.Dense(10, "softmax")], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    x = images[:1000].astype(np.float32) / 255
    history = model.fit(x, labels[:1000], epochs=6, batch_size=32, verbose=0, seed=0).history
    assert history["accuracy"][-1] > 0.9
    assert model.evaluate(images[5000:6000] / 255, labels[5000:6000])[1] > 0.8


def test_validation_split_holds_back_the_end_before_shuffling():
    split, given = network("sgd"), network("sgd")
    a = split.fit(X, Y, epochs=2, batch_size=BATCH, validation_split=0.25, seed=1, verbose=0).history
    b = given.fit(X[:750], Y[:750], epochs=2, batch_size=BATCH, validation_data=(X[750:], Y[750:]), seed=1, verbose=0)
    assert a == b.history
    assert_same_bits(split.get_weights(), given.get_weights())


def test_no_epochs_and_no_shuffling():
    model = network()
    before = model.get_weights()
    assert model.fit(X, Y, epochs=0, verbose=0).history == {}
    assert_same_bits(before, model.get_weights())
    ordered, other = network("sgd"), network("sgd")
    ordered.fit(X, Y, shuffle=False, seed=1, verbose=0)
    other.fit(X, Y, shuffle=False, seed=2, verbose=0)
    assert_same_bits(ordered.get_weights(), other.get_weights())


def test_evaluate_and_predict_are_what_the_interpreter_says():
    model = network()
    model.fit(X, Y, batch_size=BATCH, verbose=0)
    (x,) = model.inputs
    y = sg.symbol("y", (sg.dim("N"), CLASSES))
    expected = sg.evaluate(model.output, {x: X})
    for batch in (1, 32, 333, 5000):
        np.testing.assert_allclose(model.predict(X, batch_size=batch), expected, rtol=2e-5, atol=1e-7)
    loss = sg.evaluate(sg.losses.categorical_crossentropy(y, model.output), {x: X, y: Y})
    accuracy = (expected.argmax(axis=1) == LABELS).mean()
    assert model.evaluate(X, Y) == [pytest.approx(float(loss), rel=1e-5), pytest.approx(accuracy, abs=1e-6)]
    without = network(metrics=())
    without.set_weights(model.get_weights())
    assert without.evaluate(X, Y) == pytest.approx(float(loss), rel=1e-5)


def test_train_on_batch_is_one_step_and_reports_what_was_before():
    model, other = network("sgd"), network("sgd")
    before = other.evaluate(X[:50], Y[:50], batch_size=50)
    assert model.train_on_batch(X[:50], Y[:50]) == before
    other.fit(X[:50], Y[:50], batch_size=50, shuffle=False, verbose=0)
    assert_same_bits(model.get_weights(), other.get_weights())


def test_weights_are_copies_and_all_or_nothing():
    model = network()
    weights = model.get_weights()
    weights[0][:] = 7
    assert not np.any(model.get_weights()[0] == 7)
    model.set_weights([w.astype(np.float64) for w in weights])
    assert np.all(model.get_weights()[0] == 7)
    with pytest.raises(sg.ShapeError, match=r"dense_1/bias has another shape; \(5,\) instead of \(4,\)"):
        model.set_weights([*(np.zeros_like(w) for w in weights[:3]), np.zeros(5)])
    with pytest.raises(sg.DTypeError, match="complex"):
        model.set_weights([*(np.zeros_like(w) for w in weights[:3]), np.zeros(4, complex)])
    with pytest.raises(sg.ShapeError, match="4 parameters; 3 arrays"):
        model.set_weights(weights[:3])
    assert_same_bits(weights, model.get_weights())


def test_the_learning_rate_changes_without_compilation_and_state_survives_a_second_fit():
    model, twice = network("adam"), network("adam")
    model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    for _ in range(2):
        twice.fit(X, Y, shuffle=False, verbose=0)
    assert_same_bits(model.get_weights(), twice.get_weights())
    model.optimizer.learning_rate = 0.0
    model.fit(X, Y, verbose=0)
    assert_same_bits(model.get_weights(), twice.get_weights())


def test_an_error_while_watching_leaves_the_weights_of_a_whole_step():
    rows, batch = np.arange(SAMPLES), 10

    def stop(done, means):
        if done >= 4:
            seen.append(done)
            raise KeyboardInterrupt

    seen: list[int] = []
    model, step = network(sg.optim.SGD(0.1)), reference.sgd(0.1)
    weights = [w.astype(np.float64) for w in model.get_weights()]
    with pytest.raises(KeyboardInterrupt):
        model.trainer(X, Y, batch).epoch(rows, stop)
    reference.epoch(weights, X, Y, rows[: batch * seen[0]], batch, step)
    for got, want in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
    model.fit(X, Y, verbose=0)  # and the model is as usable as before


def test_gradients_are_named_as_the_parameters_are_and_agree_with_differences():
    model = network()
    found = model.gradients()
    assert list(found) == ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]
    (x,) = model.inputs
    labels = next(n for n in sg.expr.topological(found.values()) if n.op == "symbol" and n is not x)
    values = sg.evaluate(list(found.values()), {x: X[:50], labels: Y[:50]})
    _, _, expected = reference.gradients([w.astype(np.float64) for w in model.get_weights()], X[:50], Y[:50])
    for got, want in zip(values, expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)
    assert "H.T @ (P - Y) / N" in sg.format_equations({"d": found["dense_1/kernel"]})
