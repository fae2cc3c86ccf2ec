"""Optimizers against optax and against their own update rules, executed in NumPy float64."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdict import _expression, _registry, optimizers, schedules

START = np.array([1.0, -2.0, 0.5])
RULES = {"gradient_descent": 1e-3, "momentum": 1e-3, "adam": 0.05}


def gradient(x: Any, xp: Any = jnp) -> Any:
    """Of x0² + 10 x1⁴ - x0 x1 + x2² x0 + Σ log(1 + eˣ): curved, off-origin, asymmetric."""
    parts = (2 * x[0] - x[1] + x[2] ** 2, 40 * x[1] ** 3 - x[0], 2 * x[2] * x[0])
    return xp.stack(parts) + 1 / (1 + xp.exp(-x))


def trajectory(optimizer, start=START, steps=50, scale=1.0):
    """Parameters after every step, and the states."""

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(scale * gradient(params), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, state)

    start = jnp.asarray(start)
    return jax.lax.scan(step, (start, optimizer.init(start)), None, length=steps)[1]


def points(optimizer, **options):
    """The parameters alone, as NumPy."""
    return np.asarray(trajectory(optimizer, **options)[0])


def executed(name, values, rates, scale=1.0):
    """The same by the entry's expression in NumPy."""
    expression = _registry.find(name, "optimizer").expression
    scope = {"theta": START, "v": 0.0, "m": 0.0, **values}
    path = []
    for t, rate in enumerate(rates, start=1):
        scope |= {"g": scale * gradient(scope["theta"], np), "eta": rate, "t": t}
        scope |= _expression.evaluate(expression, scope)
        path.append(scope["theta"])
    return np.stack(path)


