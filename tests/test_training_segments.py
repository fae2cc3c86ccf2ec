"""Training: segments of any length, one compiled program, the shuffle, observers."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdict as jd
from jaxdict.train import segment
from small_run import CLASSES, HELD, LOSS, MODEL, X, Y, base, fit, same_bits


@pytest.mark.parametrize("length", [1, 2, 6])
def test_segments_of_any_length_give_the_same_bits(length):
    run = fit(epochs=6, validation=HELD, metrics="accuracy", segment_epochs=length)
    same_bits(run.params, base().params)
    same_bits(run.optimizer_state, base().optimizer_state)
    for column in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
        np.testing.assert_array_equal(run.history[column], base().history[column])


@pytest.mark.slow
def test_more_epochs_than_a_segment_holds_rows():
    epochs = segment.CAPACITY + 5
    run = jd.fit(MODEL, LOSS, "adam", (X[:8], Y[:8]), key=0, epochs=epochs, batch_size=8, segment_epochs=10_000)
    assert run.history.epochs == epochs
    assert np.all(run.history["loss"] > 0)


def counting(loss):
    calls = []

    def counted(predictions, labels):
        calls.append(1)
        return loss(predictions, labels)

    return counted, calls


def test_nothing_retraces():
    """Between segments, between fits of equal constructors and shapes, and when a hyperparameter's value changes."""
    loss, calls = counting(jd.losses.sparse_softmax_cross_entropy)

    def run(rate, strength=1e-3, **options):
        return jd.fit(
            jd.models.mlp([4, 8, CLASSES], activation="tanh"), loss, jd.optimizers.adam, (X, Y), key=3, batch_size=16,
            penalty=jd.penalties.l2, hyperparameters={"learning_rate": rate, "strength": strength},
            observers=[jd.observers.early_stopping(patience=50)], validation=HELD, metrics=["accuracy"], **options,
        )  # fmt: skip

    first = run(0.01, epochs=2, segment_epochs=1)
    compiled = segment.program(first.plan).segment._cache_size()
    assert compiled == 1
    del calls[:]
    second = run(0.03, epochs=5, segment_epochs=2)
    assert len(calls) <= 2  # the shapes of data and validation are looked at; nothing is traced for the program
    assert segment.program(second.plan).segment._cache_size() == 1
    assert segment.program(second.plan) is segment.program(first.plan)
    assert not np.array_equal(first.params["dense_1"]["kernel"], second.params["dense_1"]["kernel"])
    assert second.history["learning_rate"][0] == pytest.approx(0.03)


def test_equal_partials_share_a_program():
    a = fit(epochs=1, penalty=functools.partial(jd.penalties.l2, strength=0.1))
    b = fit(epochs=1, penalty=functools.partial(jd.penalties.l2, strength=0.1))
    assert segment.program(a.plan) is segment.program(b.plan)


def test_hyperparameters_reach_model_optimizer_loss_and_penalty():
    def run(**values):
        return jd.fit(
            lambda dropout: jd.models.mlp([4, 8, 1], dropout=dropout), jd.losses.huber,
            lambda rate, b1: jd.optimizers.adam(rate, b1=b1), (X, X[:, :1]), key=0, epochs=2,
            penalty=jd.penalties.l2, hyperparameters=values,
        )  # fmt: skip

    values = {"dropout": 0.1, "delta": 0.5, "rate": 0.01, "b1": 0.9, "strength": 0.01}
    losses = [run(**values).history["loss"][-1]]
    for name in values:
        losses.append(run(**values | {name: values[name] * 0.5}).history["loss"][-1])
    assert len(set(losses)) == len(losses)  # each of them matters


def test_a_plain_run_equals_one_with_hyperparameters_as_data():
    run = jd.fit(MODEL, LOSS, jd.optimizers.adam, (X, Y), key=3, epochs=6, batch_size=16, validation=HELD,
                 metrics="accuracy", hyperparameters={"learning_rate": 0.01})  # fmt: skip
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), run.params, base().params)


def test_the_shuffle_is_a_permutation_and_uniform():
    for count in (1, 2, 5, 2048, 2049, 70_001):
        order = np.asarray(jax.jit(segment.shuffle, static_argnums=1)(jax.random.key(count), count))
        np.testing.assert_array_equal(np.sort(order), np.arange(count))
    keys = jax.random.split(jax.random.key(0), 24_000)
    orders = np.asarray(jax.jit(jax.vmap(lambda k: segment.shuffle(k, 4)))(keys))
    codes = orders @ np.array([64, 16, 4, 1])
    _, counts = np.unique(codes, return_counts=True)
    assert len(counts) == 24
    assert ((counts - 1000.0) ** 2 / 1000).sum() < 49.7  # chi-square, 23 degrees, p = 0.001


