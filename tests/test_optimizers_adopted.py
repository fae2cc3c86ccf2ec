"""optax's own optimizers as they are listed here, what is different in optax itself, and second order."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize

import jaxdict as jd
from jaxdict import optimizers
from jaxdict.optimizers import adopted, second_order

PARAMS = {"kernel": np.linspace(-1.0, 1.4, 6).reshape(3, 2), "bias": np.array([0.3, -0.7])}
GRADIENTS = jax.tree.map(
    lambda p: np.random.default_rng(p.size).normal(0.2, 1.0, (9, *p.shape)) * np.logspace(0, -2, 9).reshape(
        -1, *[1] * p.ndim
    ), PARAMS,
)  # fmt: skip
KERNELS = {"kernel": True, "bias": False}


def ramp(t):
    return 0.1 * 0.8**t


def path(optimizer, gradients=GRADIENTS, params=PARAMS):
    """Parameters after every step along given gradients, and the states."""

    def step(carry, g):
        params, state = carry
        updates, state = optimizer.update(g, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, state)

    params = jax.tree.map(jnp.asarray, params)
    return jax.lax.scan(step, (params, optimizer.init(params)), jax.tree.map(jnp.asarray, gradients))[1]


def same(a, b, atol=1e-14):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=atol), a, b)


class TestAsInOptax:
    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            (optimizers.sgd(0.1, momentum=0.8, nesterov=True), optax.sgd(0.1, 0.8, True)),
            (optimizers.sgd(ramp, momentum=0.8), optax.sgd(ramp, 0.8)),
            (
                optimizers.adamw(ramp, b1=0.8, b2=0.9, eps=1e-3, eps_root=1e-2, weight_decay=0.3, mask=KERNELS),
                optax.adamw(ramp, 0.8, 0.9, 1e-3, 1e-2, weight_decay=0.3, mask=KERNELS),
            ),
            (optimizers.adamw(0.1, nesterov=True), optax.adamw(0.1, nesterov=True)),
            (
                optimizers.radam(0.1, b1=0.8, b2=0.9, eps=1e-3, eps_root=1e-2, threshold=4.5, nesterov=True),
                optax.radam(0.1, 0.8, 0.9, 1e-3, 1e-2, 4.5, nesterov=True),
            ),
            (
                optimizers.lion(ramp, b1=0.8, b2=0.9, weight_decay=0.3, mask=KERNELS),
                optax.lion(ramp, 0.8, 0.9, weight_decay=0.3, mask=KERNELS),
            ),
            (
                optimizers.lamb(0.1, b1=0.8, b2=0.9, eps=1e-3, eps_root=1e-2, weight_decay=0.3, mask=KERNELS),
                optax.lamb(0.1, 0.8, 0.9, 1e-3, 1e-2, weight_decay=0.3, mask=KERNELS),
            ),
            (
                optimizers.muon(
                    ramp, momentum=0.8, ns_steps=3, eps=1e-3, weight_decay=0.3, mask=KERNELS, nesterov=False,
                    consistent_rms=0.2, adam_learning_rate=0.03,
                ),
                optax.contrib.muon(
                    ramp, beta=0.8, ns_steps=3, eps=1e-3, weight_decay=0.3, weight_decay_mask=KERNELS, nesterov=False,
                    consistent_rms=0.2, adam_learning_rate=0.03,
                ),
            ),
        ],
    )  # fmt: skip
    @pytest.mark.slow
    def test_every_argument_arrives(self, ours, theirs):
        with jax.enable_x64(True):
            got, states = path(ours)
            same((got, states.inner_state), path(theirs))

    @pytest.mark.parametrize("name", ["sgd", "adamw", "radam", "lion", "lamb", "muon"])
    def test_defaults_are_those_of_optax(self, name):
        ours, theirs = getattr(optimizers, name), getattr(optax, name, None) or getattr(optax.contrib, name)
        renamed = {"momentum": "beta", "mask": "weight_decay_mask"} if name == "muon" else {}
        defaults = inspect.signature(theirs).parameters
        for argument, parameter in list(inspect.signature(ours).parameters.items())[1:]:
            assert parameter.default == defaults[renamed.get(argument, argument)].default, argument


class TestTrapsOfOptax:
    """What the entries say of optax, shown with optax itself: a test that fails says that optax changed."""

    def test_rprop_lags_a_step_and_ours_does_not(self):
        with jax.enable_x64(True):
            ours = path(optimizers.rprop(0.1), params={"x": np.array([1.0, -2.0])}, gradients={"x": SIGNS})[0]["x"]
            theirs = path(optax.rprop(0.1), params={"x": np.array([1.0, -2.0])}, gradients={"x": SIGNS})[0]["x"]
        theta, d, last = np.array([1.0, -2.0]), np.full(2, 0.1), np.zeros(2)
        for t, g in enumerate(SIGNS):  # torch's rule
            d = np.clip(d * np.select([g * last > 0, g * last < 0], [1.2, 0.5], 1.0), 1e-6, 50)
            last = np.where(g * last < 0, 0, g)
            theta = theta - d * np.sign(last)
            np.testing.assert_allclose(ours[t], theta, atol=1e-14)
        np.testing.assert_array_equal(theirs[0], [1.0, -2.0])
        np.testing.assert_allclose(theirs[1], ours[0], atol=1e-14)
        assert np.abs(theirs - ours).max() > 0.1

    def test_default_decay(self):
        def decay(function):
            return inspect.signature(function).parameters["weight_decay"].default

        assert decay(optax.adamw) == 1e-4
        assert decay(jd.compat.torch.optim.AdamW) == 1e-2
        assert decay(jd.compat.keras.optimizers.AdamW) == 4e-3
        assert decay(optax.lion) == 1e-3
        assert decay(jd.compat.keras.optimizers.Lion) is None

    def test_radam_adds_epsilon_to_the_corrected_root(self):
        g, eps, b2 = 1e-3, 1e-2, 0.9
        with jax.enable_x64(True):
            states = path(optax.radam(1.0, b2=b2, eps=eps), {"x": np.full((20, 1), g)}, {"x": np.zeros(1)})
        step = -np.diff(np.asarray(states[0]["x"])[:, 0])[-1]
        t, long = 20, 2 / (1 - b2) - 1
        rho = long - 2 * t * b2**t / (1 - b2**t)
        r = np.sqrt((rho - 4) * (rho - 2) * long / ((long - 4) * (long - 2) * rho))
        assert step == pytest.approx(r * g / (g + eps), rel=1e-12)
        assert step != pytest.approx(r * g * np.sqrt(1 - b2**t) / (g * np.sqrt(1 - b2**t) + eps), rel=1e-2)  # torch

    def test_radam_takes_five_long_steps_first(self):
        with jax.enable_x64(True):
            x = path(optax.radam(1.0), {"x": np.full((7, 1), 40.0)}, {"x": np.zeros(1)})[0]["x"][:, 0]
        steps = -np.diff(np.concatenate([[0], x]))
        np.testing.assert_allclose(steps[:5], 40, rtol=1e-12)
        assert (steps[5:] < 1).all()

    def test_flatten_promotes_and_makes_one_ratio_of_all(self):
        params = {"a": jnp.ones(2, jnp.bfloat16), "b": 3 * jnp.ones(2)}
        flat, plain = optax.flatten(optax.lamb(0.1)), optax.lamb(0.1)
        g = {"a": jnp.ones(2, jnp.bfloat16), "b": -jnp.ones(2)}
        together, alone = (jax.jit(f.update)(g, f.init(params), params)[0] for f in (flat, plain))
        assert together["a"].dtype == jnp.float32
        assert alone["a"].dtype == jnp.bfloat16
        np.testing.assert_allclose(alone["b"], 0.3, rtol=1e-4)
        np.testing.assert_allclose(together["b"], 0.1 * np.sqrt(5), rtol=1e-2)

    def test_narrow_second_moments_stand_still(self):
        """In bfloat16 a thousandth of a change is rounded away; here moments are float32."""
        params, g = {"x": jnp.ones(1, jnp.bfloat16)}, {"x": jnp.ones((1000, 1), jnp.bfloat16)}
        theirs, ours = path(optax.adamw(1e-3), g, params)[1], path(optimizers.adamw(1e-3), g, params)[1]
        wanted = 1 - 0.999**1000
        assert theirs[0].nu["x"].dtype == jnp.bfloat16
        assert float(theirs[0].nu["x"][-1, 0]) == 0.5
        assert float(ours.inner_state[0].nu["x"][-1, 0]) == pytest.approx(wanted, rel=1e-4)

    def test_nesterov_without_momentum_is_plain_descent(self):
        same(path(optax.sgd(0.1, None, True))[0], path(optax.sgd(0.1))[0], 0)
        with pytest.raises(ValueError, match=r"nesterov=True needs momentum, such as momentum=0\.9"):
            optimizers.sgd(0.1, nesterov=True)

    def test_muon_gives_convolution_kernels_to_adamw(self):
        params, g = {"x": np.ones((2, 2, 3, 4))}, {"x": np.ones((3, 2, 2, 3, 4))}
        same(
            path(optimizers.muon(0.1), g, params)[0],
            path(optax.adamw(0.1, weight_decay=0, nesterov=True), g, params)[0],
            1e-6,
        )

    def test_a_drop_of_the_rate_shortens_the_next_step_of_sgd_at_once(self):
        def drop(t):
            return jnp.where(t < 5, 0.1, 0.01)

        g = {"x": np.ones((9, 1))}
        outside, inside = (
            -np.diff(np.asarray(path(f, g, {"x": np.zeros(1)})[0]["x"])[:, 0])
            for f in (optimizers.sgd(drop, momentum=0.9), optimizers.momentum(drop))
        )
        assert outside[4] < 0.2 * outside[3]
        assert inside[4] > 0.9 * inside[3]


SIGNS = np.array([[1.0, -2.0], [0.5, -1.0], [-2.0, -0.1], [-1.0, 3.0], [-1.0, 0.2], [2.0, 0.0], [1.0, 1.0]])
MAKERS = {
    "sgd": functools.partial(optimizers.sgd, momentum=0.9), "adamw": optimizers.adamw, "radam": optimizers.radam,
    "lion": optimizers.lion, "lamb": optimizers.lamb, "muon": optimizers.muon, "rprop": optimizers.rprop,
}  # fmt: skip


class TestAsInTheRoom:
    @pytest.mark.parametrize("name", list(MAKERS))
    @pytest.mark.slow
    def test_rates_are_lanes(self, name):
        rates = jnp.array([0.01, 0.04])
        lanes, states = jax.jit(jax.vmap(lambda rate: path(MAKERS[name](rate))))(rates)
        same(jax.tree.map(lambda x: x[1], lanes), path(MAKERS[name](0.04))[0], 1e-5)
        if name != "rprop":
            np.testing.assert_array_equal(states.learning_rate[1], np.full(9, 0.04, np.float32))
            np.testing.assert_array_equal(states.count[0], np.arange(1, 10))

    def test_other_numbers_may_be_traced(self):
        @jax.jit
        def ends(b1, decay, factor):
            makers = (
                optimizers.adamw(b1=b1, weight_decay=decay), optimizers.radam(b1=b1), optimizers.lion(b1=b1),
                optimizers.lamb(b1=b1, weight_decay=decay), optimizers.muon(momentum=b1, weight_decay=decay),
                optimizers.rprop(eta_minus=b1, eta_plus=factor), optimizers.sgd(0.1, momentum=b1),
            )  # fmt: skip
            return [jax.tree.map(lambda x: x[-1], path(f)[0]) for f in makers]

        for x in jax.tree.leaves(ends(0.8, 0.1, 1.3)):
            assert np.isfinite(x).all()

    @pytest.mark.parametrize("name", list(MAKERS))
    def test_the_same_arguments_give_the_same_object(self, name):
        maker = getattr(optimizers, name)
        assert maker(0.25) is maker(0.25)
        assert maker(0.25) is not maker(0.5)
        assert jd.lookup(name, kind="optimizer").function is maker

    @pytest.mark.parametrize("name", list(MAKERS))
    def test_moments_are_wide_and_updates_as_the_gradients(self, name):
        params = {"a": jnp.ones((2, 3), jnp.bfloat16), "b": jnp.ones(2, jnp.float16), "c": jnp.ones(1)}
        f = MAKERS[name](0.1)
        state = f.init(params)
        updates, after = jax.jit(f.update)(params, state, params)
        assert jax.tree.map(lambda x: (x.dtype, x.shape), updates) == jax.tree.map(lambda x: (x.dtype, x.shape), params)
        dtypes = {x.dtype for x in jax.tree.leaves(after) if jnp.issubdtype(x.dtype, jnp.floating)}
        assert dtypes == {jnp.dtype("float32")}
        assert jax.tree.map(lambda x: (x.dtype, x.shape), state) == jax.tree.map(lambda x: (x.dtype, x.shape), after)

    def test_fit_knows_them_by_name_and_shows_the_rate(self):
        x = np.random.default_rng(0).normal(size=(48, 3)).astype(np.float32)
        y = (x @ np.array([1.0, -2.0, 0.5]) + 0.3)[:, None].astype(np.float32)
        model = jd.models.mlp([3, 1])
        rate = jd.schedules.exponential(0.3, 1, 0.9)
        options = {"key": 0, "epochs": 12, "batch_size": 16}
        run = jd.fit(model, "mse", optimizers.adamw(rate, weight_decay=0.0), (x, y), **options)
        assert run.history["loss"][-1] < 0.1 * run.history["loss"][0]
        assert run.history["learning_rate"][-1] == pytest.approx(0.3 * 0.9**35, rel=1e-5)
        named = jd.fit(model, "mse", "adamw", (x, y), **options)
        assert named.history["learning_rate"][-1] == pytest.approx(1e-3)

    def test_names(self):
        for name, alias in (
            ("sgd", "stochastic gradient descent"), ("adamw", "AdamW"), ("radam", "rectified Adam"),
            ("rprop", "resilient backpropagation"), ("newton", "Newton's method"), ("lbfgs", "L-BFGS"),
            ("levenberg_marquardt", "Levenberg-Marquardt"), ("conjugate_gradient", "Newton CG"),
        ):  # fmt: skip
            assert jd.lookup(alias, kind="optimizer").name == name


# ------------------------------------------------------------------------------------------------------ second order

CURVATURE = np.array([[3.0, 0.4, -0.2], [0.4, 2.0, 0.3], [-0.2, 0.3, 1.0]])
LOWEST = np.array([0.7, -1.9, 2.4])
NEWTONS = {"newton": {}, "conjugate_gradient": {"tolerance": 1e-13}}


def bowl(params):
    """A quadratic whose minimum, LOWEST, is spread over a tree."""
    x = jnp.concatenate([params["a"], params["b"][0]]) - LOWEST
    return 0.5 * x @ jnp.asarray(CURVATURE, x.dtype) @ x + 5


START = {"a": np.array([4.0, 1.0]), "b": np.array([[-3.0]])}


def valley(x):
    """Rosenbrock's residuals; the sum of squares is 0 at (1, 1)."""
    return jnp.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def half_squares(x):
    return 0.5 * jnp.sum(valley(x) ** 2)


