"""Nesterov's method: three forms that are one, its own sequence, and the places that are found in any state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdict import models, optimizers, schedules, train
from trajectories import START, gradient

RATE = schedules.exponential(1e-3, 1, 0.93)
STEPS = 40


def mu(t):
    """A momentum that changes fast: 0.4, 0.5, 0.571, …"""
    return 1 - 3 / (t + 5.0)


def walk(optimizer, steps=STEPS):
    """(what is held, the resting parameters, where the gradients were taken) at every step, float64."""
    rows = []
    with jax.enable_x64(True):
        params = jnp.asarray(START)
        state = optimizer.init(params)
        for _ in range(steps):
            place = np.asarray(optimizers.lookahead_params(params, state, strict=False))
            updates, state = optimizer.update(jnp.asarray(gradient(place, np)), state, params)
            params = optax.apply_updates(params, updates)
            rows.append((params, optimizers.resting_params(params, state, strict=False), place))
    return tuple(np.stack([np.asarray(row[i]) for row in rows]) for i in range(3))


def by_hand(rate, momentum):
    """Sutskever's form as S0 6.3.1 has it: θ after, and y of, every step."""
    theta, v, thetas, places = START, 0.0, [], []
    for t in range(STEPS):
        y = theta + momentum(t) * v
        v = momentum(t) * v - rate(t) * gradient(y, np)
        theta = theta + v
        thetas.append(theta)
        places.append(y)
    return np.stack(thetas), np.stack(places)


@pytest.mark.parametrize("momentum", [lambda t: 0.9, mu], ids=["constant", "changing"])
def test_three_forms_are_one_method_under_a_changing_rate_and_momentum(momentum):
    thetas, places = by_hand(lambda t: 1e-3 * 0.93**t, momentum)
    given = momentum if momentum is mu else 0.9
    for name in ("nesterov", "nesterov_bengio", "nesterov_sutskever"):
        held, resting, taken = walk(getattr(optimizers, name)(RATE, momentum=given))
        np.testing.assert_allclose(resting, thetas, rtol=0, atol=3e-15, err_msg=name)
        np.testing.assert_allclose(taken, places, rtol=0, atol=3e-15, err_msg=name)
        np.testing.assert_array_equal(held[:-1] if name != "nesterov_sutskever" else taken[1:], taken[1:])
    assert np.abs(thetas - places).max() > 0.05


def test_the_outer_factor_is_the_momentum_of_the_next_step():
    """S4's v_new + α(v_new - v_old), with this step's α twice, is another method when α changes."""
    held, *_ = walk(optimizers.nesterov_bengio(1e-3, momentum=mu))
    y, v, off = START, 0.0, []
    for t in range(STEPS):
        new = mu(t) * v - 1e-3 * gradient(y, np)
        y, v = y + new + mu(t) * (new - v), new
        off.append(np.abs(y - held[t]).max())
    assert max(off) > 0.01


def test_two_sequences_with_the_next_momentum():
    """The form of 1983 as entries write it: θ_t = y_t - ηg(y_t), y_{t+1} = θ_t + μ_{t+1}(θ_t - θ_{t-1})."""
    held, resting, _ = walk(optimizers.nesterov(RATE, momentum=mu))
    y = theta = START
    for t in range(STEPS):
        new = y - 1e-3 * 0.93**t * gradient(y, np)
        y, theta = new + mu(t + 1) * (new - theta), new
        np.testing.assert_allclose(held[t], y, atol=3e-15)
        np.testing.assert_allclose(resting[t], theta, atol=3e-15)


def test_the_sequence_of_1983():
    held, resting, _ = walk(optimizers.nesterov(1e-3, momentum=None))
    y = theta = START
    a = 1.0
    for t in range(STEPS):
        new = y - 1e-3 * gradient(y, np)
        following = (1 + np.sqrt(1 + 4 * a * a)) / 2
        y, theta, a = new + (a - 1) / following * (new - theta), new, following
        np.testing.assert_allclose(held[t], y, atol=1e-14)
        np.testing.assert_allclose(resting[t], theta, atol=1e-14)
    np.testing.assert_array_equal(held[0], START - 1e-3 * gradient(START, np))  # it begins without momentum
    state = optimizers.nesterov(0.1, momentum=None).init(jnp.ones(2))
    assert optimizers.nesterov(0.1).init(jnp.ones(2)).a is None
    assert state.a.dtype == jnp.float32


def test_the_sequence_keeps_the_bound_of_the_paper():
    """f(θ_k) - f* ≤ 2L‖θ_0 - θ*‖²/(k + 1)² at rate 1/L, far below gradient descent, on a convex function."""
    h = jnp.asarray(np.geomspace(1e-4, 1.0, 12))
    f = optimizers.nesterov(1.0, momentum=None)

    @jax.jit
    def run(y):
        def step(carry, _):
            y, state = carry
            updates, state = f.update(h * y, state)
            y = y + updates
            theta = optimizers.resting_params(y, state)
            return (y, state), 0.5 * jnp.sum(h * theta**2)

        return jax.lax.scan(step, (y, f.init(y)), length=300)[1]

    with jax.enable_x64(True):
        heights = np.asarray(run(jnp.full(12, 3.0)))
    k = np.arange(1, 301)
    assert np.all(heights <= 2 * 9 * 12 / (k + 1) ** 2)
    plain = 0.5 * np.sum(np.asarray(h) * (3.0 * (1 - np.asarray(h)) ** 300) ** 2)
    assert heights[-1] < plain / 4


