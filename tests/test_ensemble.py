"""Ensembles: averages, votes and the error law against NumPy and SciPy; members against runs alone, bit for bit."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

import jaxdict as jd
from jaxdict import ensemble
from jaxdict.ensemble import training
from small_run import CLASSES, HELD, LOSS, MODEL, X, Y, same_bits

RNG = np.random.default_rng(0)
ADAM = jd.optimizers.adam(0.01)
common = {"epochs": 3, "batch_size": 16, "metrics": "accuracy"}
given = MODEL, LOSS, ADAM, (X, Y)


@functools.cache
def bag():
    return ensemble.bagging(*given, members=5, key=7, **common)


@functools.cache
def regression(members=4):
    """On diabetes, standardized: seeds of a small network."""
    data = jd.data.load("diabetes")
    x, y = (((v - v.mean(0)) / v.std(0)).astype(np.float32) for v in (data.inputs, data.targets))
    model = jd.models.mlp([10, 16, 1], activation="tanh")
    made = ensemble.seeds(model, "mse", ADAM, (x[:300], y[:300]), members=members, key=0, epochs=20)
    return made, x[300:], y[300:]


# ------------------------------------------------------------------------------------------------- pure functions


@pytest.mark.parametrize("axis", [0, -1])
def test_average_is_numpys(axis):
    p = RNG.normal(size=(4, 5, 3)).astype(np.float32)
    for weights in (None, RNG.random(p.shape[axis])):
        expected = np.average(p.astype(np.float64), axis=axis, weights=weights)
        function = ensemble.average if axis else jax.jit(ensemble.average, static_argnames="axis")
        np.testing.assert_allclose(function(p, weights=weights, axis=axis), expected, rtol=1e-5, atol=1e-6)


def test_weights_by_example_and_none_at_all():
    p, w = RNG.normal(size=(4, 5, 3)).astype(np.float32), RNG.random((4, 5))
    w[:, 2] = 0
    found = ensemble.average(p, weights=w)
    assert np.isnan(found[2]).all()
    expected = np.stack([np.average(p[:, i], axis=0, weights=w[:, i]) for i in (0, 1, 3, 4)])
    np.testing.assert_allclose(found[np.array([0, 1, 3, 4])], expected, rtol=1e-5, atol=1e-6)
    rows = jax.vmap(lambda p, w: ensemble.average(p, weights=w), in_axes=1)(p, jnp.asarray(w))
    np.testing.assert_allclose(rows, found, rtol=1e-6)


def test_the_average_of_narrow_types_is_right_in_them():
    p = jnp.asarray(1 + RNG.random((300, 4)), jnp.bfloat16)
    found = ensemble.average(p)
    assert found.dtype == jnp.bfloat16
    same_bits(found, jnp.asarray(np.asarray(p, np.float64).mean(0), jnp.bfloat16))
    assert ensemble.average(np.array([[1], [2]])).dtype == jnp.float32


@pytest.mark.parametrize("members", [2, 7])
def test_vote_is_scipys_mode(members):
    classes = RNG.integers(0, 4, (members, 200))  # few members, so that many votes are tied
    expected = scipy.stats.mode(classes, axis=0).mode
    counted = functools.partial(ensemble.vote, classes_count=4)
    for function in (ensemble.vote, counted, jax.jit(counted), lambda c: jax.vmap(counted, 1)(jnp.asarray(c))):
        found = function(classes)
        assert found.dtype == jnp.int32
        np.testing.assert_array_equal(found, expected)


def test_a_weighted_vote():
    classes, weights = RNG.integers(0, 3, (6, 50)), RNG.integers(0, 5, 6).astype(float)
    votes = [np.bincount(column, weights, minlength=3) for column in classes.T]
    np.testing.assert_array_equal(ensemble.vote(classes, weights=weights), np.argmax(votes, axis=1))
    by_example = np.broadcast_to(weights[:, None], classes.shape)
    np.testing.assert_array_equal(ensemble.vote(classes, weights=by_example), np.argmax(votes, axis=1))
    np.testing.assert_array_equal(ensemble.vote([[0, 2], [1, 1]], weights=[1, 3]), [1, 1])


@pytest.mark.parametrize("k", [1, 7])
def test_the_error_law_on_any_errors(k):
    e = RNG.normal(size=(k, 40)) + RNG.normal(size=40)
    law = jax.jit(ensemble.error_law)(e)
    pairs = [np.mean(e[i] * e[j]) for i in range(k) for j in range(k) if i != j]
    expected = np.mean(e.mean(0) ** 2), np.mean(e**2), np.mean(pairs) if pairs else 0.0
    np.testing.assert_allclose(law[:3], expected, rtol=1e-5)
    np.testing.assert_allclose(law.predicted, law.averaged, rtol=1e-5)


def test_the_error_law_at_its_ends():
    same = ensemble.error_law(np.tile(RNG.normal(size=30), (5, 1)))
    np.testing.assert_allclose(same.averaged, same.member, rtol=1e-5)
    independent = ensemble.error_law(RNG.normal(size=(5, 100_000)))
    np.testing.assert_allclose(independent.averaged, independent.member / 5, rtol=0.02)


def test_the_error_law_on_real_runs():
    made, x, y = regression()
    errors = np.asarray(made.predictions(x), np.float64)[..., 0] - y
    law = ensemble.error_law(errors)
    scores = made.evaluate((x, y))
    np.testing.assert_allclose(law.predicted, law.averaged, rtol=1e-5)
    np.testing.assert_allclose(law.averaged, scores["loss"], rtol=1e-5)
    np.testing.assert_allclose(law.member, scores["member_loss"], rtol=1e-5)
    assert law.member / 4 < law.averaged < 0.98 * law.member  # errors agree, but not wholly


# -------------------------------------------------------------------------------------------------- what members say


def softmax_of(run, x):
    return scipy.special.softmax(np.asarray(run.predict(x), np.float64), axis=-1)


def test_probabilities_are_averaged_for_classes():
    made = bag()
    each = np.stack([softmax_of(run, X) for run in made.runs])
    mean = each.mean(0)
    np.testing.assert_allclose(made.predictions(X, output="probabilities"), each, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(made.predict(X, output="probabilities"), mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(made.predict(X), np.log(mean), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(made.predict(X, output="classes"), mean.argmax(-1))
    votes = each.argmax(-1)
    np.testing.assert_array_equal(made.predictions(X, output="classes"), votes)
    expected = scipy.stats.mode(votes, axis=0).mode
    np.testing.assert_array_equal(made.predict(X, output="classes", combine="vote"), expected)
    assert made.predict(X[:0]).shape == (0, CLASSES)


def test_raw_outputs_are_averaged_otherwise():
    made, x, _ = regression()
    each = np.stack([np.asarray(run.predict(x), np.float64) for run in made.runs])
    np.testing.assert_allclose(made.predictions(x), each, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(made.predict(x), each.mean(0), rtol=1e-4, atol=1e-6)


def binary(**options):
    """A model with batch statistics and one logit."""
    model = jd.models.serial(jd.layers.dense(6), jd.layers.batch_norm(), jd.layers.dense(1))
    data = X, (Y > 0).astype(np.int32)
    made = ensemble.seeds(model, "sigmoid_cross_entropy", ADAM, data, members=3, key=0, epochs=2, **options)
    return made, np.stack([scipy.special.expit(np.asarray(run.predict(X), np.float64)) for run in made.runs])


@pytest.mark.slow
def test_one_logit_and_batch_statistics():
    made, each = binary()
    np.testing.assert_allclose(made.predict(X, output="probabilities"), each.mean(0), atol=1e-6)
    expected = scipy.stats.mode((each[..., 0] >= 0.5).astype(int), axis=0).mode
    np.testing.assert_array_equal(made.predict(X, output="classes", combine="vote"), expected)


@pytest.mark.slow
def test_many_batches():
    many = bag().predict(np.tile(X, (21, 1)))
    np.testing.assert_allclose(many, np.tile(bag().predict(X), (21, 1)), rtol=1e-5, atol=1e-6)
    many = bag().predictions(np.tile(X, (21, 1)))
    np.testing.assert_allclose(many, np.tile(bag().predictions(X), (1, 21, 1)), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_what_members_say_in_bfloat16_is_averaged_in_float32():
    made, each = binary(precision="bfloat16")
    found = made.predict(X, output="probabilities")
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, each.mean(0), atol=4e-3)


def test_sure_members_keep_their_digits():
    """Probabilities that float32 cannot hold beside 1: in logarithms nothing is lost."""
    raw = np.array([[[0.0, 200.0]], [[0.0, 150.0]]], np.float32)
    log_p = scipy.special.log_softmax(raw.astype(np.float64), axis=-1)
    expected = scipy.special.logsumexp(log_p, axis=0) - math.log(2)
    np.testing.assert_allclose(ensemble.combine.pool(raw, jd.activations.softmax), expected, rtol=1e-6)
    both = raw[..., 1:]
    yes, no = (scipy.special.logsumexp(-np.logaddexp(0, -sign * both.astype(float)), axis=0) for sign in (1, -1))
    np.testing.assert_allclose(ensemble.combine.pool(both, jd.activations.sigmoid), yes - no, rtol=1e-6)


def test_evaluate():
    made = bag()
    each = [run.evaluate((X, Y)) for run in made.runs]
    scores = made.evaluate((X, Y))
    assert list(scores) == ["loss", "accuracy", "member_loss", "member_accuracy"]
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(scores[f"member_{name}"], np.mean([one[name] for one in each]), rtol=1e-5)
    p = np.stack([softmax_of(run, X) for run in made.runs]).mean(0)
    losses = -np.log(p[np.arange(50), Y])
    np.testing.assert_allclose(scores["loss"], losses.mean(), rtol=1e-5)
    np.testing.assert_allclose(scores["accuracy"], np.mean(p.argmax(-1) == Y), rtol=1e-6)
    assert scores["loss"] < scores["member_loss"]  # Jensen's inequality
    weights = np.linspace(0, 2, 50)
    weighted = made.evaluate((X, Y), metrics="confusion_matrix", sample_weight=weights)
    np.testing.assert_allclose(weighted["loss"], np.mean(weights * losses), rtol=1e-5)
    expected = np.zeros((CLASSES, CLASSES))
    np.add.at(expected, (Y, p.argmax(-1)), 1)
    np.testing.assert_array_equal(weighted["confusion_matrix"], expected)


def leaky(slope):
    return jd.models.mlp([4, 8, CLASSES], activation=functools.partial(jd.activations.leaky_relu, negative_slope=slope))


def smooth(logits, labels, *, smoothing):
    return jd.losses.sparse_softmax_cross_entropy(logits, labels, label_smoothing=smoothing)


@pytest.mark.slow
def test_hyperparameters_by_member(tmp_path):
    slopes = [0.0, 0.3, 0.9]
    made = ensemble.seeds(
        leaky, smooth, ADAM, (X, Y), members=3, key=1, epochs=2, hyperparameters={"slope": slopes, "smoothing": 0.1}
    )
    for member, run in zip(made.predictions(X), made.runs, strict=True):
        np.testing.assert_allclose(member, run.predict(X), rtol=1e-5, atol=1e-6)
    scores = made.evaluate((X, Y))
    np.testing.assert_allclose(
        scores["member_loss"], np.mean([r.evaluate((X, Y))["loss"] for r in made.runs]), rtol=1e-5
    )
    path = made.save(tmp_path / "leaky.safetensors")
    with pytest.raises(ValueError, match="not made of dictionary names alone; give it as model="):
        ensemble.load(path)
    with pytest.raises(ValueError, match=r"the loss of .* is not in the dictionary"):
        ensemble.load(path, model=leaky)
    same_bits(ensemble.load(path, model=leaky, loss=smooth).predict(X), made.predict(X))
    made.hyperparameters["smoothing"] = jnp.array([0.1, 0.2, 0.1])
    with pytest.raises(ValueError, match="takes 'smoothing', which differs by member"):
        made.evaluate((X, Y))


# ------------------------------------------------------------------------------------------------- how they are made


def test_seeds_are_lanes():
    made = ensemble.seeds(*given, members=3, key=5, **common)
    keys = [jax.random.fold_in(jax.random.key(5), i) for i in range(3)]
    for member, run in zip(made, jd.fit_lanes(*given, keys=keys, **common), strict=True):
        same_bits(tuple(member), (run.params, run.state))
    same_bits(made.params, ensemble.seeds(*given, members=4, key=jax.random.key(5), **common)[:3].params)
    assert len(made) == 3
    same_bits(made[-1], made[2])
    assert repr(made) == f"<Ensemble of 3: {MODEL!r}>"


def test_an_ensemble_of_runs(tmp_path):
    """Of `fit`, of `load_run`, of a slice of lanes."""
    runs = [jd.fit(*given, key=seed, **common) for seed in range(4)]
    made = ensemble.Ensemble.of([*runs, jd.load_run(runs[1].save(tmp_path / "run.safetensors"))])
    each = made.predictions(X)
    for run, own in zip([*runs, runs[1]], each, strict=True):
        np.testing.assert_allclose(own, run.predict(X), rtol=1e-5, atol=1e-6)
    same_bits(each[1], each[4])
    part = bag()[1:3]
    same_bits(part.params, jax.tree.map(lambda leaf: leaf[1:3], bag().params))
    assert part.runs == bag().runs[1:3]
    same_bits(part.indices, bag().indices[1:3])


def test_bagging_is_lanes_of_bootstrap_samples():
    made = bag()
    assert made.indices.shape == (5, 50)
    keys = [jax.random.fold_in(jax.random.key(7), i) for i in range(5)]
    for member, run in zip(made, jd.fit_lanes(*given, keys=keys, indices=made.indices, **common), strict=True):
        same_bits(tuple(member), (run.params, run.state))
    again = ensemble.bagging(*given, members=5, key=7, **common)
    same_bits((again.indices, again.params), (made.indices, made.params))
    assert not np.array_equal(made.indices, ensemble.bagging(*given, members=5, key=8, **common).indices)


def test_the_distribution_of_bootstrap_samples():
    """How many examples are distinct has the mean n(1 - (1 - 1/n)^n) and the variance of the occupancy problem."""
    n, members = 50, 500
    keys = training._member_keys(1, members)
    indices = training._samples(keys, n, 1.0, True)
    distinct = np.array([len(np.unique(row)) for row in indices])
    one, two = (1 - 1 / n) ** n, (1 - 2 / n) ** n
    mean, variance = n * (1 - one), n * (n - 1) * two + n * one - (n * one) ** 2
    assert abs(distinct.mean() - mean) < 4 * math.sqrt(variance / members)
    assert 0.75 < distinct.var(ddof=1) / variance < 1.33
    assert scipy.stats.chisquare(np.bincount(indices.ravel(), minlength=n)).pvalue > 1e-3
    same_bits(indices[:5], training._samples(training._member_keys(1, 5), n, 1.0, True))


@pytest.mark.slow
def test_samples_of_a_part():
    keys = training._member_keys(1, 3)
    part = training._samples(keys, 50, 0.5, False)
    assert part.shape == (3, 25)
    assert [len(np.unique(row)) for row in part] == [25] * 3
    assert training._samples(keys, 50, 0.001, True).shape == (3, 1)


def test_out_of_bag():
    made = bag()
    assert [sorted({*range(50)} - set(row)) for row in made.indices.tolist()] == [i.tolist() for i in made.oob_indices]
    each = np.stack([softmax_of(run, X) for run in made.runs])
    expected, covered = np.full((50, CLASSES), np.nan), []
    for i in range(50):
        outside = [m for m in range(5) if i not in made.indices[m]]
        if outside:
            covered.append(i)
            expected[i] = sum(each[m, i] for m in outside) / len(outside)
    assert 10 < len(covered) < 50
    np.testing.assert_allclose(made.oob_predictions(X, output="probabilities"), expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(made.oob_predictions(X), np.log(expected), rtol=1e-4, atol=1e-6)
    scores = made.oob_score((X, Y))
    assert list(scores) == ["loss", "accuracy", "coverage"]
    labels, p = Y[covered], expected[covered]
    np.testing.assert_allclose(scores["loss"], -np.log(p[np.arange(len(p)), labels]).mean(), rtol=1e-5)
    np.testing.assert_allclose(scores["accuracy"], np.mean(p.argmax(-1) == labels), rtol=1e-6)
    assert scores["coverage"] == len(covered) / 50


def test_snapshots_are_one_run_cut_at_the_ends_of_cycles():
    """The same bits as `fit` under the schedule up to each end; the rate has come down there."""
    steps = 4 * 6  # 50 examples in batches of 16, six epochs
    made = ensemble.snapshots(
        MODEL, LOSS, "adam", (X, Y), cycles=3, epochs=6, learning_rate=0.1, key=3, batch_size=16, validation=HELD
    )
    schedule = jd.schedules.cyclic_cosine(0.1, steps, cycles=3)
    fit = functools.partial(jd.fit, MODEL, LOSS, jd.optimizers.adam(schedule), (X, Y), key=3, batch_size=16)
    assert len(made) == 3
    for number, member in enumerate(made, 1):
        run = fit(epochs=2 * number, validation=HELD)
        same_bits(tuple(member), (run.params, run.state))
    (run,) = made.runs
    assert run.epoch == 6
    t = np.arange(steps)
    rates = 0.05 * (1 + np.cos(np.pi * (t % 8) / 8))
    np.testing.assert_allclose(schedule(jnp.arange(steps)), rates, rtol=1e-5, atol=1e-7)
    assert all(rates[8 * number - 1] == rates.min() for number in (1, 2, 3))
    np.testing.assert_allclose(run.history["learning_rate"], rates[3::4], rtol=1e-5)
    same_bits(made[2].params, run.params)


def test_snapshots_of_held_out_fractions_and_other_numbers():
    """The steps are those of what is left to train on; hyperparameters that are no rate are data."""
    seen = []
    made = ensemble.snapshots(
        MODEL, LOSS, jd.optimizers.adam, (X, Y), cycles=2, epochs=4, learning_rate=0.1, key=3, batch_size=16,
        validation=0.2, hyperparameters={"b1": 0.8}, callbacks=[lambda run: seen.append(run.epoch)],
    )  # fmt: skip
    rates = 0.05 * (1 + np.cos(np.pi * (np.arange(12) % 6) / 6))  # 40 examples, 3 steps an epoch
    np.testing.assert_allclose(made.runs[0].history["learning_rate"], rates[2::3], rtol=1e-5)
    np.testing.assert_allclose(made.hyperparameters["b1"], [0.8, 0.8])
    assert {2, 4} <= set(seen)


def test_a_run_that_ends_early_has_fewer_snapshots():
    train = functools.partial(
        ensemble.snapshots, MODEL, LOSS, "adam", (X, Y), cycles=3, epochs=6, learning_rate=0.1, key=3, batch_size=16,
        validation=HELD,
    )  # fmt: skip
    with pytest.warns(RuntimeWarning, match="only 1 of 3 cycles were finished: stopped by a callback after epoch 3"):
        made = train(callbacks=[lambda run: run.epoch == 3], segment_epochs=1)
    assert len(made) == 1
    with pytest.raises(RuntimeError, match="ended before its first cycle did: stopped by a callback"):
        train(callbacks=[lambda run: True], segment_epochs=1)


@pytest.mark.slow
def test_a_member_that_diverged_is_told_of():
    with pytest.warns(RuntimeWarning, match="of 2 members, 1 diverged"):
        made = ensemble.seeds(
            MODEL, LOSS, jd.optimizers.adam, (X, Y), members=2, key=0, hyperparameters={"learning_rate": [0.01, 3e38]},
            **common,
        )  # fmt: skip
    assert np.isfinite(made.predict(X)).all()


# ------------------------------------------------------------------------------------------------------------- files


def test_a_loaded_ensemble_gives_the_same_bits(tmp_path):
    path = bag().save(tmp_path / "deep" / "bag.safetensors")
    again = ensemble.load(path)
    same_bits((again.params, again.state, again.indices), (bag().params, bag().state, bag().indices))
    for output in ("raw", "probabilities", "classes"):
        same_bits(again.predict(X, output=output), bag().predict(X, output=output))
    assert again.evaluate((X, Y)) == bag().evaluate((X, Y))
    assert again.oob_score((X, Y)) == bag().oob_score((X, Y))
    assert again.runs == ()
    again.save(path)
    assert [p.name for p in path.parent.iterdir()] == ["bag.safetensors"]
    assert [name for name, _ in ensemble.load(path, metrics="top_k_accuracy").plan.streams] == ["top_k_accuracy"]
    with pytest.raises(jd.checkpoint.CheckpointError, match="has shape"):
        ensemble.load(path, model=jd.models.mlp([4, 9, CLASSES], activation="tanh"))
    run = bag().runs[0].save(tmp_path / "run.safetensors")
    with pytest.raises(jd.checkpoint.CheckpointError, match="holds no ensemble"):
        ensemble.load(run)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(jd.checkpoint.CheckpointError, match="truncated"):
        ensemble.load(path)


@pytest.mark.slow
def test_a_model_of_tuples_and_state_is_loaded(tmp_path):
    """Parameters in tuples, empty parts and a state come back in their structure."""

    def init(key, shape):
        return (jax.random.normal(key, (*shape, CLASSES)), {}), [jnp.float32(1)], (CLASSES,)

    def apply(params, state, inputs, *, key=None, train=False):
        return inputs @ params[0] * state[0], state

    made = ensemble.seeds((init, apply), LOSS, ADAM, (X, Y), members=2, key=0, epochs=1)
    path = made.save(tmp_path / "own.safetensors")
    again = ensemble.load(path, model=(init, apply))
    assert jax.tree.structure(again[0]) == jax.tree.structure(made[0])
    same_bits(again.predict(X), made.predict(X))


# ---------------------------------------------------------------------------------------------------- what they are for


@pytest.mark.slow
def test_an_ensemble_beats_its_mean_member_on_breast_cancer():
    data = jd.data.load("breast_cancer")
    rest, test = jd.data.split(data, 0.4, key=0)
    rest, test = jd.data.standardize(rest, test)
    model = jd.models.mlp([30, 16, 2], activation="tanh")
    made = ensemble.bagging(model, LOSS, ADAM, rest, members=8, key=0, epochs=25, metrics="accuracy")
    scores, oob = made.evaluate(test), made.oob_score(rest)
    assert scores["loss"] < 0.85 * scores["member_loss"]
    assert scores["accuracy"] >= scores["member_accuracy"]
    assert abs(oob["accuracy"] - scores["accuracy"]) < 0.05
    assert oob["coverage"] > 0.9


# --------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ensemble.average(1.0), r"must have an axis 0 of members; got the shape \(\)"),
        (lambda: ensemble.average(np.ones((2, 3)), axis=2), "must have an axis 2"),
        (lambda: ensemble.average(np.ones((0, 3))), "at least one member"),
        (lambda: ensemble.average(np.ones((2, 3)), weights=[1, 2, 3]), r"weights must be \(2,\), one a member.*\(3,\)"),
        (lambda: ensemble.average(np.ones((2, 3)), weights=[1, -2]), "weights must be >= 0"),
        (lambda: ensemble.average(np.ones((2, 3)) * 1j), "predictions must be real"),
        (lambda: ensemble.vote([[0.5]]), "classes must be integer labels; got float32"),
        (lambda: ensemble.vote(3), r"classes must be \(members, …\)"),
        (lambda: ensemble.vote([[0], [-1]]), "classes must be >= 0; got the label -1"),
        (lambda: ensemble.vote([[0], [3]], classes_count=3), "classes must be >= 0 and < 3; got the label 3"),
        (lambda: jax.jit(ensemble.vote)(np.zeros((2, 3), int)), "give classes_count: in compiled code"),
        (lambda: ensemble.error_law([1.0]), r"errors must be \(members, n\)"),
        (lambda: ensemble.seeds(*given, members=0, key=0, epochs=1), "members must be >= 1"),
        (lambda: ensemble.seeds(*given, members=2, key="a", epochs=1), "key must be a PRNG key"),
        (lambda: ensemble.seeds(*given, members=2, key=0, keys=[1, 2], epochs=1), "seeds takes no 'keys'"),
        (lambda: ensemble.bagging(*given, members=2, key=0, indices=[[1]], epochs=1), "bagging takes no 'indices'"),
        (
            lambda: ensemble.bagging(*given, members=2, key=0, sample_fraction=1.5, epochs=1),
            "sample_fraction must be > 0 and <= 1; got 1.5|sample_fraction must be <= 1 and > 0; got 1.5",
        ),
        (
            lambda: ensemble.bagging(MODEL, LOSS, ADAM, iter([]), members=2, key=0, epochs=1),
            r"bagging draws from \(inputs, targets\) or a Dataset; got list_iterator",
        ),
        (lambda: ensemble.Ensemble.of([]), "at least one run"),
        (lambda: ensemble.Ensemble.of([1]), "made of runs; got int"),
        (lambda: ensemble.Ensemble.of([bag().runs[0], regression()[0].runs[0]]), "run 1 has another model than run 0"),
        (lambda: bag()[5], "has 5 members; got the index 5"),
        (lambda: bag().predict(X, combine="avarage"), "did you mean 'average'"),
        (lambda: bag().predict(X, combine="vote"), "a vote gives classes: output='classes'; got output='raw'"),
        (lambda: bag().predict(X, output="logits"), "output must be one of"),
        (lambda: bag().predict(X[:, :3]), r"inputs must have the shape \(n, 4\); got \(50, 3\)"),
        (lambda: bag().evaluate((X, Y + 1)), "3"),
        (lambda: bag().oob_predictions(X[:9]), "give the 50 examples that samples were drawn from; got 9"),
        (lambda: bag().oob_predictions(X, output="classes"), "output must be one of"),
        (lambda: regression()[0].oob_indices, "only an ensemble by bagging"),
        (
            lambda: regression()[0].predict(np.zeros((1, 10)), output="classes"),
            "this run's loss is 'mean_squared_error'",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises((ValueError, TypeError, IndexError), match=message):
        call()


def test_nothing_is_out_of_bag_of_everything():
    made = ensemble.Ensemble.of(bag().runs, indices=np.tile(np.arange(50), (5, 1)), examples=50)
    assert np.isnan(made.oob_predictions(X)).all()
    with pytest.raises(ValueError, match="nothing is out of bag"):
        made.oob_score((X, Y))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 7}, "epochs must be a multiple of cycles, 3, such as 6 or 9; got 7"),
        ({"epochs": 2}, "such as 3; got 2"),
        ({"cycles": 0}, "cycles must be >= 1"),
        ({"learning_rate": 0}, "learning_rate must be > 0"),
        ({"hyperparameters": {"learning_rate": 0.1}}, "give the rate as learning_rate="),
        ({"optimizer": ADAM}, "give optimizer as a function of learning_rate"),
        ({"optimizer": "adm"}, "did you mean .*'adam'"),
        ({"resume": "somewhere"}, "snapshots takes no 'resume'"),
        ({"data": [(X, Y)]}, "batches from outside are not known"),
        ({"batchsize": 3}, "batchsize"),
    ],
)
def test_bad_arguments_of_snapshots(change, message):
    options = {"optimizer": "adam", "data": (X, Y), "cycles": 3, "epochs": 6, "learning_rate": 0.1, "key": 0} | change
    with pytest.raises((ValueError, TypeError, KeyError), match=message):
        ensemble.snapshots(MODEL, LOSS, options.pop("optimizer"), options.pop("data"), **options)


def test_several_outputs(tmp_path):
    """Each is averaged as its own loss says, and all of it comes back from a file."""
    nodes = {
        "hidden": (jd.layers.dense(5), "x"), "on": (jd.layers.activation("tanh"), "hidden"),
        "kind": (jd.layers.dense(3), "on"), "size": (jd.layers.dense(1), "on"),
    }  # fmt: skip
    model = jd.models.graph(inputs="x", nodes=nodes, outputs=("kind", "size"))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 4)).astype(np.float32)
    targets = {"kind": rng.integers(0, 3, 40), "size": x[:, :1]}
    found = ensemble.seeds(
        model, {"kind": "sparse_softmax_cross_entropy", "size": "mse"}, "adam", (x, targets), members=3, key=0,
        epochs=2, metrics={"kind": ["accuracy"]},
    )  # fmt: skip
    each, together = found.predictions(x), found.predict(x)
    np.testing.assert_allclose(together["size"], np.mean(each["size"], axis=0), rtol=1e-5, atol=1e-6)
    mean = np.mean(jax.nn.softmax(each["kind"]), axis=0)
    np.testing.assert_allclose(jax.nn.softmax(together["kind"]), mean, rtol=1e-5)
    scores = found.evaluate((x, targets))
    assert scores["kind_accuracy"] == pytest.approx(np.mean(mean.argmax(-1) == targets["kind"]))
    assert scores["loss"] == pytest.approx(scores["loss_kind"] + scores["loss_size"], rel=1e-5)
    votes = found.predict(x, output="classes", combine="vote")
    assert list(votes) == ["kind"]
    found.save(tmp_path / "ensemble.safetensors")
    loaded = ensemble.load(tmp_path / "ensemble.safetensors")
    for name in together:
        np.testing.assert_array_equal(loaded.predict(x)[name], together[name])
    assert loaded.evaluate((x, targets)) == scores