def descend(optimizer, start, value_fn, steps, **extra):
    """Parameters and states after every step along the gradients of ``value_fn``."""

    def step(carry, _):
        params, state = carry
        gradients = jax.grad(value_fn)(params)
        updates, state = optimizer.update(gradients, state, params, value_fn=value_fn, **extra)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, state)

    start = jax.tree.map(jnp.asarray, start)
    ran = jax.jit(lambda p: jax.lax.scan(step, (p, optimizer.init(p)), None, length=steps)[1])(start)
    return jax.tree.map(np.asarray, ran)


class TestSecondOrder:
    @pytest.mark.parametrize("name", list(NEWTONS))
    def test_a_quadratic_takes_one_step(self, name):
        with jax.enable_x64(True):
            f = getattr(optimizers, name)(**NEWTONS[name])
            x, _ = descend(f, START, bowl, 1)
        np.testing.assert_allclose(x["a"][0], LOWEST[:2], rtol=1e-12)
        np.testing.assert_allclose(x["b"][0], LOWEST[None, 2:], rtol=1e-12)

    @pytest.mark.parametrize(
        ("name", "options", "steps"),
        [
            ("newton", {}, 8), ("conjugate_gradient", {"tolerance": 1e-12}, 8), ("gauss_newton", {}, 3),
            ("levenberg_marquardt", {}, 60), ("lbfgs", {}, 60),
        ],
    )  # fmt: skip
    def test_rosenbrock(self, name, options, steps):
        with jax.enable_x64(True):
            x, _ = descend(
                getattr(optimizers, name)(**options), np.array([-1.2, 1.0]), half_squares, steps, residual_fn=valley
            )
        np.testing.assert_allclose(x[-1], 1, atol=1e-10)
        assert np.abs(x[1] - 1).max() > 0.01 or name == "gauss_newton"

    @pytest.mark.parametrize("name", list(NEWTONS))
    def test_damping_turns_the_step_into_the_gradient(self, name):
        with jax.enable_x64(True):
            f = getattr(optimizers, name)(1e6, damping=1e6, **NEWTONS[name])
            x, _ = descend(f, START, bowl, 1)
            g = jax.tree.map(np.asarray, jax.grad(bowl)(jax.tree.map(jnp.asarray, START)))
        for part in START:
            np.testing.assert_allclose(START[part] - x[part][0], g[part], rtol=1e-5)

    def test_newton_goes_to_saddles_and_damping_away(self):
        """x⁴/4 - x²/2 + y²/2: a saddle at 0, minima at ±1."""

        def saddle(p):
            return p[0] ** 4 / 4 - p[0] ** 2 / 2 + p[1] ** 2 / 2

        with jax.enable_x64(True):
            plain, _ = descend(optimizers.newton(), np.array([0.2, 1.0]), saddle, 8)
            damped, _ = descend(optimizers.newton(damping=3.0), np.array([0.2, 1.0]), saddle, 80)
        np.testing.assert_allclose(plain[-1], 0, atol=1e-10)
        np.testing.assert_allclose(damped[-1], [1, 0], atol=1e-8)

    def test_gauss_newton_of_dependent_columns_is_the_shortest_solution(self):
        rows = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]])
        f = optimizers.gauss_newton()
        zeros = jnp.zeros(3)
        with jax.enable_x64(True):
            update = functools.partial(f.update, residual_fn=lambda x: rows @ x - np.array([3.0, 6.0]))
            updates, _ = jax.jit(update)(zeros, f.init(zeros), zeros.astype(float))
        np.testing.assert_allclose(updates, [0.6, 1.2, 0], atol=1e-6)

    def test_levenberg_marquardt_fits_a_curve_as_scipy_does_and_never_climbs(self):
        t = np.linspace(0, 3, 15)
        data = 2.5 * np.exp(-1.3 * t) + 0.7 + 0.05 * np.sin(17 * t)

        def misfit(x, xp=jnp):
            return x[0] * xp.exp(-x[1] * t) + x[2] - data

        start = np.array([4.0, 6.0, -3.0])
        with jax.enable_x64(True):
            x, states = descend(
                optimizers.levenberg_marquardt(damping=1e-6), start, lambda x: 0.5 * jnp.sum(misfit(x) ** 2), 40,
                residual_fn=misfit,
            )  # fmt: skip
        sums = [np.sum(misfit(one, np) ** 2) for one in (start, *np.asarray(x))]
        assert np.all(np.diff(sums) <= 1e-12)
        taken = np.asarray(states.accepted)
        assert not taken.all()
        assert taken.any()
        still = np.abs(np.diff(np.concatenate([start[None], x]), axis=0)).max(-1) == 0
        assert still[~taken].all()
        before = np.concatenate([[1e-6], states.damping[:-1]])
        np.testing.assert_allclose(states.damping, np.where(taken, before / 10, before * 10))
        scipys = scipy.optimize.least_squares(lambda x: misfit(x, np), [2.0, 1.0, 0.5], xtol=1e-15, ftol=1e-15)
        np.testing.assert_allclose(x[-1], scipys.x, rtol=1e-7)

    def test_levenberg_marquardt_refuses_a_step_to_nan(self):
        f = optimizers.levenberg_marquardt()
        start = jnp.array([1.0])
        update = jax.jit(functools.partial(f.update, residual_fn=lambda x: jnp.log(x) + 40))
        updates, state = update(start, f.init(start), start)
        np.testing.assert_array_equal(updates, 0)
        assert float(state.damping) == pytest.approx(1e-2)

    def test_lbfgs_is_that_of_optax(self):
        start = np.array([-1.2, 1.0])

        def theirs(carry, _):
            x, state = carry
            value, g = jax.value_and_grad(half_squares)(x)
            updates, state = plain.update(g, state, x, value=value, grad=g, value_fn=half_squares)
            return (x + updates, state), x + updates

        plain = optax.lbfgs(memory_size=4)
        with jax.enable_x64(True):
            ours, _ = descend(optimizers.lbfgs(memory_size=4), start, half_squares, 12)
            x = jnp.asarray(start)
            wanted = jax.jit(lambda x: jax.lax.scan(theirs, (x, plain.init(x)), None, length=12)[1])(x)
        np.testing.assert_allclose(ours, wanted, rtol=1e-12)

    def test_starts_are_lanes_and_damping_is_data(self):
        def one(start, damping):
            f = optimizers.newton(0.5, damping=damping)
            updates, _ = f.update(jax.grad(bowl)(start), f.init(start), start, value_fn=bowl)
            return updates

        starts = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), START)
        lanes = jax.jit(jax.vmap(one))(starts, jnp.array([0.0, 2.0]))
        for i, (factor, damping) in enumerate([(1, 0.0), (2, 2.0)]):
            alone = jax.jit(one)(jax.tree.map(lambda x, f=factor: jnp.asarray(f * x, jnp.float32), START), damping)
            same(jax.tree.map(lambda x, i=i: x[i], lanes), alone, 1e-5)

    def test_narrow_parameters_are_computed_wide(self):
        start = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), START)
        for name in NEWTONS:
            f = getattr(optimizers, name)()
            update = jax.jit(functools.partial(f.update, value_fn=bowl))
            updates, _ = update(jax.grad(bowl)(start), f.init(start), start)
            assert updates["a"].dtype == jnp.bfloat16
            np.testing.assert_allclose(np.float32(start["a"] + updates["a"]), LOWEST[:2], rtol=0.02)

    def test_equal_arguments_give_one_object(self):
        for name in ("newton", "conjugate_gradient", "gauss_newton", "lbfgs"):
            assert getattr(optimizers, name)(0.5) is getattr(optimizers, name)(0.5)
        assert optimizers.levenberg_marquardt(damping=0.1) is optimizers.levenberg_marquardt(damping=0.1)