def test_as_keras_under_a_changing_rate():
    """Keras 3.15 holds y: m ← μm - ηg, y ← y + μm - ηg."""
    held, *_ = walk(optimizers.nesterov_bengio(RATE, momentum=0.9))
    y, m = START, 0.0
    for t in range(STEPS):
        rate = 1e-3 * 0.93**t
        g = gradient(y, np)
        m = 0.9 * m - rate * g
        y = y + 0.9 * m - rate * g
        np.testing.assert_allclose(held[t], y, atol=3e-15)


def test_without_momentum_all_are_gradient_descent():
    plain, *_ = walk(optimizers.gradient_descent(1e-3), 10)
    for name in ("nesterov", "nesterov_bengio", "nesterov_sutskever"):
        held, resting, _ = walk(getattr(optimizers, name)(1e-3, momentum=0.0), 10)
        np.testing.assert_array_equal(held, plain)
        np.testing.assert_array_equal(resting, plain)


PARAMS = {"a": jnp.array([1.0, -2.0]), "b": {"c": jnp.array([3.0]), "d": None}}
GRADIENTS = {"a": jnp.array([0.5, 1.0]), "b": {"c": jnp.array([-2.0]), "d": None}}
FORMS = {"nesterov_sutskever": optimizers.lookahead_params, "nesterov_bengio": optimizers.resting_params,
         "nesterov": optimizers.resting_params}  # fmt: skip


def moved(f, find, params=PARAMS, updates=GRADIENTS, times=1):
    state = f.init(params)
    for _ in range(times):
        _, state = f.update(updates, state, params)
    return find(params, state)


@pytest.mark.parametrize("name", list(FORMS))
class TestFinding:
    """After one step from rest at rate 0.1 the velocity is -0.1 g, the way ahead 0.9 of it."""

    def expected(self, name, at=PARAMS):
        sign = 1 if name == "nesterov_sutskever" else -1
        return jax.tree.map(lambda p, g: p - sign * 0.09 * g, at, GRADIENTS)

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda make: make(0.1),
            lambda make: optax.chain(optax.clip(10.0), make(0.1), optax.scale(1.0)),
            lambda make: optax.inject_hyperparams(make)(learning_rate=0.1),
            lambda make: optax.named_chain(("x", optax.chain(optax.identity(), make(0.1)))),
            lambda make: optax.apply_if_finite(make(0.1), 2),
        ],
    )
    def test_in_whatever_holds_it(self, name, wrap):
        got = moved(wrap(getattr(optimizers, name)), FORMS[name])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, self.expected(name))

    def test_in_multi_steps(self, name):
        f = optax.MultiSteps(getattr(optimizers, name)(0.1), 2)
        once, twice = (moved(f, FORMS[name], times=times) for times in (1, 2))
        jax.tree.map(np.testing.assert_array_equal, once, PARAMS)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), twice, self.expected(name))

    def test_what_is_masked_stays(self, name):
        make = getattr(optimizers, name)
        labels = {"a": "x", "b": "y"}
        several = optax.partition({"x": make(0.1), "y": optimizers.adam(0.1)}, labels)
        for f in (several, optax.masked(make(0.1), {"a": True, "b": False})):
            got = moved(f, FORMS[name])
            np.testing.assert_allclose(got["a"], self.expected(name)["a"], rtol=1e-6)
            np.testing.assert_array_equal(got["b"]["c"], PARAMS["b"]["c"])
        both = optax.partition({"x": make(0.1), "y": make(0.1)}, labels)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), moved(both, FORMS[name]), self.expected(name)
        )

    def test_types_are_those_of_the_parameters(self, name):
        params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
        got = moved(getattr(optimizers, name)(0.1, state_dtype="float16"), FORMS[name], params, params)
        assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {jnp.dtype("bfloat16")}

    def test_none_is_an_error_that_names_what_is_missing(self, name):
        find, state = FORMS[name], optimizers.adam(0.1).init(PARAMS)
        with pytest.raises(ValueError, match=r"opt_state holds no state of nesterov.*; got PyTreeDef.*AdamState"):
            find(PARAMS, state)
        assert find(PARAMS, state, strict=False) is PARAMS
        other = optimizers.nesterov_sutskever if find is optimizers.resting_params else optimizers.nesterov
        with pytest.raises(ValueError, match="opt_state holds no state"):
            find(PARAMS, other(0.1).init(PARAMS))
        with pytest.raises(ValueError, match="strict must be one of"):
            find(PARAMS, state, strict="no")


def test_a_step_of_training_takes_the_gradient_where_the_method_wants_it():
    model = models.mlp([2, 1])
    step = train.make_step(model, "l2", optax.chain(optax.clip(10.0), optimizers.nesterov_sutskever(0.1)))
    params, state, _ = model.init(jax.random.key(0), (2,))
    x, y = jnp.asarray([[1.0, 2.0], [-0.5, 1.5]]), jnp.asarray([[1.0], [-2.0]])
    held = train.TrainState(
        params, state, optax.chain(optax.clip(10.0), optimizers.nesterov_sutskever(0.1)).init(params)
    )
    for key in range(3):
        held, _ = step(held, (x, y), key)
    (layer,) = params
    kernel, bias = (np.asarray(params[layer][name], float) for name in ("kernel", "bias"))
    velocity = [0 * kernel, 0 * bias]
    for _ in range(3):
        place = [p + 0.9 * v for p, v in zip((kernel, bias), velocity, strict=True)]
        error = (np.asarray(x) @ place[0] + place[1] - np.asarray(y)) / 2
        slopes = np.asarray(x).T @ error, error.sum(0)
        velocity = [0.9 * v - 0.1 * g for v, g in zip(velocity, slopes, strict=True)]
        kernel, bias = kernel + velocity[0], bias + velocity[1]
    np.testing.assert_allclose(held.params[layer]["kernel"], kernel, rtol=1e-5)
    np.testing.assert_allclose(held.params[layer]["bias"], bias, rtol=1e-5)
