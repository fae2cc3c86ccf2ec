"""Optimizers, clipping and decay against optax and against their own rules, executed in NumPy float64."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from jaxdict import _expression, _registry, optimizers, penalties, schedules

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


TREE = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[0.0], [-4.0]])}  # norms 3 and 4, together 5
LINKS = {  # what frameworks gave for TREE at 1: optax 0.2.8's clip and clip_by_global_norm, Keras 3.15's clipnorm
    "clip_by_value": {"a": [1.0, 0.0], "b": [[0.0], [-1.0]]},
    "clip_by_global_norm": {"a": [0.6, 0.0], "b": [[0.0], [-0.8]]},
    "clip_by_norm": {"a": [1.0, 0.0], "b": [[0.0], [-1.0]]},
}


def through(link, gradient, params=None):
    """What one update of ``link`` makes of ``gradient``."""
    return link.update(gradient, link.init(gradient), params)[0]


def equal(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance or {"rtol": 1e-6}), a, b)


def cosine(a, b):
    a, b = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (a, b))
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


class TestClipping:
    @pytest.mark.parametrize("name", list(LINKS))
    def test_recorded_values(self, name):
        equal(through(getattr(optimizers, name)(1.0), TREE), LINKS[name])

    @pytest.mark.parametrize("c", [0.3, 2.0, 4.5, 7.0])
    def test_as_optax_where_optax_has_it(self, c):
        gradient = {"a": jnp.array([0.7, -1.9, 3.1]), "b": {"c": jnp.float32(-2.2), "d": jnp.zeros((0, 2))}, "e": None}
        equal(through(optimizers.clip_by_global_norm(c), gradient), through(optax.clip_by_global_norm(c), gradient))
        equal(through(optimizers.clip_by_value(c), gradient), through(optax.clip(c), gradient))
        alone = {"a": jnp.array([0.7, -1.9, 3.1])}
        equal(through(optimizers.clip_by_norm(c), alone), through(optax.clip_by_global_norm(c), alone))

    def test_only_the_global_norm_keeps_the_direction(self):
        """S2 11.1.4 says that clipping by norm does: of a tensor, but not of the gradient."""
        gradient = {"a": jnp.array([0.3, 0.1]), "b": jnp.array([-5.0, 2.0])}
        assert cosine(through(optimizers.clip_by_global_norm(0.5), gradient), gradient) == pytest.approx(1, abs=1e-7)
        turned = through(optimizers.clip_by_norm(0.5), gradient)
        assert cosine(turned, gradient) < 0.9
        assert cosine(through(optimizers.clip_by_value(0.5), gradient), gradient) < 0.9
        for name in gradient:
            assert cosine(turned[name], gradient[name]) == pytest.approx(1, abs=1e-7)
            assert np.linalg.norm(turned[name]) <= 0.5 * (1 + 1e-6)

    @pytest.mark.parametrize("name", ["clip_by_global_norm", "clip_by_norm"])
    def test_a_norm_within_comes_back_as_it_is(self, name):
        link = getattr(optimizers, name)
        for gradient in (TREE["a"], jnp.array([3.0, -4.0]), jnp.zeros(3), jnp.zeros(0), jnp.array([1e-38, 0])):
            np.testing.assert_array_equal(through(link(5.0), gradient), gradient)  # 5 itself is within
        assert through(link(5.0), {}) == {}
        np.testing.assert_array_equal(through(link(np.inf), TREE["a"] * 1e30), TREE["a"] * 1e30)

    @pytest.mark.parametrize("name", ["clip_by_global_norm", "clip_by_norm"])
    @pytest.mark.parametrize("size", [3e38, 1e30, 5e9, 1e4, 1e-4, 1e-15, 1e-30])
    def test_the_whole_range_of_floats(self, name, size):
        """Squares beyond the range of float32 do no harm; optax's norm is infinite there, and its update 0."""
        gradient = jnp.asarray([size, -size / 2, 0, size / 4], jnp.float32)
        direction = np.array([1, -0.5, 0, 0.25]) / np.linalg.norm([1, -0.5, 0, 0.25])
        for c in (1.0, 1e-6, size * 1e-3):
            clipped = jax.jit(lambda g, c: through(getattr(optimizers, name)(c), g))(gradient, c)
            wanted = direction * min(c, np.linalg.norm(np.float64(gradient)))
            np.testing.assert_allclose(clipped, wanted, rtol=2e-6)
        if size > 1e20:
            assert np.all(through(optax.clip_by_global_norm(1.0), gradient) == 0)

    def test_many_components(self):
        gradient = jnp.full(100_000, 4e9)  # the sum of squares is near the largest float
        np.testing.assert_allclose(through(optimizers.clip_by_global_norm(1.0), gradient), 1 / np.sqrt(1e5), rtol=1e-5)

    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
    def test_narrow_gradients_are_rounded_once(self, dtype):
        gradient = {"a": jnp.asarray(np.linspace(100, 3000, 37), dtype), "b": jnp.asarray([-500.0], dtype)}
        wide = jax.tree.map(lambda g: np.asarray(g, np.float64), gradient)
        norm = np.sqrt(sum(np.sum(g**2) for g in wide.values()))
        clip = optimizers.clip_by_global_norm
        for got in (through(clip(2.5), gradient), jax.jit(lambda c: through(clip(c), gradient))(2.5)):
            for name, g in wide.items():
                assert got[name].dtype == dtype
                np.testing.assert_array_equal(got[name], jnp.asarray(g * (2.5 / norm), dtype))
        traced = jax.jit(lambda c: through(optimizers.clip_by_value(c), gradient))(777.0)
        np.testing.assert_array_equal(traced["a"], jnp.asarray(np.minimum(wide["a"], 777), dtype))

    def test_what_is_not_finite(self):
        spoiled = {"a": jnp.array([1.0, jnp.inf]), "b": jnp.array([2.0])}
        whole = through(optimizers.clip_by_global_norm(1.0), spoiled)
        equal(whole, {"a": [0, np.nan], "b": [0]})
        equal(through(optimizers.clip_by_norm(1.0), spoiled), {"a": [0, np.nan], "b": [1]})
        equal(through(optimizers.clip_by_value(1.0), spoiled), {"a": [1, 1], "b": [1]})
        spoiled["a"] = jnp.array([1.0, jnp.nan])
        equal(through(optimizers.clip_by_global_norm(1.0), spoiled), {"a": [np.nan] * 2, "b": [np.nan]})
        equal(through(optimizers.clip_by_value(0.5), spoiled), {"a": [0.5, np.nan], "b": [0.5]})

    def test_derivatives(self):
        """Through a clipped update, by the gradient and the limit; 0 is no trap, as it is in optax."""
        clip = optimizers.clip_by_global_norm
        with jax.enable_x64(True):
            clipped = jax.jit(lambda g, c: through(clip(c), g))
            for c in (0.7, 70.0):
                check_grads(clipped, (jnp.array([3.0, -4.0, 1.0]), jnp.float64(c)), order=2, modes=["rev"])
            for link in (clip, optimizers.clip_by_norm):
                jacobian = jax.jacrev(lambda g, link=link: through(link(0.7), g))(jnp.zeros(3))
                np.testing.assert_array_equal(jacobian, np.eye(3))
            assert np.isnan(jax.jacrev(lambda g: through(optax.clip_by_global_norm(0.7), g))(jnp.zeros(3))).all()

    def test_float64(self):
        with jax.enable_x64(True):
            gradient = {"a": jnp.array([1e200, -3e200]), "b": jnp.ones(2, jnp.float32)}
            clipped = through(optimizers.clip_by_global_norm(2.0), gradient)
            assert (clipped["a"].dtype, clipped["b"].dtype) == (jnp.float64, jnp.float32)
            np.testing.assert_allclose(clipped["a"], np.array([2, -6]) / np.sqrt(10), rtol=1e-14)

    def test_limits_are_lanes(self):
        limits = jnp.array([0.5, 2.0, 9.0])
        for name in LINKS:
            link = getattr(optimizers, name)
            lanes = jax.vmap(lambda c, link=link: through(link(c), TREE))(limits)
            for lane, c in enumerate([0.5, 2.0, 9.0]):
                equal(jax.tree.map(lambda x, lane=lane: x[lane], lanes), through(link(c), TREE))

    def test_in_a_chain(self):
        f = optax.chain(optimizers.clip_by_global_norm(1.0), optimizers.momentum(0.1))
        state = f.init(TREE)
        updates, _ = f.update(TREE, state, TREE, value=1.0)
        equal(updates, {"a": [-0.06, 0], "b": [[0], [0.08]]})
        assert float(optax.tree_utils.tree_get(state, "learning_rate")) == pytest.approx(0.1)


