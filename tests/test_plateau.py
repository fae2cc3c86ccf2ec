"""Reduce on plateau: the rule against recorded runs of PyTorch and Keras and live optax; as a link, as an observer."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdict as jd
from jaxdict.optimizers import plateau_rule, reduce_on_plateau

NAN = float("nan")
TORCH = {"reduce_when": "exceeded", "relative_to": "value"}
KERAS = {"rtol": 0.0, "atol": 1e-4, "cooldown_counts_last": True}
OPTAX = {"relative_to": "value"}
# With what is best at first, NaN, negative numbers, and steps about as large as the thresholds.
VALUES = [2.0, 1.5, 1.6, NAN, 1.5, 1.4999, 1.49985, 1.2, 1.3, 1.3, 1.3, 1.25, 1.21, 0.4, -0.2, -0.19999, -0.20001, -0.2,
          -0.3, -0.29999, -0.29998, -0.5, NAN, -0.4, -0.4, -0.6, -0.6, -0.6, -0.6, -0.6]  # fmt: skip


def scales(values, **options):
    """The scale after each value."""
    rule = plateau_rule(**options)

    def step(state, value):
        state = rule.update(state, value)
        return state, state.scale

    return np.asarray(jax.jit(lambda v: jax.lax.scan(step, rule.init(), v)[1])(jnp.asarray(values, float)))


def reductions(values, **options):
    return np.round(-np.log2(scales(values, factor=0.5, **options))).astype(int).tolist()


def falls(values, **options):
    """The epochs, from 1, after which the scale is lower than before."""
    return (np.flatnonzero(np.diff(reductions(values, **options), prepend=0)) + 1).tolist()


# ------------------------------------------------------------------------------------------------- the frameworks


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        # torch 2.13.0, ReduceLROnPlateau(SGD(lr=1.0), factor=0.5, …).step of VALUES, log2 of the rates
        (TORCH | {"patience": 2}, "000011111122222222222222333333"),
        (TORCH | {"patience": 1, "cooldown": 2}, "000111111222222222222223333333"),
        (TORCH | {"patience": 1, "cooldown": 1, "mode": "max"},
         [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10]),
        ({"reduce_when": "exceeded", "patience": 0, "rtol": 0.0, "atol": 0.01},
         [0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10, 10, 11, 12, 13, 13, 14, 15, 15, 16, 17, 18, 18, 19, 20, 21, 22]),
        # keras 3.15.1, ReduceLROnPlateau(factor=0.5, …).on_epoch_end with VALUES
        (KERAS | {"patience": 2}, "000112222334444455556667777889"),
        (KERAS | {"patience": 1, "cooldown": 2},
         [0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6, 7, 7, 8, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12]),
        (KERAS | {"patience": 2, "cooldown": 1, "atol": 0.01}, "000112222334444455556667777889"),
        (KERAS | {"patience": 2, "cooldown": 3, "mode": "max"}, "001111222233334444555566667777"),
    ],
)  # fmt: skip
def test_the_frameworks_sequences(options, wanted):
    assert reductions(VALUES, **options) == [int(n) for n in wanted]


def test_a_constant_value():
    """Values 1, 1, 1, …, patience 2."""
    constant = [0.7] * 9
    assert falls(constant, patience=2, **TORCH) == [4, 7]
    assert falls(constant, patience=2, **KERAS) == [3, 5, 7, 9]
    assert falls(constant, patience=2, **OPTAX) == falls(constant, patience=2) == [3, 5, 7, 9]


def test_cooldown_on_a_constant_value():
    constant = [0.7] * 9
    half = functools.partial(scales, constant, factor=0.5, patience=2, cooldown=2)
    np.testing.assert_array_equal(half(**TORCH), [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25])
    np.testing.assert_array_equal(half(**KERAS), [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125])
    np.testing.assert_array_equal(half(**OPTAX), [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25])


def test_slow_progress_is_a_plateau_for_relative_thresholds_alone():
    values = [100 - 0.001 * i for i in range(12)]
    assert reductions(values, patience=3, **TORCH) == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert falls(values, patience=3, **OPTAX) == [4, 7, 10]
    assert falls(values, patience=3, **KERAS) == []


def test_a_negative_value_that_gets_worse_is_not_better():
    values = [-1, -1, -0.99995, -0.9999]
    assert falls(values, patience=0, **TORCH) == []
    assert falls(values, patience=0, reduce_when="exceeded") == [2, 3, 4]
    assert falls([-1.0, -1.001, -1.002, -1.00201], patience=1) == [4]
    up = [-1.0, -0.999, -0.998, -0.99799]
    assert falls(up, patience=1, mode="max") == [4]
    assert falls([0.0, -1e-6, -1e-5], patience=1) == []  # from 0 every step counts


def test_the_mirror_image_of_a_minimum_is_a_maximum():
    mirrored = [-v for v in VALUES]
    for options in ({"patience": 1, "cooldown": 1}, {"patience": 2, "rtol": 0.3, "atol": 0.01}):
        assert reductions(VALUES, **options) == reductions(mirrored, mode="max", **options)


def test_what_is_not_a_number_is_never_better():
    assert falls([NAN] * 5, patience=2) == [2, 4]
    assert falls([NAN, 3.0, 2.0, NAN, 1.0], patience=2) == []
    assert falls([np.inf, 1.0, -np.inf, 0.0, 0.0], patience=2) == [5]


@pytest.mark.parametrize("cooldown", [0, 2])
def test_like_optax(cooldown):
    rng = np.random.default_rng(3)
    values = np.round(rng.normal(1, 0.3, 60) + np.linspace(1, -1.5, 60), 2)
    options = {"factor": 0.7, "patience": 3, "rtol": 0.05, "atol": 0.01, "cooldown": cooldown}
    options |= {"accumulation_size": 2, "min_scale": 0.2}
    grads = {"w": jnp.asarray([1.0, -2.0])}
    ours, theirs = reduce_on_plateau(**options, **OPTAX), optax.contrib.reduce_on_plateau(**options)

    @jax.jit
    def run(values):
        def step(states, value):
            (a, first), (b, second) = (
                t.update(grads, s, value=value) for t, s in zip((ours, theirs), states, strict=True)
            )
            return (first, second), (a["w"], b["w"])

        return jax.lax.scan(step, (ours.init(grads), theirs.init(grads)), values)[1]

    got, wanted = run(jnp.asarray(values, jnp.float32))
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert len(np.unique(wanted[:, 0])) >= 3


# -------------------------------------------------------------------------------------------------- the arguments


def test_the_least_scale_and_the_least_reduction():
    np.testing.assert_allclose(scales([1.0] * 5, factor=0.5, patience=1, min_scale=0.2), [1, 0.5, 0.25, 0.2, 0.2])
    np.testing.assert_allclose(
        scales([1.0] * 6, factor=0.5, patience=1, min_reduction=0.06), [1, 0.5, 0.25, 0.125, 0.0625, 0.0625]
    )
    np.testing.assert_allclose(scales([1.0] * 3, factor=0.5, patience=1, min_scale=2.0), 1)  # never up


def test_arguments_may_be_traced_and_mapped():
    @jax.jit
    @jax.vmap
    def last(factor, patience, cooldown):
        rule = plateau_rule(factor=factor, patience=patience, cooldown=cooldown)
        return jax.lax.scan(lambda s, v: (rule.update(s, v), None), rule.init(), jnp.ones(9))[0].scale

    got = last(jnp.array([0.5, 0.5, 0.1]), jnp.array([2, 2, 4]), jnp.array([0, 2, 0]))
    np.testing.assert_allclose(got, [0.5**4, 0.5**2, 0.1**2], rtol=1e-6)


def test_equal_arguments_give_the_same_object():
    assert reduce_on_plateau(patience=3) is reduce_on_plateau(patience=3)
    assert jd.observers.plateau(patience=3) is jd.observers.plateau(patience=3)


def test_updates_keep_their_type():
    link = reduce_on_plateau(patience=1, factor=0.5)
    params = {"a": jnp.ones(3, jnp.bfloat16), "b": jnp.ones(2)}
    state = link.init(params)
    for _ in range(2):
        updates, state = link.update(params, state, value=jnp.bfloat16(1))
    assert (updates["a"].dtype, updates["b"].dtype) == (jnp.bfloat16, jnp.float32)
    np.testing.assert_array_equal(np.asarray(updates["a"], float), 0.5)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: plateau_rule(factor=1.0), ValueError, r"factor must be > 0 and < 1; got 1\.0"),
        (lambda: plateau_rule(factor="half"), TypeError, "factor must be a number; got 'half'"),
        (lambda: plateau_rule(rtol=1.0), ValueError, r"rtol must be >= 0 and < 1; got 1\.0"),
        (lambda: plateau_rule(atol=-1.0), ValueError, r"atol must be >= 0; got -1\.0"),
        (lambda: plateau_rule(min_scale=-1.0), ValueError, r"min_scale must be >= 0; got -1\.0"),
        (lambda: plateau_rule(min_reduction=-1.0), ValueError, r"min_reduction must be >= 0; got -1\.0"),
        (lambda: plateau_rule(patience=-1), ValueError, "patience must be >= 0; got -1"),
        (lambda: plateau_rule(cooldown=1.5), TypeError, r"cooldown must be a whole number; got 1\.5"),
        (lambda: plateau_rule(mode="least"), ValueError, "mode must be one of 'min', 'max'; got 'least'"),
        (lambda: plateau_rule(relative_to="size"), ValueError, "relative_to must be one of 'magnitude', 'value'"),
        (lambda: plateau_rule(reduce_when="met"), ValueError, "reduce_when must be one of 'reached', 'exceeded'"),
        (lambda: plateau_rule(cooldown_counts_last=None), ValueError, "cooldown_counts_last must be one of True"),
        (lambda: reduce_on_plateau(accumulation_size=0), ValueError, "accumulation_size must be >= 1; got 0"),
        (lambda: reduce_on_plateau().init({"w": jnp.ones(2, int)}), TypeError, "parameters must be floating"),
        (lambda: reduce_on_plateau().update({}, reduce_on_plateau().init({})), ValueError, "needs a value: call upd"),
        (lambda: jd.observers.plateau(patience=-2), ValueError, "patience must be >= 0; got -2"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---------------------------------------------------------------------------------------------------- in training

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 60).astype(np.int32)
X = RNG.normal(size=(60, 4)).astype(np.float32) + Y[:, None].astype(np.float32)
HELD = (X[:20] + RNG.normal(size=(20, 4)).astype(np.float32), Y[:20])
MODEL = jd.models.mlp([4, 8, 3])
OBSERVERS = (
    jd.observers.plateau(factor=0.5, patience=1, rtol=0.05, cooldown=1), jd.observers.early_stopping(patience=30),
)  # fmt: skip


def train(epochs, optimizer=None, observers=OBSERVERS, data=(X, Y), **options):
    options = {"batch_size": 16, "validation": HELD, "key": 5} | options
    optimizer = jd.optimizers.momentum(0.2, momentum=0.5) if optimizer is None else optimizer
    return jd.fit(MODEL, "sparse_softmax_cross_entropy", optimizer, data, epochs=epochs, observers=observers, **options)


@pytest.fixture(scope="module")
def whole():
    return train(16)


def test_the_history_says_the_rate_that_was_used(whole):
    after = scales(whole.history["validation_loss"], factor=0.5, patience=1, rtol=0.05, cooldown=1)
    used = np.concatenate([[1], after[:-1]])
    np.testing.assert_allclose(whole.history["learning_rate"], 0.2 * used, rtol=1e-6)
    assert used[-1] <= 0.25
    assert whole.best.value == whole.history["validation_loss"].min()  # of the early stopping


def test_a_scaled_run_is_the_run_with_those_rates():
    """Gradient descent has no memory: the same parameters as with a schedule of the rates that came out."""
    scaled = train(12, jd.optimizers.gradient_descent(0.3), OBSERVERS[:1])
    rates = scaled.history["learning_rate"]
    assert rates[-1] < 0.2
    starts = 4 * np.arange(1, 12)  # four steps an epoch
    schedule = jd.schedules.piecewise(starts.tolist(), rates.tolist())
    written = train(12, jd.optimizers.gradient_descent(schedule), ())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), scaled.params, written.params)
    assert scaled.best.value == scaled.history["validation_loss"].min()  # the best is kept without being asked


def test_resumed_it_has_the_same_bits(whole, tmp_path):
    for stop, options in ((3, {"segment_epochs": 1}), (9, {})):
        path = train(stop, **options).save(tmp_path / f"{stop}.safetensors")
        again = train(16, resume=path)
        jax.tree.map(np.testing.assert_array_equal, again.params, whole.params)
        np.testing.assert_array_equal(again.history["learning_rate"], whole.history["learning_rate"])


@pytest.mark.slow
def test_batches_from_outside_are_scaled_too():
    batches = [(X[i : i + 20], Y[i : i + 20]) for i in (0, 20, 40)]
    plateau = jd.observers.plateau(monitor="loss", factor=0.5, patience=1, rtol=0.9)
    run = train(4, jd.optimizers.gradient_descent(0.1), [plateau], data=lambda: iter(batches))
    np.testing.assert_allclose(run.history["learning_rate"], [0.1, 0.1, 0.05, 0.025])
    moves = []
    for epochs in (3, 4):
        plain = train(epochs, jd.optimizers.gradient_descent(0.1), [plateau], data=lambda: iter(batches))
        moves.append(jax.tree.leaves(plain.params)[0])
    assert np.abs(moves[1] - moves[0]).max() > 0


def test_the_link_is_given_the_loss_by_fit_and_make_step():
    chain = optax.chain(jd.optimizers.gradient_descent(0.3), reduce_on_plateau(factor=0.5, patience=2, rtol=0.5))
    run = train(3, chain, ())
    assert float(run.optimizer_state[1].plateau.scale) < 1


def test_an_unknown_column_is_an_error():
    with pytest.raises(ValueError, match=r"an observer monitors 'los'; did you mean 'loss'"):
        train(1, observers=[jd.observers.plateau(monitor="los")])
