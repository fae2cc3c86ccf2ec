"""Lanes: equal to the run alone at width 1, and the same in any company at any width."""

import functools
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxdict as jd
from jaxdict.lanes import _blocks
from jaxdict.train import segment
from small_run import CLASSES, HELD, LOSS, MODEL, X, Y, same_bits

RATES = [0.003, 0.03, 0.01, 0.1, 0.02, 0.3, 0.05]
NOISY = jd.models.mlp([4, 8, CLASSES], activation="tanh", dropout=0.2)
STOP = jd.observers.early_stopping(patience=2)
common = {"batch_size": 16, "epochs": 12, "validation": HELD, "metrics": "accuracy", "observers": [STOP]}
lanes = functools.partial(jd.fit_lanes, NOISY, LOSS, jd.optimizers.adam, (X, Y), **common)


@functools.cache
def alone(seed, rate, weights=None):
    return jd.fit(
        NOISY, LOSS, jd.optimizers.adam, (X, Y), key=seed, hyperparameters={"learning_rate": rate},
        sample_weight=None if weights is None else np.array(weights), **common,
    )  # fmt: skip


@functools.cache
def wide():
    return lanes(keys=range(7), hyperparameters={"learning_rate": RATES}, width=3)


def numbers(run):
    return {name: values for name, values in run.history.items() if name not in ("seconds", "steps_per_second")}


def same_run(a, b):
    same_bits((a.params, a.optimizer_state, numbers(a)), (b.params, b.optimizer_state, numbers(b)))
    assert (a.result, a.message, a.epoch, a.best.epoch) == (b.result, b.message, b.epoch, b.best.epoch)


def test_a_lane_of_width_one_is_the_run_alone():
    runs = lanes(keys=range(7), hyperparameters={"learning_rate": RATES}, width=1)
    assert len({run.epoch for run in runs}) > 2  # they stop at different times
    for seed, (run, rate) in enumerate(zip(runs, RATES, strict=True)):
        same_run(run, alone(seed, rate))
    np.testing.assert_array_equal(runs[3].predict(X), alone(3, RATES[3]).predict(X))
    assert runs[3].evaluate(HELD) == alone(3, RATES[3]).evaluate(HELD)


def test_segments_of_any_length_give_the_same_bits():
    for width in (1, 3):
        runs = lanes(keys=range(7), hyperparameters={"learning_rate": RATES}, width=width, segment_epochs=5)
        for run, other in zip(runs, wide() if width == 3 else map(alone, range(7), RATES), strict=True):
            same_run(run, other)


def test_a_lane_has_the_same_bits_in_any_company():
    order = [5, 0, 6, 2]
    fewer = lanes(keys=order, hyperparameters={"learning_rate": [RATES[i] for i in order]}, width=3, workers=1)
    for run, seed in zip(fewer, order, strict=True):
        same_run(run, wide()[seed])


def test_a_lane_that_diverges_changes_no_other():
    rates = [*RATES]
    rates[2] = 3e38
    runs = lanes(keys=range(7), hyperparameters={"learning_rate": rates}, width=3)
    assert runs[2].result == "diverged"
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(runs[2].params))
    for seed in (0, 1, 3, 4, 5, 6):
        same_run(runs[seed], wide()[seed])