class TestWeightDecay:
    def descend(self, f, steps=12):
        return points(f, steps=steps)

    def test_in_the_gradient_it_is_the_penalty(self):
        """λ/2·‖θ‖² in the loss, which is the penalty l2 at half the strength."""
        theta = jnp.array([0.4, -1.3])
        decay = through(optimizers.weight_decay(0.3), jnp.zeros(2), theta)
        np.testing.assert_allclose(decay, jax.grad(penalties.l2)(theta, 0.15), rtol=1e-6)

    def test_the_penalty_is_decoupled_decay_only_for_plain_descent(self):
        """S3 says weight decay for λ‖θ‖²: the same by 2λ, but with neither momentum nor adaptive rates."""
        decay = optimizers.weight_decay(0.2)
        plain, rate = optimizers.gradient_descent(1e-3), optimizers.scale_by_rate(1e-3)

        def penalized(f):
            def update(g, state, params):
                return f.update(g + jax.grad(penalties.l2)(params, 0.1), state, params)

            return optax.GradientTransformation(f.init, update)

        with jax.enable_x64(True):
            coupled = self.descend(penalized(plain))
            np.testing.assert_allclose(coupled, self.descend(optax.chain(decay, plain)), atol=1e-14)
            theta = START  # decoupled, by hand: θ shrinks by η·λ·θ
            for row in coupled:
                theta = theta - 1e-3 * gradient(theta, np) - 1e-3 * 0.2 * theta
                np.testing.assert_allclose(row, theta, atol=1e-14)
            for optimizer, direction in (
                (optimizers.momentum(1e-3), optax.trace(0.9)),
                (optimizers.adam(1e-3), optimizers.scale_by_adam()),
            ):
                coupled, decoupled = optax.chain(decay, optimizer), optax.chain(direction, decay, rate)
                assert np.abs(self.descend(coupled) - self.descend(decoupled)).max() > 1e-4
                without = optax.chain(direction, rate)
                assert np.abs(self.descend(without) - self.descend(decoupled)).max() > 1e-4  # and it does decay

    def test_decoupled_is_adamw(self):
        rate = schedules.exponential(0.05, 1, 0.9)
        parts = optax.chain(optimizers.scale_by_adam(), optimizers.weight_decay(0.1), optimizers.scale_by_rate(rate))
        with jax.enable_x64(True):
            np.testing.assert_allclose(points(parts), points(optax.adamw(rate, weight_decay=0.1)), atol=1e-12)
            coupled = optax.chain(optimizers.weight_decay(0.1), optimizers.adam(0.05))
            theirs = optax.chain(optax.add_decayed_weights(0.1), optax.adam(0.05))
            np.testing.assert_allclose(points(coupled), points(theirs), atol=1e-12)

    def test_decay_alone_halves_with_the_rate(self):
        """The decay follows the rate: recorded of torch's and Keras's AdamW, rates 0.05, 0.025, 0.0125, decay 0.1."""
        f = optax.chain(
            optimizers.scale_by_adam(), optimizers.weight_decay(0.1),
            optimizers.scale_by_rate(schedules.exponential(0.05, 1, 0.5)),
        )  # fmt: skip
        theta = jnp.float32(1.0)
        state, path = f.init(theta), []
        for _ in range(3):
            update, state = f.update(jnp.float32(0), state, theta)
            theta = theta + update
            path.append(theta)
        np.testing.assert_allclose(path, [0.995, 0.9925125, 0.99127186], rtol=1e-6)

    def test_masks(self):
        params = {"kernel": jnp.ones(2), "bias": jnp.ones(2)}
        zeros = jax.tree.map(jnp.zeros_like, params)
        for mask in ({"kernel": True, "bias": False}, lambda tree: {name: name == "kernel" for name in tree}):
            got = through(optimizers.weight_decay(0.5, mask=mask), zeros, params)
            equal(got, {"kernel": [0.5, 0.5], "bias": [0, 0]})

    def test_strengths_may_be_scheduled_traced_and_lanes(self):
        f = optimizers.weight_decay(lambda t: 0.1 * (t + 1))
        state = f.init(jnp.ones(2))
        for t in range(3):
            update, state = f.update(jnp.zeros(2), state, jnp.ones(2))
            np.testing.assert_allclose(update, 0.1 * (t + 1), rtol=1e-6)
        lanes = jax.vmap(lambda s: through(optimizers.weight_decay(s), jnp.zeros(2), jnp.ones(2)))(
            jnp.array([0.0, 0.3])
        )
        np.testing.assert_allclose(lanes, [[0, 0], [0.3, 0.3]], rtol=1e-6)
        slope = jax.grad(lambda s: through(optimizers.weight_decay(s), 0.0, 3.0))(0.0)
        assert slope == 3

    def test_narrow_types_are_rounded_once(self):
        params, g = jnp.asarray([256.0, -3.0], jnp.bfloat16), jnp.asarray([1.0, 2.0], jnp.bfloat16)
        for strength in (0.01, jnp.float32(0.01)):
            got = jax.jit(lambda s: through(optimizers.weight_decay(s), g, params))(strength)
            assert got.dtype == jnp.bfloat16
            want = np.float32([1 + 0.01 * 256, 2 - 0.03])
            np.testing.assert_array_equal(got, jnp.asarray(want, jnp.bfloat16))
        mixed = through(optimizers.weight_decay(0.5), g, jnp.asarray([4.0, 8.0], jnp.float32))
        assert mixed.dtype == jnp.bfloat16
        np.testing.assert_array_equal(mixed, [3, 6])

    def test_missing_gradients_stay_missing(self):
        got = through(optimizers.weight_decay(0.5), {"a": jnp.ones(1), "b": None}, {"a": jnp.ones(1), "b": jnp.ones(1)})
        assert got["b"] is None
        np.testing.assert_array_equal(got["a"], [1.5])


