"""Schedules against optax and against their own equations, executed in NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdict import _expression, _registry, schedules

STEPS = np.array([0, 1, 2, 7, 9, 10, 11, 25, 1000])
CASES = {
    "constant": (lambda s: s.constant(0.3), {"eta0": 0.3}),
    "exponential": (lambda s: s.exponential(0.3, 10, 0.7), {"eta0": 0.3, "T": 10, "r": 0.7}),
    "cosine_annealing": (
        lambda s: s.cosine_annealing(0.3, 10, final_value=0.02), {"eta0": 0.3, "T": 10, "eta1": 0.02},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_equation_is_what_runs(name):
    make, values = CASES[name]
    expected = _expression.evaluate(_registry.find(name, "schedule").expression, {**values, "t": STEPS.astype(float)})
    with jax.enable_x64(True):
        got = make(schedules)(STEPS)
        assert got.dtype == jnp.float64
    np.testing.assert_allclose(got, np.broadcast_to(expected, STEPS.shape), rtol=1e-14, atol=1e-17)
    got = make(schedules)(STEPS)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, np.broadcast_to(expected, STEPS.shape), rtol=2e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda: schedules.exponential(0.3, 4, 0.5), lambda: optax.exponential_decay(0.3, 4, 0.5)),
        (
            lambda: schedules.exponential(0.3, 4, 0.5, staircase=True),
            lambda: optax.exponential_decay(0.3, 4, 0.5, staircase=True),
        ),
        (
            lambda: schedules.cosine_annealing(0.3, 12, final_value=0.06),
            lambda: optax.cosine_decay_schedule(0.3, 12, alpha=0.2),
        ),
    ],
)
def test_same_curve_as_optax(ours, theirs):
    for step in STEPS:
        np.testing.assert_allclose(ours()(int(step)), theirs()(int(step)), rtol=1e-6, atol=1e-8)


def test_stairs_change_at_multiples():
    values = schedules.exponential(1.0, 3, 0.5, staircase=True)(np.arange(8))
    np.testing.assert_array_equal(values, [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25])


def test_the_final_value_is_absolute_and_stays():
    f = schedules.cosine_annealing(0.5, 8, final_value=0.125)
    np.testing.assert_array_equal(f(np.array([0, 8, 9, 16])), [0.5, 0.125, 0.125, 0.125])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", [3, 3.0, np.int64(3), np.float32(3), jnp.int32(3), jnp.bfloat16(3)])
def test_any_kind_of_step(name, step):
    f = CASES[name][0](schedules)
    value = f(step)
    assert (value.shape, value.dtype) == ((), jnp.float32)
    assert not value.weak_type
    np.testing.assert_allclose(value, f(np.array([3]))[0])
    np.testing.assert_allclose(jax.jit(f)(step), value, rtol=1e-6)


def test_arguments_are_data():
    traces = []

    @jax.jit
    def value(eta, length, factor, end, t):
        traces.append(1)
        return (
            schedules.constant(eta)(t),
            schedules.exponential(eta, length, factor)(t),
            schedules.cosine_annealing(eta, length, final_value=end)(t),
        )

    for eta, length, factor, end in ((0.1, 10, 0.5, 0.0), (0.4, 30, 2.0, 0.3)):
        expected = (
            schedules.constant(eta)(7),
            schedules.exponential(eta, length, factor)(7),
            schedules.cosine_annealing(eta, length, final_value=end)(7),
        )
        np.testing.assert_allclose(value(eta, length, factor, end, 7), expected, rtol=1e-6)
    assert len(traces) == 1
    lanes = jax.vmap(lambda eta: schedules.cosine_annealing(eta, 10)(5))(jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(lanes, [0.5, 1.0], rtol=1e-6)


def test_equal_arguments_give_the_same_object():
    for make, _ in CASES.values():
        assert make(schedules) is make(schedules)
    assert schedules.constant(0.1) is not schedules.constant(0.2)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: schedules.constant("a"), TypeError, r"value must be a number; got 'a'"),
        (lambda: schedules.constant(lambda t: t), TypeError, r"value must be a number, not a function"),
        (lambda: schedules.constant(np.ones(2)), ValueError, r"value must be a scalar; got shape \(2,\).*vmap"),
        (lambda: schedules.constant(float("nan")), ValueError, r"value must be a number, not NaN"),
        (lambda: schedules.exponential(0.1, 0, 0.5), ValueError, r"decay_steps must be > 0; got 0"),
        (lambda: schedules.exponential(0.1, 5, 0.0), ValueError, r"decay_rate must be > 0; got 0\.0"),
        (lambda: schedules.exponential(0.1, 5, 0.5, staircase="yes"), ValueError, r"staircase must be one of True"),
        (lambda: schedules.cosine_annealing(0.1, -5), ValueError, r"decay_steps must be > 0; got -5"),
        (lambda: schedules.cosine_annealing(0.1, 5, final_value=None), TypeError, r"final_value must be a number"),
        (lambda: schedules.constant(0.1)(1j), TypeError, r"step must be real; got complex"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()