def test_wider_is_another_rounding_only():
    with jax.enable_x64(True):
        model = jd.models.mlp([4, 8, CLASSES], activation="tanh", initializer=jd.initializers.xavier_normal())
        params, state, _ = model.init(jax.random.key(0), (4,))
        params = jax.tree.map(lambda x: x.astype(jnp.float64), params)
        train = functools.partial(
            jd.fit_lanes, model, LOSS, jd.optimizers.adam, (X, Y), keys=range(4), epochs=1, batch_size=16,
            hyperparameters={"learning_rate": RATES[:4]}, params=params, state=state,
        )  # fmt: skip
        narrow, broad = train(width=1), train(width=4)
        for one, other in zip(narrow, broad, strict=True):
            for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
                assert a.dtype == jnp.float64
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("width", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_sample_weights_by_lane(width):
    halves = (np.arange(50) % 2, 1 - np.arange(50) % 2, np.linspace(0, 2, 50))
    runs = lanes(keys=[4, 4, 4], hyperparameters={"learning_rate": 0.01}, sample_weight=np.stack(halves), width=width)
    for run, weights in zip(runs, halves, strict=True):
        other = alone(4, 0.01, tuple(weights.tolist()))
        if width == 1:
            same_run(run, other)
        else:
            np.testing.assert_allclose(run.history["loss"][:2], other.history["loss"][:2], rtol=1e-5)
    assert not np.array_equal(runs[0].history["loss"], runs[1].history["loss"])


@pytest.mark.parametrize("width", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_examples_by_lane(width):
    """Bootstrap samples, and three folds, one of another size, with the rest to be validated on."""
    rng = np.random.default_rng(0)
    boot = rng.integers(0, 50, (3, 40))
    held = np.array_split(np.arange(50), 3) if width == 1 else np.split(np.arange(48), 3)
    folds = [np.setdiff1d(np.arange(50 if width == 1 else 48), part) for part in held]
    stop = [jd.observers.early_stopping(monitor="loss", patience=2)]
    options = {"batch_size": 16, "epochs": 5, "metrics": "accuracy", "observers": stop}
    for train, rest in ((folds, held),) if width == 1 else ((boot, None), (folds, held)):
        runs = jd.fit_lanes(
            NOISY, LOSS, jd.optimizers.adam(0.01), (X, Y), keys=[4, 5, 6], indices=train, validation_indices=rest,
            width=width, **options,
        )  # fmt: skip
        for lane, run in enumerate(runs):
            validation = None if rest is None else (X[rest[lane]], Y[rest[lane]])
            data = X[train[lane]], Y[train[lane]]
            other = jd.fit(NOISY, LOSS, jd.optimizers.adam(0.01), data, key=4 + lane, validation=validation, **options)
            assert run.steps_per_epoch == other.steps_per_epoch
            if width == 1:
                same_run(run, other)
            else:
                np.testing.assert_allclose(run.history["loss"][:2], other.history["loss"][:2], rtol=1e-5)


@pytest.mark.parametrize("width", [1, 3])
def test_lanes_go_on_where_others_ended(width):
    """Every second of seven lanes to more epochs, as if they had never stopped."""
    chosen, ended = [0, 2, 5], []
    rates = {"learning_rate": RATES}
    short = lanes(keys=range(7), hyperparameters=rates, width=width, epochs=4, on_end=lambda n, run: ended.append(n))
    assert sorted(ended) == list(range(7))
    rates = {"learning_rate": [RATES[k] for k in chosen]}
    resumed = lanes(keys=chosen, hyperparameters=rates, width=width, resume=[short[k] for k in chosen])
    assert resumed.compiles == 0
    for lane, run in zip(chosen, resumed, strict=True):
        same_run(run, alone(lane, RATES[lane]) if width == 1 else wide()[lane])


def test_an_error_when_a_lane_ends_is_raised():
    def fail(number, run):
        raise RuntimeError(f"lane {number} is {run.result}")

    with pytest.raises(RuntimeError, match=r"lane \d is"):
        lanes(keys=range(7), hyperparameters={"learning_rate": RATES}, on_end=fail)


def test_numbers_reach_model_loss_and_penalty():
    def model(dropout):
        return jd.models.mlp([4, 8, CLASSES], activation="tanh", dropout=dropout)

    def loss(logits, labels, *, smoothing):
        targets = (1 - smoothing) * jax.nn.one_hot(labels, CLASSES) + smoothing / CLASSES
        return jd.losses.softmax_cross_entropy(logits, targets)

    def penalty(params, strength):
        return jd.penalties.l2(params, strength)

    columns = {"dropout": [0.0, 0.3, 0.5], "smoothing": [0.1, 0.0, 0.2], "strength": [0.0, 0.01, 0.1]}
    given = model, loss, jd.optimizers.adam(0.01), (X, Y)
    options = {"penalty": penalty, "batch_size": 16, "epochs": 3}
    for width in (1, 3):
        runs = jd.fit_lanes(*given, keys=[1, 1, 1], hyperparameters=columns, width=width, **options)
        for lane, run in enumerate(runs):
            own = {name: values[lane] for name, values in columns.items()}
            other = jd.fit(*given, key=1, hyperparameters=own, **options)
            if width == 1:
                same_bits((run.params, numbers(run)), (other.params, numbers(other)))
            for name in ("loss", "penalty"):
                np.testing.assert_allclose(run.history[name], other.history[name], rtol=1e-4)


def test_a_lane_can_be_saved_and_trained_on(tmp_path):
    rate = jnp.float32(RATES[0]).item()
    train = functools.partial(jd.fit_lanes, NOISY, LOSS, jd.optimizers.adam, (X, Y), batch_size=16)
    runs = train(keys=[8, 9], epochs=3, hyperparameters={"learning_rate": rate})
    for source in (runs[1], runs[1].save(tmp_path / "lane.safetensors")):
        options = {"key": 9, "batch_size": 16, "hyperparameters": {"learning_rate": rate}}
        longer = jd.fit(NOISY, LOSS, jd.optimizers.adam, (X, Y), epochs=5, resume=source, **options)
        same_bits(longer.params, jd.fit(NOISY, LOSS, jd.optimizers.adam, (X, Y), epochs=5, **options).params)
    np.testing.assert_array_equal(jd.load_run(tmp_path / "lane.safetensors").predict(X), runs[1].predict(X))


def test_nothing_is_compiled_again_for_other_numbers():
    model = jd.models.mlp([4, 5, CLASSES])  # no other test's program
    train = functools.partial(jd.fit_lanes, model, LOSS, jd.optimizers.adam, (X, Y), epochs=3, workers=2)
    for width in (1, 3):
        first = train(keys=range(4), hyperparameters={"learning_rate": RATES[:4]}, width=width)
        train(keys=range(10, 18), hyperparameters={"learning_rate": np.geomspace(1e-3, 1e-1, 8)}, width=width)
        program = segment.program(first[0].plan)
        assert program.start._cache_size() == 1
        if width == 1:
            assert program.segment._cache_size() == 1
        else:
            _, *functions = _blocks._block_program(first[0].plan, (), first.plan.devices)
            assert [f._cache_size() for f in functions] == [1, 1, 1]


def test_what_runs_tell():
    runs = wide()
    assert len(runs) == 7
    assert [run.epoch for run in runs[2:4]] == [run.epoch for run in (runs[2], runs[3])]
    table = runs.table()
    np.testing.assert_array_equal(table["lane"], np.arange(7))
    np.testing.assert_allclose(table["learning_rate"], RATES, rtol=1e-6)
    np.testing.assert_array_equal(table["epochs"], [run.epoch for run in runs])
    np.testing.assert_array_equal(table["accuracy"], [run.history["accuracy"][-1] for run in runs])
    lowest = [run.history["validation_loss"].min() for run in runs]
    assert runs.best() is runs[int(np.argmin(lowest))]
    highest = [run.history["validation_accuracy"].max() for run in runs]
    assert runs.best("validation_accuracy") is runs[int(np.argmax(highest))]
    assert runs.best("validation_accuracy", "min") is not runs.best("validation_accuracy")
    assert runs.plan.width == 3
    assert "width as given" in runs.plan.why
    assert repr(runs).startswith("<7 runs: ")
    with pytest.raises(KeyError, match="did you mean 'validation_accuracy'"):
        runs.best("validation_acuracy")


@pytest.mark.slow
def test_keys_of_every_form():
    keys = jax.random.split(jax.random.key(1), 2)
    train = functools.partial(jd.fit_lanes, MODEL, LOSS, jd.optimizers.adam(0.01), (X, Y), epochs=1)
    for given in (keys, list(keys), jax.random.key_data(keys)):
        for run, key in zip(train(keys=given), keys, strict=True):
            same_bits(run.params, jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), (X, Y), key=key, epochs=1).params)
    same_bits(train(keys=jnp.arange(2))[1].params, train(keys=[0, 1])[1].params)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keys": 3}, "keys must be one a lane"),
        ({"keys": []}, "keys must be one or more"),
        ({"keys": [0, "a"]}, r"keys\[1\] must be a PRNG key"),
        ({"hyperparameters": {"learning_rate": [0.1, 0.2]}}, r"must be one number or \(3,\).*got the shape \(2,\)"),
        ({"hyperparameters": {"learning_rate": [0.1, -0.2, 0.1]}}, "lane 1: learning_rate must be >= 0"),
        ({"hyperparameters": {"learning_rat": 0.1}}, "nothing takes the hyperparameter 'learning_rat'"),
        ({"sample_weight": np.ones((2, 50))}, r"\(3, n\) with a row for each lane; got \(2, 50\)"),
        ({"sample_weight": [np.ones(50), np.ones(50), -np.ones(50)]}, "lane 2: "),
        ({"sample_weight": np.ones((3, 50)), "validation": 0.2}, "not a fraction"),
        ({"indices": np.zeros((2, 4), int)}, r"indices must be 3 sets of integers, one a lane; got 2"),
        ({"indices": np.zeros((3, 4))}, r"indices of lane 0 must be integers \(m,\), at least one; got float64 of the"),
        ({"indices": [[1, 2], [], [3]]}, r"indices of lane 1 must be integers .*; got float64 of the shape \(0,\)"),
        ({"indices": [[1], [1], [2, 50]]}, r"indices of lane 2 must be in \[0, 50\), the examples; got 50"),
        ({"validation_indices": np.zeros((3, 4), int)}, "validation or validation_indices, not both"),
        ({"resume": [None]}, "resume must be 3 checkpoints or Runs, one a lane; got 1"),
        ({"width": 0}, "width must be >= 1"),
        ({"workers": 1.5}, "workers must be"),
        ({"epochs": 0}, "epochs must be >= 1"),
    ],
)
def test_bad_arguments(change, message):
    given = {"keys": [0, 1, 2], "hyperparameters": {"learning_rate": 0.01}} | change
    with pytest.raises((ValueError, TypeError), match=message):
        lanes(**given)


