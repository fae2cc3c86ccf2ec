"""Training: how a run ends, what it predicts, and batches that come from outside."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdict as jd
from small_run import CLASSES, HELD, LOSS, MODEL, X, Y, base, fit, same_bits


def exploding(epochs=20):
    blow = optax.sgd(lambda count: jnp.where(count < 12, 0.05, 1e30))
    return jd.fit(MODEL, "mean_squared_error", blow, (X, np.eye(CLASSES, dtype=np.float32)[Y]), key=3, epochs=epochs,
                  batch_size=16)  # fmt: skip


def test_a_diverged_run_names_the_epoch_and_keeps_the_last_finite_state():
    run = exploding()
    assert run.result == "diverged"
    assert run.epoch == 4
    assert run.message.startswith("diverged in epoch 4: ")
    assert run.message.endswith("the parameters are those after epoch 3")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((run.params, run.optimizer_state)))
    same_bits(run.params, exploding(3).params)
    assert run.best.epoch <= 3


def test_a_callback_can_stop_the_run_and_sees_it_live():
    seen = []

    class Watch:
        every = 2

        def on_start(self, run):
            seen.append(("start", run.epoch, run.result))

        def on_segment(self, run):
            seen.append((run.epoch, run.history.epochs, run.params["dense_1"]["bias"].shape))
            return run.epoch >= 4

        def on_end(self, run):
            seen.append(("end", run.epoch, run.result))

    run = fit(epochs=9, callbacks=[Watch()], segment_epochs=9)
    assert seen == [("start", 0, "running"), (2, 2, (8,)), (4, 4, (8,)), ("end", 4, "stopped")]
    assert run.message == "stopped by a callback after epoch 4"


def test_parameters_seen_by_a_callback_stay_valid():
    kept = []
    fit(epochs=3, segment_epochs=1, callbacks=[lambda run: kept.append(run.params) and None])
    assert [bool(np.isfinite(p["dense_1"]["kernel"]).all()) for p in kept] == [True] * 3
    same_bits(kept[1], fit(epochs=2).params)


def test_an_error_in_a_callback_still_ends_the_run():
    ended = []

    class Fails:
        def on_segment(self, run):
            raise RuntimeError("disk full")

        def on_end(self, run):
            ended.append(run.result)

    with pytest.raises(RuntimeError, match="disk full"):
        fit(epochs=3, callbacks=[Fails()])
    assert ended == ["interrupted"]


def test_every_callback_is_told_of_the_end():
    class Ends:
        def __init__(self, fails):
            self.fails, self.told = fails, False

        def on_end(self, run):
            self.told = True
            if self.fails:
                raise RuntimeError("no")

    callbacks = [Ends(True), Ends(False)]
    with pytest.raises(RuntimeError, match="no"):
        fit(epochs=1, callbacks=callbacks)
    assert all(c.told for c in callbacks)


def test_an_error_inside_a_segment_is_the_one_that_is_seen(monkeypatch):
    def broken(self, carry, end):
        if end > 2:
            jax.tree.map(lambda x: x.delete(), carry)
            raise MemoryError("the device is full")
        return type(self)._plain_segment(self, carry, end)

    from jaxdict import runner

    monkeypatch.setattr(runner.Job, "_plain_segment", runner.Job.segment, raising=False)
    monkeypatch.setattr(runner.Job, "segment", broken)
    with pytest.raises(MemoryError, match="the device is full"):
        fit(epochs=4, segment_epochs=1, observers=[jd.observers.early_stopping(monitor="loss")])


def test_ctrl_c_leaves_a_usable_run():
    import signal

    def interrupt(run):
        if run.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    run = fit(epochs=50, segment_epochs=1, callbacks=[interrupt])
    assert run.result == "interrupted"
    assert run.message == "interrupted after epoch 2"
    assert run.predict(X).shape == (50, CLASSES)
    same_bits(run.params, fit(epochs=2).params)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("count", [0, 1, 7, 50])
def test_predict_any_number(count):
    run = base()
    raw = run.predict(X[:count], batch_size=16)
    assert raw.shape == (count, CLASSES)
    np.testing.assert_allclose(raw, MODEL.apply(run.params, run.state, X[:count])[0], rtol=1e-5, atol=1e-6)
    probabilities = np.asarray(run.predict(X[:count], output="probabilities"))
    np.testing.assert_allclose(probabilities.sum(1), np.ones(count), rtol=1e-5)
    np.testing.assert_array_equal(run.predict(X[:count], output="classes"), np.asarray(raw).argmax(1))


def test_predictions_averaged_over_dropout_masks():
    model = jd.models.mlp([4, 64, CLASSES], dropout=0.5)
    run = jd.fit(model, LOSS, "adam", (X, Y), key=0, epochs=2)
    plain, few, many = run.predict(X), run.predict(X, dropout_samples=2), run.predict(X, dropout_samples=300)
    assert np.abs(few - plain).mean() > np.abs(many - plain).mean() > 0


def test_predict_errors():
    with pytest.raises(ValueError, match=r"inputs must have the shape \(n, 4\); got \(3, 5\)"):
        base().predict(np.zeros((3, 5), np.float32))
    with pytest.raises(ValueError, match="output must be one of"):
        base().predict(X, output="logits")
    regression = jd.fit(jd.models.mlp([4, 1]), "mean_squared_error", "adam", (X, X[:, 0]), key=0, epochs=1)
    with pytest.raises(ValueError, match=r"output='classes' needs a loss on logits .* 'mean_squared_error'"):
        regression.predict(X, output="classes")


def test_a_vector_of_targets_beside_a_column_of_outputs_is_that_column():
    model = jd.models.mlp([4, 8, 1])
    a = jd.fit(
        model, "huber", "adam", (X, X[:, 0] * 2), key=0, epochs=3, metrics="r2", validation=(X[:9], X[:9, 0] * 2)
    )
    b = jd.fit(
        model, "huber", "adam", (X, X[:, :1] * 2), key=0, epochs=3, metrics="r2", validation=(X[:9], X[:9, :1] * 2)
    )
    same_bits(a.params, b.params)
    assert a.evaluate((X, X[:, 0] * 2)) == b.evaluate((X, X[:, :1] * 2))


def test_binary_classes():
    labels = (Y > 0).astype(np.int32)
    run = jd.fit(jd.models.mlp([4, 8, 1]), "sigmoid_cross_entropy", jd.optimizers.adam(0.05), (X, labels), key=0,
                 epochs=20, metrics="binary_accuracy", class_weight={0: 2.0, 1: 1.0})  # fmt: skip
    predicted = run.predict(X, output="classes")
    assert predicted.shape == (50,)
    assert np.mean(np.asarray(predicted) == (Y > 0)) == pytest.approx(
        run.evaluate((X, (Y > 0).astype(np.int32)))["binary_accuracy"]
    )


def batches(size=16, extra=()):
    for start in range(0, 50, size):
        yield (X[start : start + size], Y[start : start + size], *(e[start : start + size] for e in extra))


def test_batches_from_a_function():
    run = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), batches, key=3, epochs=4, validation=HELD, metrics="accuracy")
    assert run.history.epochs == 4
    assert run.step == 16
    listed = jd.fit(
        MODEL, LOSS, jd.optimizers.adam(0.01), list(batches()), key=3, epochs=4, validation=HELD, metrics="accuracy"
    )
    same_bits(run.params, listed.params)


@pytest.mark.slow
def test_a_batch_of_everything_equals_the_resident_run():
    a = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), [(X, Y)], key=3, epochs=5, metrics="accuracy")
    b = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), (X, Y), key=3, epochs=5, batch_size=50, metrics="accuracy")
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-6), a.params, b.params)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-5)


@pytest.mark.slow
def test_weights_come_with_batches():
    weights = np.linspace(0, 2, 50).astype(np.float32)
    a = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), [(X, Y, weights)], key=3, epochs=2)
    b = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), (X, Y), key=3, epochs=2, batch_size=50, sample_weight=weights)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-5)


def test_many_batches_are_stacked_and_a_diverged_epoch_is_undone():
    many = [(X[i % 40 : i % 40 + 5], Y[i % 40 : i % 40 + 5]) for i in range(37)]
    run = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), many, key=0, epochs=2)
    assert run.step == 74
    bad = jd.fit(MODEL, LOSS, optax.sgd(lambda c: jnp.where(c < 40, 0.01, jnp.inf)), many, key=0, epochs=4)
    assert (bad.result, bad.epoch) == ("diverged", 2)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(bad.params))


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (lambda: batches(), {"epochs": 3}, r"the batches ran out after 1 epoch\(s\): give a function"),
        (list, {}, "the data holds no batch"),
        (lambda: [X], {}, r"a batch must be \(inputs, targets\)"),
        (lambda: [(X, Y), (X[:, :3], Y)], {}, r"batch 2 holds examples of shape \(3,\), the first batch \(4,\)"),
        (lambda: [(X, Y), (X, Y + 7)], {}, r"batch 2 targets"),
        (lambda: [(X, Y)], {"validation": 0.2}, "not a fraction"),
        (lambda: [(X, Y)], {"class_weight": {0: 1.0}}, "each batch's third part"),
    ],
)
def test_errors_of_batches(data, options, message):
    given = data()
    with pytest.raises(ValueError, match=message):
        jd.fit(MODEL, LOSS, "adam", given, key=0, **({"epochs": 1} | options))


def test_data_of_no_kind():
    with pytest.raises(TypeError, match=r"data must be .* got int"):
        jd.fit(MODEL, LOSS, "adam", 3, key=0, epochs=1)