@pytest.mark.parametrize("count", [1437, 3000])
def test_the_shuffle_favours_no_place(count):
    keys = jax.random.split(jax.random.key(1), 400)
    orders = np.asarray(jax.jit(jax.vmap(lambda k: segment.shuffle(k, count)))(keys))
    mean = orders.mean(axis=0)  # over draws, each place should hold (count - 1) / 2 on average
    error = (mean - (count - 1) / 2) / (count / np.sqrt(12 * 400))
    assert abs(error.mean()) < 1e-6
    assert np.abs(error).max() < 5
    assert error.std() == pytest.approx(1, abs=0.08)


@pytest.mark.slow
def test_shuffles_of_neighbouring_epochs_are_unrelated():
    """No pair of neighbours stays together, and no order is like the one before, more often than chance has it."""
    count, epochs = 1437, 300
    base = jax.random.key(2)
    orders = np.asarray(
        jax.jit(jax.vmap(lambda e: segment.shuffle(jax.random.fold_in(base, e), count)))(jnp.arange(epochs))
    )
    together = (np.abs(np.diff(orders, axis=1)) == 1).sum()  # 2 (n - 1) / n a shuffle on average, nearly Poisson
    wanted = 2 * (count - 1) / count * epochs
    assert abs(together - wanted) < 5 * np.sqrt(wanted)
    fixed = (orders[1:] == orders[:-1]).sum()  # one place in common on average
    assert abs(fixed - (epochs - 1)) < 5 * np.sqrt(epochs - 1)
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in itertools.pairwise(orders)]
    assert abs(np.mean(correlation)) < 5 / np.sqrt(count * (epochs - 1))
    assert np.std(correlation) == pytest.approx(1 / np.sqrt(count - 1), rel=0.25)


def test_best_so_far():
    run = base()
    epoch = int(np.argmin(run.history["validation_loss"])) + 1
    assert run.best.epoch == epoch
    assert run.best.value == run.history["validation_loss"][epoch - 1]
    again = fit(epochs=epoch, validation=HELD, metrics="accuracy")
    same_bits(run.best.params, again.params)


def noisy(epochs, **options):
    """A run whose validation loss turns: a large rate on little data."""
    stop = jd.observers.early_stopping(patience=3, **options)
    return jd.fit(MODEL, LOSS, jd.optimizers.adam(0.2), (X[:20], Y[:20]), key=1, epochs=epochs, batch_size=8,
                  validation=HELD, observers=[stop])  # fmt: skip


def test_early_stopping_stops_and_restores():
    run = noisy(200)
    losses = run.history["validation_loss"]
    assert run.result == "stopped"
    best = int(np.argmin(losses)) + 1
    assert run.epoch == best + 3 < 200
    assert run.message == f"stopped by an observer after epoch {run.epoch}; parameters restored from epoch {best}"
    assert run.evaluate(HELD)["loss"] == pytest.approx(losses[best - 1], rel=1e-5)
    last = noisy(200, restore_best=False)
    assert last.epoch == run.epoch
    assert last.evaluate(HELD)["loss"] == pytest.approx(losses[-1], rel=1e-5)


@pytest.mark.slow
def test_early_stopping_takes_a_maximum_and_min_delta():
    stop = jd.observers.early_stopping(monitor="validation_accuracy", mode="max", patience=2, min_delta=2.0)
    run = fit(epochs=9, validation=HELD, metrics="accuracy", observers=[stop])
    assert run.epoch == 3  # nothing improves by 2 after the first epoch
    assert run.best.epoch == 1


def test_observers_check_what_they_are_given():
    with pytest.raises(
        ValueError,
        match=r"an observer monitors 'validation_loss' \(there is no validation data\); known: learning_rate, loss",
    ):
        fit(epochs=1, observers=[jd.observers.early_stopping()])
    with pytest.raises(ValueError, match=r"monitors 'validation_acuracy'; did you mean 'validation_accuracy'"):
        fit(epochs=1, validation=HELD, metrics="accuracy", observers=[jd.observers.best(monitor="validation_acuracy")])
    with pytest.raises(ValueError, match=r"mode must be one of 'min', 'max'; got 'mx'"):
        jd.observers.best(mode="mx")
    with pytest.raises(ValueError, match="patience must be >= 1; got 0"):
        jd.observers.early_stopping(patience=0)
    with pytest.raises(ValueError, match="min_delta must be >= 0; got -1"):
        jd.observers.early_stopping(min_delta=-1)