def test_an_error_inside_a_worker_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(_blocks._Lane, "took", lambda self, carry, seconds: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lanes(keys=range(3), hyperparameters={"learning_rate": 0.01})


@pytest.mark.parametrize("width", [1, 2])
def test_ctrl_c_leaves_usable_runs(width, monkeypatch):
    took, asked = _blocks._Lane.took, []

    def and_interrupt(lane, carry, seconds):
        took(lane, carry, seconds)
        if lane.run.epoch and not asked:
            asked.append(True)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(_blocks._Lane, "took", and_interrupt)
    before = signal.getsignal(signal.SIGINT)
    runs = jd.fit_lanes(
        MODEL, LOSS, jd.optimizers.adam(0.01), (X, Y), keys=range(5), epochs=1_000_000, width=width, workers=2
    )
    assert {run.result for run in runs} == {"interrupted"}
    assert 0 < max(run.epoch for run in runs) < 1_000_000
    for run in runs:
        assert run.predict(X).shape == (50, CLASSES)
        assert run.history.epochs == run.epoch
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
def test_sixty_four_lanes_on_the_digits():
    """Each the run alone at width 1; wider, a lane that meets NaN leaves 63 as they are, and scores are as before."""
    digits = jd.data.load("digits")
    rest, test = jd.data.split(digits, 0.3, key=0)
    model = jd.models.mlp([64, 32, 10], activation="relu")

    def penalty(params, strength):
        return jnp.sqrt(strength) * jd.penalties.l2(params, 1.0)

    options = {"epochs": 4, "validation": test, "metrics": "accuracy", "penalty": penalty}
    train = functools.partial(jd.fit_lanes, model, LOSS, jd.optimizers.adam(2e-3), rest, keys=range(64), **options)
    strength = np.geomspace(1e-12, 1e-6, 64)
    narrow = train(hyperparameters={"strength": strength}, width=1)
    for key, run in enumerate(narrow):
        own = {"strength": strength[key]}
        alone = jd.fit(model, LOSS, jd.optimizers.adam(2e-3), rest, key=key, hyperparameters=own, **options)
        same_run(run, alone)
    wide = train(hyperparameters={"strength": strength}, width=16)
    spoilt = strength.copy()
    spoilt[17] = -1  # NaN in its loss
    for key, (run, other) in enumerate(zip(wide, train(hyperparameters={"strength": spoilt}, width=16), strict=True)):
        if key == 17:
            assert other.result == "diverged"
        else:
            same_run(run, other)
    scores = [runs.table()["validation_accuracy"] for runs in (narrow, wide)]
    assert scipy.stats.ks_2samp(*scores).pvalue > 0.01
    assert abs(scores[0] - scores[1]).max() < 0.02  # the same seeds, another rounding