class TestRules:
    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            (lambda: optimizers.gradient_descent(1e-3), lambda: optax.sgd(1e-3)),
            (lambda: optimizers.momentum(1e-3, momentum=0.8), lambda: optax.sgd(1e-3, momentum=0.8)),
            (lambda: optimizers.adam(0.05), lambda: optax.adam(0.05)),
            (
                lambda: optimizers.adam(0.05, b1=0.7, b2=0.95, eps=1e-3, eps_root=1e-2),
                lambda: optax.adam(0.05, b1=0.7, b2=0.95, eps=1e-3, eps_root=1e-2),
            ),
            (lambda: optimizers.adam(0.05, b1=0.0, b2=0.0), lambda: optax.adam(0.05, b1=0.0, b2=0.0)),
            (
                lambda: optax.chain(optimizers.scale_by_adam(b1=0.8), optimizers.scale_by_rate(0.05)),
                lambda: optax.adam(0.05, b1=0.8),
            ),
        ],
    )
    def test_same_trajectory_as_optax(self, ours, theirs):
        with jax.enable_x64(True):
            a, b = points(ours()), points(theirs())
        assert a.dtype == np.float64
        assert np.abs(b - START).max() > 0.05
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)

    @pytest.mark.parametrize(("name", "rate"), RULES.items())
    @pytest.mark.parametrize("scheduled", [False, True])
    def test_the_expression_is_what_runs(self, name, rate, scheduled):
        values = {"mu": 0.9, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
        factory = getattr(optimizers, name)
        rates = rate * 0.9 ** np.arange(50) if scheduled else np.full(50, rate)
        with jax.enable_x64(True):
            path, states = trajectory(factory(schedules.exponential(rate, 1, 0.9) if scheduled else rate))
        np.testing.assert_allclose(path, executed(name, values, rates), rtol=0, atol=1e-12)
        np.testing.assert_allclose(states.learning_rate, rates, rtol=1e-6)
        np.testing.assert_array_equal(states.count, np.arange(1, 51))

    def test_the_rate_is_inside_the_velocity(self):
        drop = optax.piecewise_constant_schedule(1e-3, {5: 0.1})
        with jax.enable_x64(True):
            inside = points(optimizers.momentum(drop), steps=10)
            outside = points(optax.sgd(drop, momentum=0.9), steps=10)
        np.testing.assert_allclose(inside[:5], outside[:5], atol=1e-12)
        assert np.abs(inside[5:] - outside[5:]).max() > 1e-3

    def test_momentum_may_be_scheduled(self):
        with jax.enable_x64(True):
            path = points(optimizers.momentum(1e-3, momentum=lambda t: 0.5 + 0.1 * jnp.minimum(t, 4)), steps=8)
        theta, v = START, 0.0
        for t in range(8):
            v = (0.5 + 0.1 * min(t, 4)) * v - 1e-3 * gradient(theta, np)
            theta = theta + v
            np.testing.assert_allclose(path[t], theta, atol=1e-12)

    def test_without_bias_correction(self):
        with jax.enable_x64(True):
            path = points(optimizers.adam(0.05, bias_correction=False), steps=20)
        theta, m, v = START, 0.0, 0.0
        for t in range(20):
            g = gradient(theta, np)
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            theta = theta - 0.05 * m / (np.sqrt(v) + 1e-8)
            np.testing.assert_allclose(path[t], theta, atol=1e-12)
        # S4's uncorrected code: the first step is (1 - β₁)/√(1 - β₂) rates long.
        np.testing.assert_allclose(np.abs(path[0] - START), 0.05 * 0.1 / np.sqrt(0.001), rtol=1e-6)

    @pytest.mark.parametrize(("b2", "longest"), [(0.999, 6.57), (0.99, 2.1)])
    def test_uncorrected_first_steps_are_long(self, b2, longest):
        f = optimizers.adam(1.0, b2=b2, bias_correction=False)
        state, steps = f.init(jnp.zeros(())), []
        for _ in range(40):
            update, state = f.update(jnp.ones(()), state)
            steps.append(-float(update))
        assert max(steps) == pytest.approx(longest, abs=0.04)

    def test_epsilon_is_outside_the_root(self):
        # The first corrected step is g/(|g| + eps), of which half is left at |g| = eps; inside the root 1e-4 would be.
        update, _ = optimizers.adam(1.0).update(jnp.float32(1e-8), optimizers.adam(1.0).init(jnp.float32(0)))
        assert float(update) == pytest.approx(-0.5, rel=1e-4)

    def test_first_correction_is_exact_in_float32(self):
        f = optimizers.adam(1.0, b2=0.9999)
        update, _ = f.update(jnp.float32(3.0), f.init(jnp.float32(0)))
        assert float(update) == pytest.approx(-1.0, rel=3e-7)  # 1 - b2**t in float32 is off by 2e-4

    def test_zero_gradients_stand_still(self):
        for f in (optimizers.adam(0.1), optimizers.momentum(0.1), optimizers.gradient_descent(0.1)):
            update, _ = f.update(jnp.zeros(3), f.init(jnp.ones(3)))
            np.testing.assert_array_equal(update, np.zeros(3))


class TestTypes:
    PARAMS = {  # noqa: RUF012  (not changed)
        "narrow": jnp.arange(1.0, 4.0, dtype=jnp.bfloat16),
        "half": jnp.ones(2, jnp.float16),
        "wide": jnp.ones((2, 2)),
        "empty": jnp.ones((0, 3)),
        "none": None,
        "scalar": jnp.float32(2.0),
    }

    @pytest.mark.parametrize(
        "make", [lambda: optimizers.adam(0.1), lambda: optimizers.momentum(0.1), lambda: optimizers.scale_by_adam()]
    )
    def test_moments_are_wide_and_updates_as_the_gradients(self, make):
        f = make()
        state = f.init(self.PARAMS)
        updates, after = jax.jit(f.update)(self.PARAMS, state, self.PARAMS)
        assert jax.tree.map(lambda x: x.dtype, updates) == jax.tree.map(lambda x: x.dtype, self.PARAMS)
        assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, self.PARAMS)
        assert {leaf.dtype for leaf in jax.tree.leaves(after.v)} == {jnp.dtype("float32")}
        assert jax.tree.map(lambda x: (x.dtype, x.shape, x.weak_type), state) == jax.tree.map(
            lambda x: (x.dtype, x.shape, x.weak_type), after
        )
        assert after.count.dtype == jnp.int32

    def test_small_narrow_gradients_do_not_vanish(self):
        g = jnp.full(2, 1e-5, jnp.float16)  # its square is 0 in float16
        f = optimizers.adam(1.0, eps=1e-12)
        updates, _ = f.update(g, f.init(g))
        np.testing.assert_allclose(np.asarray(updates, np.float32), -1, rtol=1e-3)

    def test_float64_moments_for_float64_parameters(self):
        with jax.enable_x64(True):
            params = {"a": jnp.ones(2), "b": jnp.ones(2, jnp.float32)}
            rate = jnp.asarray(0.1, jnp.float64)
            f = optimizers.momentum(rate)
            updates, state = jax.jit(f.update)(params, f.init(params))
        assert (state.v["a"].dtype, state.v["b"].dtype) == (jnp.float64, jnp.float32)
        assert (updates["a"].dtype, updates["b"].dtype) == (jnp.float64, jnp.float32)
        assert state.learning_rate.dtype == jnp.float32

    def test_missing_gradients_leave_the_memory(self):
        f = optimizers.momentum(0.1)
        state = f.init({"a": jnp.ones(2), "b": jnp.ones(2)})
        _, state = f.update({"a": jnp.ones(2), "b": jnp.ones(2)}, state)
        updates, after = f.update({"a": jnp.ones(2), "b": None}, state)
        assert updates["b"] is None
        np.testing.assert_array_equal(after.v["b"], state.v["b"])

    def test_no_leaves(self):
        f = optimizers.adam(0.1)
        updates, state = f.update({}, f.init({}))
        assert updates == {}
        assert int(state.count) == 1

    def test_integer_parameters_are_refused(self):
        with pytest.raises(TypeError, match=r"parameters must be floating; got int32; leave others out with optax"):
            optimizers.adam(0.1).init({"a": jnp.ones(2, jnp.int32)})