def without(name, **extra):
    f = getattr(optimizers, name)()
    return f.update(jnp.ones(2), f.init(jnp.ones(2)), jnp.ones(2), **extra)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optimizers.sgd(-1.0), ValueError, r"learning_rate must be >= 0; got -1\.0"),
        (lambda: optimizers.sgd(0.1, momentum=1.0), ValueError, r"momentum must be >= 0 and < 1; got 1\.0"),
        (lambda: optimizers.sgd(0.1, nesterov="yes"), ValueError, "nesterov must be one of True, False"),
        (lambda: optimizers.adamw("fast"), TypeError, "learning_rate must be a number; got 'fast'"),
        (lambda: optimizers.adamw(b2=1.5), ValueError, r"b2 must be >= 0 and < 1; got 1\.5"),
        (lambda: optimizers.adamw(weight_decay=-0.1), ValueError, r"weight_decay must be >= 0; got -0\.1"),
        (lambda: optimizers.radam(threshold=2.0), ValueError, r"threshold must be > 4; got 2\.0"),
        (lambda: optimizers.lion(b1=-0.5), ValueError, r"b1 must be >= 0 and < 1; got -0\.5"),
        (lambda: optimizers.lamb(eps=-1.0), ValueError, r"eps must be >= 0; got -1\.0"),
        (lambda: optimizers.muon(ns_steps=0), ValueError, "ns_steps must be >= 1; got 0"),
        (lambda: optimizers.muon(consistent_rms=0.0), ValueError, r"consistent_rms must be > 0; got 0\.0"),
        (lambda: optimizers.rprop(eta_minus=1.0), ValueError, r"eta_minus must be > 0 and < 1; got 1\.0"),
        (lambda: optimizers.rprop(eta_plus=1.0), ValueError, r"eta_plus must be > 1; got 1\.0"),
        (lambda: optimizers.adamw().init(jnp.ones(2, int)), TypeError, "parameters must be floating; got int32"),
        (lambda: optimizers.rprop().init(jnp.ones(2, int)), TypeError, "parameters must be floating; got int32"),
        (lambda: optimizers.newton(damping=-1.0), ValueError, r"damping must be >= 0; got -1\.0"),
        (lambda: optimizers.newton().init(jnp.ones(2, int)), TypeError, "parameters must be floating; got int32"),
        (lambda: optimizers.conjugate_gradient(max_iterations=0), ValueError, "max_iterations must be >= 1; got 0"),
        (lambda: optimizers.conjugate_gradient(tolerance=-1.0), ValueError, r"tolerance must be >= 0; got -1\.0"),
        (lambda: optimizers.levenberg_marquardt(factor=1.0), ValueError, r"factor must be > 1; got 1\.0"),
        (lambda: optimizers.levenberg_marquardt(damping=0.0), ValueError, r"damping must be > 0; got 0\.0"),
        (lambda: optimizers.lbfgs(memory_size=0), ValueError, "memory_size must be >= 1; got 0"),
        (
            lambda: without("newton", value=1.0),
            ValueError,
            r"newton needs value_fn: call update\(gradients, state, p",
        ),
        (lambda: without("gauss_newton"), ValueError, "gauss_newton needs residual_fn: call update"),
        (lambda: without("levenberg_marquardt"), ValueError, "levenberg_marquardt needs residual_fn: call update"),
        (lambda: without("lbfgs"), ValueError, "lbfgs needs value_fn: call update"),
        (
            lambda: optimizers.lbfgs(max_linesearch_steps=0).update(jnp.ones(1), None),
            ValueError,
            r"lbfgs needs the parameters: call update\(gradients, state, params\)",
        ),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_what_is_listed():
    """The rooms' own names are all here, under jd.optimizers."""
    for room in (adopted, second_order):
        for name, value in vars(room).items():
            if (
                inspect.isfunction(value)
                and not name.startswith("_")
                and inspect.unwrap(value).__module__ == room.__name__
            ):
                assert getattr(optimizers, name) is value