def test_links_are_entries_and_equal_ones_are_one():
    for name in (*LINKS, "weight_decay"):
        made = getattr(optimizers, name)
        assert _registry.find(name, "optimizer").function is made
        assert made(0.5) is made(0.5)
        assert made(0.5) is not made(0.25)
    assert _registry.find("clipnorm").name == "clip_by_norm"
    assert _registry.find("global_clipnorm").name == "clip_by_global_norm"
    assert _registry.find("clipvalue").name == "clip_by_value"


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
            (lambda: optimizers.adam(b1=lambda t: 0.9), TypeError, r"b1 must be a number, not a function"),
            (lambda: optimizers.adam(eps=-1e-8), ValueError, r"eps must be >= 0"),
            (lambda: optimizers.scale_by_adam(eps_root=-1.0), ValueError, r"eps_root must be >= 0; got -1\.0"),
            (lambda: optimizers.adam(bias_correction="no"), ValueError, r"bias_correction must be one of True, False"),
            (lambda: optimizers.clip_by_norm(0), ValueError, r"max_norm must be > 0; got 0"),
            (lambda: optimizers.clip_by_global_norm(-1.0), ValueError, r"max_norm must be > 0; got -1\.0"),
            (lambda: optimizers.clip_by_global_norm(np.ones(2)), ValueError, r"max_norm must be a scalar; got shape"),
            (lambda: optimizers.clip_by_value(float("nan")), ValueError, r"max_value must be > 0; got nan"),
            (lambda: optimizers.clip_by_value("1"), TypeError, r"max_value must be a number; got '1'"),
            (lambda: optimizers.clip_by_norm(lambda t: 1.0), TypeError, r"max_norm must be a number, not a function"),
            (lambda: optimizers.weight_decay(-0.1), ValueError, r"strength must be >= 0; got -0\.1"),
            (lambda: optimizers.weight_decay(None), TypeError, r"strength must be a number; got None"),
            (
                lambda: through(optimizers.weight_decay(0.1), jnp.ones(2)),
                ValueError,
                r"weight_decay needs the parameters: call update\(updates, state, params\)",
            ),
            (
                lambda: optimizers.clip_by_value(1.0).init(jnp.ones(2, int)),
                TypeError,
                r"parameters must be floating; got int32",
            ),
            (
                lambda: optimizers.gradient_descent(1.0).init(jnp.ones(2, int)),
                TypeError,
                r"parameters must be floating; got int32",
            ),
            (lambda: optimizers.momentum(0.1, momentum=1), ValueError, r"momentum must be >= 0 and < 1; got 1"),
        ],
    )
    def test_messages(self, make, error, message):
        with pytest.raises(error, match=message):
            make()

    def test_traced_rates_must_be_scalars_too(self):
        with pytest.raises(ValueError, match=r"learning_rate must be a scalar; got shape \(2,\)"):
            jax.jit(lambda rate: optimizers.adam(rate).init(jnp.ones(2)))(jnp.ones(2))