class TestInOptax:
    """Each optimizer inside optax's wrappers, against the same by hand."""

    @pytest.fixture(params=["adam", "momentum", "gradient_descent"])
    def factory(self, request):
        return getattr(optimizers, request.param)

    def run(self, f, steps=3):
        params = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([3.0])}
        state = f.init(params)
        for _ in range(steps):
            updates, state = f.update(params, state, params)
            params = optax.apply_updates(params, updates)
        return params, state

    def test_chain(self, factory):
        params, _ = self.run(optax.chain(optax.scale(0.5), factory(0.1)))
        assert np.all(np.isfinite(params["a"]))
        assert params["a"][0] < 1

    def test_masked_and_multi_transform(self, factory):
        plain, _ = self.run(factory(0.1))
        masked, _ = self.run(optax.masked(factory(0.1), {"a": True, "b": False}))
        np.testing.assert_array_equal(masked["a"], plain["a"])
        several, _ = self.run(
            optax.multi_transform({"x": factory(0.1), "y": optax.set_to_zero()}, {"a": "x", "b": "y"})
        )
        np.testing.assert_array_equal(several["a"], plain["a"])
        np.testing.assert_array_equal(several["b"], [3.0])

    def test_inject_hyperparams(self, factory):
        plain, _ = self.run(factory(0.1))
        injected, state = self.run(optax.inject_hyperparams(factory)(learning_rate=0.1))
        np.testing.assert_allclose(injected["a"], plain["a"], rtol=1e-4)
        assert "learning_rate" in state.hyperparams

    def test_multi_steps(self, factory):
        g = {"a": jnp.array([1.0, -2.0])}
        plain = factory(0.1)
        expected, _ = plain.update(g, plain.init(g))
        f = optax.MultiSteps(factory(0.1), every_k_schedule=2)
        state = f.init(g)
        first, state = f.update(jax.tree.map(lambda x: 0.5 * x, g), state, g)
        second, state = f.update(jax.tree.map(lambda x: 1.5 * x, g), state, g)
        np.testing.assert_array_equal(first["a"], 0)
        np.testing.assert_allclose(second["a"], expected["a"], rtol=1e-6)

    def test_apply_if_finite(self, factory):
        f = optax.apply_if_finite(factory(0.1), 3)
        g = {"a": jnp.array([1.0, jnp.nan])}
        updates, state = f.update(g, f.init(g), g)
        np.testing.assert_array_equal(updates["a"], 0)
        assert int(state.inner_state.count) == 0

    def test_extra_arguments_pass_by(self, factory):
        f = factory(0.1)
        updates, _ = f.update(jnp.ones(2), f.init(jnp.ones(2)), None, value=1.0)
        assert updates.shape == (2,)

    def test_the_rate_is_found_by_its_name(self, factory):
        f = optax.chain(optax.clip(1.0), factory(schedules.exponential(0.5, 1, 0.5)))
        g = jnp.ones(2)
        state = f.init(g)
        assert float(optax.tree_utils.tree_get(state, "learning_rate")) == 0.5
        for rate in (0.5, 0.25, 0.125):
            _, state = f.update(g, state)
            found = optax.tree_utils.tree_get(state, "learning_rate")
            assert float(found) == rate
            assert found.dtype == jnp.float32
        assert int(optax.tree_utils.tree_get(state, "count")) == 3


class TestHyperparametersAsData:
    def test_one_compilation_serves_all_values(self):
        traces = []

        @jax.jit
        def step(rate, b1, b2, eps):
            traces.append(1)
            f = optimizers.adam(rate, b1=b1, b2=b2, eps=eps)
            g = jnp.array([1.0, -3.0])
            state = f.init(g)
            for _ in range(3):
                updates, state = f.update(g, state)
            return updates, state.learning_rate

        for values in ((0.1, 0.9, 0.999, 1e-8), (0.2, 0.0, 0.9, 1e-3)):
            updates, rate = step(*values)
            f = optimizers.adam(values[0], b1=values[1], b2=values[2], eps=values[3])
            g = jnp.array([1.0, -3.0])
            state = f.init(g)
            for _ in range(3):
                expected, state = f.update(g, state)
            np.testing.assert_allclose(updates, expected, rtol=1e-4)
            assert float(rate) == pytest.approx(values[0])
        assert len(traces) == 1

    @pytest.mark.parametrize("name", list(RULES))
    def test_rates_are_lanes(self, name):
        factory = getattr(optimizers, name)
        rates = jnp.array([1e-4, 1e-3, 3e-3])
        lanes, states = jax.vmap(lambda rate: trajectory(factory(rate), steps=5))(rates)
        for i, rate in enumerate(rates):
            np.testing.assert_allclose(lanes[i], trajectory(factory(float(rate)), steps=5)[0], rtol=2e-5)
            np.testing.assert_array_equal(states.learning_rate[i], np.full(5, rate))

    def test_momentum_and_decay_rates_are_lanes(self):
        mus = jnp.array([0.0, 0.5, 0.9])
        lanes = jax.vmap(lambda mu: trajectory(optimizers.momentum(1e-3, momentum=mu), steps=5)[0])(mus)
        for i, mu in enumerate(mus):
            alone = trajectory(optimizers.momentum(1e-3, momentum=float(mu)), steps=5)[0]
            np.testing.assert_allclose(lanes[i], alone, rtol=1e-5)

    def test_a_derivative_for_every_hyperparameter(self):
        @jax.jit
        def end(rate, b1, b2, eps, root):
            return trajectory(optimizers.adam(rate, b1=b1, b2=b2, eps=eps, eps_root=root), steps=4)[0][-1].sum()

        with jax.enable_x64(True):
            at = (0.05, 0.9, 0.99, 1e-3, 1e-4)
            slopes = jax.jit(jax.grad(end, range(5)))(*at)
            for i, slope in enumerate(slopes):
                high, low = (end(*at[:i], at[i] + h, *at[i + 1 :]) for h in (1e-6, -1e-6))
                np.testing.assert_allclose(slope, (high - low) / 2e-6, rtol=1e-5)
            assert np.all(np.isfinite(jax.grad(end, (1, 2))(0.05, 0.0, 0.0, 1e-3, 1e-4)))

    def test_equal_arguments_give_the_same_object(self):
        assert optimizers.adam(1e-3) is optimizers.adam(1e-3)
        assert optimizers.adam(1e-3) is not optimizers.adam(2e-3)
        assert optimizers.adam(schedules.cosine_annealing(0.1, 9)) is optimizers.adam(
            schedules.cosine_annealing(0.1, 9)
        )
        assert optimizers.momentum(0.1, momentum=0.9) is optimizers.momentum(0.1, momentum=0.9)
        assert optimizers.gradient_descent(0.1) is optimizers.gradient_descent(0.1)
        assert optimizers.scale_by_adam(b1=0.5) is optimizers.scale_by_adam(b1=0.5)

    def test_the_entry_holds_the_public_function(self):
        for name in RULES:
            assert _registry.find(name, "optimizer").function is getattr(optimizers, name)
        assert list(inspect.signature(optimizers.adam).parameters)[:3] == ["learning_rate", "b1", "b2"]
        assert _registry.find("Heavy-Ball").name == "momentum"


class TestErrors:
    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: optimizers.adam(-0.1), ValueError, r"learning_rate must be >= 0; got -0\.1"),
            (lambda: optimizers.momentum(float("nan")), ValueError, r"learning_rate must be >= 0; got nan"),
            (lambda: optimizers.gradient_descent("fast"), TypeError, r"learning_rate must be a number; got 'fast'"),
            (lambda: optimizers.adam(None), TypeError, r"learning_rate must be a number; got None"),
            (
                lambda: optimizers.adam(np.ones(3)),
                ValueError,
                r"learning_rate must be a scalar; got shape \(3,\).*vmap",
            ),
            (lambda: optimizers.adam(b1=1.0), ValueError, r"b1 must be >= 0 and < 1; got 1\.0"),
            (lambda: optimizers.adam(b2=-0.1), ValueError, r"b2 must be >= 0 and < 1; got -0\.1"),
            (lambda: optimizers.adam(b1=lambda t: 0.9), TypeError, r"b1 must be a number, not a schedule"),
            (lambda: optimizers.adam(eps=-1e-8), ValueError, r"eps must be >= 0"),
            (lambda: optimizers.scale_by_adam(eps_root=-1.0), ValueError, r"eps_root must be >= 0; got -1\.0"),
            (lambda: optimizers.adam(bias_correction="no"), ValueError, r"bias_correction must be one of True, False"),
            (lambda: optimizers.momentum(0.1, momentum=1), ValueError, r"momentum must be >= 0 and < 1; got 1"),
        ],
    )
    def test_messages(self, make, error, message):
        with pytest.raises(error, match=message):
            make()

    def test_traced_rates_must_be_scalars_too(self):
        with pytest.raises(ValueError, match=r"learning_rate must be a scalar; got shape \(2,\)"):
            jax.jit(lambda rate: optimizers.adam(rate).init(jnp.ones(2)))(jnp.ones(2))
