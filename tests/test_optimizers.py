"""The rules of optimizers: against their expressions and twins in NumPy float64, against optax, and the sources' slips.

A trajectory has forty steps or more on a function that is curved, off-origin and asymmetric.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdict import optimizers, schedules
from trajectories import START, executed, gradient, points, trajectory

MOMENTS = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
# name -> (rate, what the expression's symbols are by default)
RULES = {
    "gradient_descent": (1e-3, {}),
    "momentum": (1e-3, {"mu": 0.9}),
    "nesterov": (1e-3, {"mu": 0.9}),
    "nesterov_sutskever": (1e-3, {"mu": 0.9}),
    "nesterov_bengio": (1e-3, {"mu": 0.9}),
    "adagrad": (0.2, {"epsilon": 1e-8}),
    "rmsprop": (0.02, {"rho": 0.9, "epsilon": 1e-8}),
    "adadelta": (3.0, {"rho": 0.95, "epsilon": 1e-6}),
    "adam": (0.05, MOMENTS),
    "adam_uncorrected": (0.02, MOMENTS),
    "adamax": (0.05, MOMENTS),
    "nadam": (0.05, {"mu": 0.9, "nu": 0.999, "psi": 0.004, "epsilon": 1e-8}),
    "amsgrad": (0.05, MOMENTS),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("scheduled", [False, True], ids=["constant", "scheduled"])
def test_the_expression_is_what_runs(name, scheduled):
    rate, values = RULES[name]
    rates = rate * 0.9 ** np.arange(40) if scheduled else np.full(40, rate)
    optimizer = getattr(optimizers, name)(schedules.exponential(rate, 1, 0.9) if scheduled else rate)
    path = points(optimizer, 40)
    np.testing.assert_allclose(path, executed(name, values, rates), rtol=0, atol=1e-12)
    assert np.abs(path - START).max() > 0.05


def test_a_scan_is_the_same_and_the_state_tells_rate_and_count():
    rates = 0.05 * 0.9 ** np.arange(50)
    with jax.enable_x64(True):
        path, states = trajectory(optimizers.nadam(schedules.exponential(0.05, 1, 0.9)))
    np.testing.assert_allclose(path, executed("nadam", RULES["nadam"][1], rates), rtol=0, atol=1e-12)
    np.testing.assert_allclose(states.learning_rate, rates, rtol=1e-6)
    np.testing.assert_array_equal(states.count, np.arange(1, 51))
    products = np.cumprod(0.9 * (1 - 0.5 * 0.96 ** (np.arange(1, 51) / 250)))
    np.testing.assert_allclose(states.q, 1 - products, rtol=1e-13)


# ------------------------------------------------------------------------------------------------------- as optax

o = optimizers
RATE = schedules.exponential(0.02, 1, 0.95)
UNCORRECTED = {"bias_correction_mu": False, "bias_correction_nu": False}
PAIRS = {
    "descent": (o.gradient_descent(1e-3), optax.sgd(1e-3)),
    "momentum": (o.momentum(1e-3, momentum=0.8), optax.sgd(1e-3, momentum=0.8)),
    "nesterov": (o.nesterov(1e-3, momentum=0.8), optax.sgd(1e-3, momentum=0.8, nesterov=True)),
    "bengio": (o.nesterov_bengio(1e-3), optax.sgd(1e-3, momentum=0.9, nesterov=True)),
    "adagrad": (o.adagrad(0.2, eps_root=1e-3, initial_accumulator_value=0.1), optax.adagrad(0.2, 0.1, 1e-3)),
    "rmsprop": (o.rmsprop(RATE, decay=0.8, eps_root=1e-2), optax.rmsprop(RATE, 0.8, 1e-2)),
    "rmsprop outside": (
        o.rmsprop(RATE, eps=1e-2, eps_root=0), optax.rmsprop(RATE, 0.9, 1e-2, eps_in_sqrt=False)
    ),
    "rmsprop centered": (o.rmsprop(RATE, eps_root=1e-2, centered=True), optax.rmsprop(RATE, 0.9, 1e-2, centered=True)),
    "rmsprop momentum": (o.rmsprop(RATE, momentum=0.7), optax.rmsprop(RATE, momentum=0.7)),
    "rmsprop nesterov": (
        o.rmsprop(RATE, momentum=0.7, nesterov=True), optax.rmsprop(RATE, momentum=0.7, nesterov=True)
    ),
    "adadelta": (o.adadelta(2.0, rho=0.8, eps_root=1e-4), optax.adadelta(2.0, 0.8, 1e-4)),
    "adam": (o.adam(0.05), optax.adam(0.05)),
    "adam options": (
        o.adam(0.05, b1=0.7, b2=0.95, eps=1e-3, eps_root=1e-2), optax.adam(0.05, 0.7, 0.95, 1e-3, 1e-2)
    ),
    "adam memoryless": (o.adam(0.05, b1=0.0, b2=0.0), optax.adam(0.05, b1=0.0, b2=0.0)),
    "adamax": (o.adamax(0.05, b1=0.8, b2=0.9), optax.adamax(0.05, b1=0.8, b2=0.9, eps=0.0)),
    "nadam": (o.nadam(0.05, momentum_decay=None), optax.nadam(0.05)),
    "nadam options": (
        o.nadam(0.05, b1=0.8, b2=0.9, eps=1e-3, eps_root=1e-2, momentum_decay=None),
        optax.nadam(0.05, 0.8, 0.9, 1e-3, 1e-2),
    ),
    "amsgrad": (o.amsgrad(0.05, b2=0.9, maximum="corrected"), optax.amsgrad(0.05, b2=0.9)),
    "amsgrad of the paper": (
        o.amsgrad(0.02, b2=0.9, bias_correction=False, eps=1e-3, eps_root=1e-2),
        optax.chain(optax.scale_by_amsgrad(b2=0.9, eps=1e-3, eps_root=1e-2, **UNCORRECTED), optax.scale(-0.02)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PAIRS)
def test_same_trajectory_as_optax(case):
    ours, theirs = (points(f, 40) for f in PAIRS[case])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    assert np.abs(theirs - START).max() > 0.05


BLOCKS = {
    "adagrad": {"eps": 1e-3, "initial_accumulator_value": 0.1},
    "rmsprop": {"decay": 0.8, "centered": True},
    "adadelta": {"rho": 0.9},
    "adam": {"b1": 0.8, "bias_correction": False},
    "adamax": {"b2": 0.9, "eps": 1e-3},
    "nadam": {"momentum_decay": 0.1, "mean": "constant"},
    "amsgrad": {"b2": 0.9, "maximum": "corrected"},
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_with_a_rate_is_the_optimizer(name):
    block = optax.chain(getattr(o, f"scale_by_{name}")(**BLOCKS[name]), o.scale_by_rate(RATE))
    np.testing.assert_allclose(points(block, 12), points(getattr(o, name)(RATE, **BLOCKS[name]), 12), atol=1e-13)


@pytest.mark.parametrize("nesterov", [False, True])
def test_rmsprop_with_momentum_is_a_chain(nesterov):
    velocity = o.nesterov_bengio if nesterov else o.momentum
    chain = optax.chain(o.scale_by_rmsprop(decay=0.8), velocity(RATE, momentum=lambda t: 0.9 - 0.5 / (t + 1)))
    whole = o.rmsprop(RATE, decay=0.8, momentum=lambda t: 0.9 - 0.5 / (t + 1), nesterov=nesterov)
    np.testing.assert_allclose(points(chain, 15), points(whole, 15), atol=1e-13)


# ------------------------------------------------------------------------------------- options, by twins in NumPy


def descended(step, steps=30, **memory):
    """θ after every step of ``step(t, g, memory) -> change``."""
    theta, path = START, []
    for t in range(1, steps + 1):
        theta = theta + step(t, gradient(theta, np), memory)
        path.append(theta)
    return np.stack(path)


def mean(memory, name, decay, value):
    memory[name] = decay * memory.get(name, 0.0) + (1 - decay) * value
    return memory[name]


def rmsprop(t, g, s, *, nesterov=False, centered=False):
    v = mean(s, "v", 0.8, g**2) - (mean(s, "m", 0.8, g) ** 2 if centered else 0)
    fall = -0.02 * 0.95 ** (t - 1) * g / (np.sqrt(v + 1e-3) + 1e-2)
    mu, following = (0.9 - 0.5 / (k + 1) for k in (t - 1, t))
    s["velocity"] = mu * s.get("velocity", 0.0) + fall
    return following * s["velocity"] + fall if nesterov else s["velocity"]


def adadelta(t, g, s):
    v, d = mean(s, "v", 0.8, g**2), s.get("d", 0.0)
    delta = -(np.sqrt(d + 1e-4) + 1e-2) / (np.sqrt(v + 1e-4) + 1e-2) * g
    mean(s, "d", 0.8, delta**2)
    return 2.0 * delta


def nadam(t, g, s, *, psi=0.004, constant=False, extra=False):
    mu, following = (0.9 * (1 - 0.5 * 0.96 ** (k * psi)) for k in (t, t + 1))
    s["p"] = s.get("p", 1.0) * mu
    m, n = mean(s, "m", 0.9 if constant else mu, g), mean(s, "n", 0.99, g**2) * (0.99 if extra else 1)
    mbar = (1 - mu) * g / (1 - s["p"]) + following * m / (1 - s["p"] * following)
    return -0.05 * mbar / (np.sqrt(n / (1 - 0.99**t)) + 1e-8)


def adam(t, g, s, *, b2=0.999):
    m, v = mean(s, "m", 0.9, g), mean(s, "v", b2, g**2)
    return -0.02 * m / (np.sqrt(v) + 1e-8)


def adamax(t, g, s):
    m = mean(s, "m", 0.8, g)
    s["u"] = np.maximum(0.9 * s.get("u", 0.0), np.abs(g))
    return -0.05 / (1 - 0.8**t) * m / (s["u"] + 1e-2)


def amsgrad(t, g, s, *, corrected=False):
    m, v = mean(s, "m", 0.9, g), mean(s, "v", 0.9, g**2)
    c = 1 - 0.9**t
    s["max"] = np.maximum(s.get("max", 0.0), v / c if corrected else v)
    return -0.05 * m / (1 - 0.9**t) / (np.sqrt((s["max"] if corrected else s["max"] / c) + 1e-3) + 1e-2)


def adagrad(t, g, s):
    s["v"] = s.get("v", 0.3) + g**2
    return -0.2 * g / (np.sqrt(s["v"] + 1e-3) + 1e-2)


KNOBS = {"eps": 1e-2, "eps_root": 1e-3}
VELOCITY = {"decay": 0.8, "momentum": lambda t: 0.9 - 0.5 / (t + 1), **KNOBS}
part = functools.partial
TWINS = {
    "adagrad": (o.adagrad(0.2, initial_accumulator_value=0.3, **KNOBS), adagrad),
    "rmsprop": (o.rmsprop(RATE, **VELOCITY), rmsprop),
    "rmsprop nesterov": (o.rmsprop(RATE, nesterov=True, **VELOCITY), part(rmsprop, nesterov=True)),
    "rmsprop centered": (o.rmsprop(RATE, centered=True, **VELOCITY), part(rmsprop, centered=True)),
    "adadelta": (o.adadelta(2.0, rho=0.8, eps=1e-2, eps_root=1e-4), adadelta),
    "adam": (o.adam(0.02, bias_correction=False), adam),
    "adam_uncorrected": (o.adam_uncorrected(0.02, b2=0.9), part(adam, b2=0.9)),
    "adamax": (o.adamax(0.05, b1=0.8, b2=0.9, eps=1e-2), adamax),
    "amsgrad": (o.amsgrad(0.05, b2=0.9, **KNOBS), amsgrad),
    "amsgrad corrected": (o.amsgrad(0.05, b2=0.9, maximum="corrected", **KNOBS), part(amsgrad, corrected=True)),
    "nadam": (o.nadam(0.05, b2=0.99), nadam),
    "nadam of PyTorch": (o.nadam(0.05, b2=0.99, mean="constant"), part(nadam, constant=True)),
    "nadam of Keras": (
        o.nadam(0.05, b2=0.99, mean="constant", momentum_decay=1.0), part(nadam, constant=True, psi=1.0)
    ),
    "nadam of 2016": (o.nadam(0.05, b2=0.99, extra_decay=True), part(nadam, extra=True)),
}  # fmt: skip


@pytest.mark.parametrize("case", TWINS)
def test_options(case):
    optimizer, twin = TWINS[case]
    np.testing.assert_allclose(points(optimizer, 30), descended(twin), rtol=0, atol=1e-12)


def test_options_change_something():
    """The twins of one optimizer part from each other, so that no two options are mistaken for one."""
    ends = {case: descended(twin)[-1] for case, (_, twin) in TWINS.items()}
    for case, end in ends.items():
        for other, another in ends.items():
            assert other == case or np.abs(end - another).max() > 1e-4, (case, other)


# -------------------------------------------------------------------------------------- what the sources get wrong


def first(optimizer, g, steps=1):
    """The last of so many updates by the same gradient, from rest."""
    g = jnp.asarray(g, jnp.float32)
    state, update = optimizer.init(g), None
    for _ in range(steps):
        update, state = optimizer.update(g, state)
    return np.asarray(update)


class TestErrata:
    def test_the_rate_is_inside_the_velocity(self):
        drop = optax.piecewise_constant_schedule(1e-3, {5: 0.1})
        inside, outside = points(o.momentum(drop), 10), points(optax.sgd(drop, momentum=0.9), 10)
        np.testing.assert_allclose(inside[:5], outside[:5], atol=1e-12)
        assert np.abs(inside[5:] - outside[5:]).max() > 1e-3

    def test_adagrad_sums_squares(self):
        """S0 6.4 prints the sum of the gradients: after 1 and -3 that is negative, and has no root."""
        f = o.adagrad(1.0)
        state = f.init(jnp.zeros(()))
        for g in (1.0, -3.0):
            update, state = f.update(jnp.float32(g), state)
        assert float(update) == pytest.approx(3 / np.sqrt(10), rel=1e-6)
        with np.errstate(invalid="ignore"):
            assert np.isnan(3 / np.sqrt(np.float64(1 - 3) + 1e-8))

    def test_rmsprop_divides_by_the_root(self):
        """S2 11.3.4 multiplies: twice the gradient would give a fourth more, four times the step; it is the same."""
        np.testing.assert_allclose(
            first(o.rmsprop(0.1), [0.5, 1.0, -4.0]), np.array([-1, -1, 1]) * np.sqrt(0.1), rtol=1e-5
        )

    def test_rmsprop_cycles_where_adagrad_converges(self):
        """On x²/2 at a constant rate: half the rate on either side, against S2's 'always performs better'."""

        @jax.jit
        def end(x):
            def step(carry, _):
                (x, s), (y, q) = carry
                (u, s), (w, q) = o.rmsprop(0.1).update(x, s), o.adagrad(0.1).update(y, q)
                return ((x + u, s), (y + w, q)), (x + u, y + w)

            start = (x, o.rmsprop(0.1).init(x)), (x, o.adagrad(0.1).init(x))
            return jax.lax.scan(step, start, length=4000)[1]

        cycle, converged = end(jnp.float32(0.7))
        np.testing.assert_allclose(np.abs(cycle[-20:]), 0.05, rtol=1e-3)
        assert np.all(np.sign(cycle[-20:-1]) == -np.sign(cycle[-19:]))
        assert abs(converged[-1]) < 1e-4

    def test_adadelta_has_a_hidden_rate(self):
        """S1 1.4 has no rate to set: the first step is √(ε/(1 - ρ)) for any gradient; with ε = 0 it never starts."""
        for eps in (1e-6, 1e-2):
            step = first(o.adadelta(eps_root=eps), [1e4, -1e5])
            np.testing.assert_allclose(step, np.sqrt(eps / 0.05) * np.array([-1, 1]), rtol=1e-3)
        np.testing.assert_array_equal(first(o.adadelta(eps_root=0.0), [2.0, -1.0], 50), 0)

    def test_adadelta_descends_with_its_defaults(self):
        """optax.adadelta() climbs: without a rate nothing turns the sign."""

        def height(path):
            return (path**2).sum(-1)

        def down(f):
            x, state = jnp.array([1.0, -2.0]), f.init(jnp.zeros(2))
            path = [x]
            for _ in range(20):
                updates, state = f.update(2 * x, state, x)
                x = x + updates
                path.append(x)
            return height(np.stack(path))

        assert np.all(np.diff(down(o.adadelta())) < 0)
        assert np.all(np.diff(down(optax.adadelta())) > 0)

    @pytest.mark.parametrize(("b2", "longest"), [(0.999, 6.57), (0.99, 2.1)])
    def test_uncorrected_first_steps_are_long(self, b2, longest):
        f = o.adam_uncorrected(1.0, b2=b2)
        state, steps = f.init(jnp.zeros(())), []
        for _ in range(40):
            update, state = f.update(jnp.ones(()), state)
            steps.append(-float(update))
        assert steps[0] == pytest.approx(0.1 / np.sqrt(1 - b2), rel=1e-4)
        assert max(steps) == pytest.approx(longest, abs=0.04)

    def test_epsilon_of_adam_is_outside_the_root(self):
        # The first corrected step is g/(|g| + eps), of which half is left at |g| = eps; inside the root 1e-4 would be.
        assert first(o.adam(1.0), 1e-8) == pytest.approx(-0.5, rel=1e-4)
        assert first(o.amsgrad(1.0), 1e-8) == pytest.approx(-0.5, rel=1e-4)
        assert first(o.adam(1.0, eps=0.0, eps_root=1e-8), 1e-8) == pytest.approx(-1e-4, rel=1e-4)

    def test_adamax_stands_still_at_a_first_gradient_of_0(self):
        """S0 6.7.1 has 0/0 there, and S2's maximum over signed gradients never sees a negative one."""
        np.testing.assert_array_equal(first(o.adamax(), [0.0, 0.0]), 0)
        np.testing.assert_allclose(first(o.adamax(0.1), [-3.0, 1e-20]), [0.1, -0.1], rtol=1e-5)
        assert np.all(
            np.isfinite(jax.grad(lambda g: o.adamax(0.1).update(g, o.adamax().init(g))[0].sum())(jnp.zeros(2)))
        )

    def test_products_of_nadam_begin_at_1(self):
        """A constant μ = 0.9 without second moment: 1.47 g, where S0 6.8's products from i = 0 give 0.86 g."""
        g = 3.0
        step = first(o.scale_by_nadam(momentum_decay=None, b2=0.0), g)
        assert float(step) == pytest.approx(1 + 0.9 * 0.1 / (1 - 0.81), rel=1e-5)  # over |g|
        assert float(step) == pytest.approx(1.47, abs=5e-3)
        from_zero = 0.1 / (1 - 0.9**2) + 0.9 * 0.1 / (1 - 0.9**3)
        assert from_zero == pytest.approx(0.86, abs=5e-3)

    def test_a_corrected_maximum_keeps_a_large_first_gradient(self):
        """The corrected mean of squares after a first gradient of 100 is all of its square, and stays the maximum."""

        def later(maximum):
            f = o.amsgrad(1.0, maximum=maximum)
            state, update = f.init(jnp.zeros(())), 0.0
            for g in (100.0, *[1.0] * 300):
                update, state = f.update(jnp.float32(g), state)
            return -float(update)

        assert later("corrected") == pytest.approx(0.01, rel=0.1)
        assert later("raw") > 10 * later("corrected")

    def test_first_correction_is_exact_in_float32(self):
        # 1 - b2**t in float32 is off by 2e-4
        assert first(o.adam(1.0, b2=0.9999), 3.0) == pytest.approx(-1.0, rel=3e-7)
        assert first(o.amsgrad(1.0, b2=0.9999), 3.0) == pytest.approx(-1.0, rel=3e-7)


class TestPerceptron:
    def epochs(self, inputs, targets, count, rate=1.0, params=None):
        """Parameters after each epoch."""
        n = inputs.shape[1]
        params = params or {"kernel": jnp.zeros((n, targets.shape[1])), "bias": jnp.zeros(targets.shape[1])}

        def epoch(p, _):
            p, _ = jax.lax.scan(lambda p, e: (o.perceptron_rule(p, *e, learning_rate=rate), None), p, (inputs, targets))
            return p, p

        return jax.lax.scan(epoch, params, length=count)[1]

    def wrong(self, path, inputs, targets):
        kernel, bias = np.asarray(path["kernel"]), np.asarray(path["bias"])
        said = inputs @ kernel + bias[:, None] >= 0
        return (said != (targets > 0.5)).sum((1, 2))

    def test_by_hand(self):
        """Two units over two inputs: the first was right; the second, wrong, moves by η(y - ŷ)x, of either sign."""
        params = {"kernel": jnp.array([[1.0, 0.5], [-1.0, 0.25]]), "bias": jnp.array([0.0, -0.1])}
        new = o.perceptron_rule(params, [2.0, -3.0], [1, 0], learning_rate=0.5)  # z = (5, 0.15)
        np.testing.assert_allclose(new["kernel"], [[1.0, -0.5], [-1.0, 1.75]])
        np.testing.assert_allclose(new["bias"], [0.0, -0.6])
        again = o.perceptron_rule(new, [-2.0, 3.0], [1, 1], learning_rate=0.5)  # z = (-5, 5.65)
        np.testing.assert_allclose(again["kernel"], [[0.0, -0.5], [0.5, 1.75]])

    def test_a_sum_of_0_says_1(self):
        zeros = {"kernel": jnp.zeros((2, 1)), "bias": jnp.zeros(1)}
        np.testing.assert_array_equal(o.perceptron_rule(zeros, [1.0, 2.0], [1])["kernel"], 0)
        np.testing.assert_array_equal(o.perceptron_rule(zeros, [1.0, 2.0], [0])["kernel"], [[-1], [-2]])

    def test_separable_examples_are_learned_and_xor_is_not(self):
        rng = np.random.default_rng(3)
        x = rng.normal(0.3, 1, (60, 3))
        margin = x @ [1.0, -2.0, 0.5] - 0.4
        x, y = x[np.abs(margin) > 0.3], (margin[np.abs(margin) > 0.3] > 0)[:, None].astype(float)
        errors = self.wrong(self.epochs(x, y, 40), x, y)
        assert errors[0] > 0
        assert errors[-1] == 0
        corners = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
        xor = np.array([[0.0], [1], [1], [0]])
        assert np.all(self.wrong(self.epochs(corners, xor, 40), corners, xor) > 0)

    def test_the_rate_only_scales_when_weights_begin_at_0(self):
        rng = np.random.default_rng(4)
        x, y = rng.normal(size=(20, 3)), rng.integers(0, 2, (20, 1)).astype(float)
        one, two = self.epochs(x, y, 3), self.epochs(x, y, 3, rate=2.0)
        np.testing.assert_allclose(two["kernel"], 2 * one["kernel"], rtol=1e-5)

    def test_types_and_missing_bias(self):
        params = {"kernel": jnp.zeros((2, 1), jnp.bfloat16)}
        new = jax.jit(lambda p, rate: o.perceptron_rule(p, [1.0, 2.0], [0], learning_rate=rate))(params, 0.5)
        assert (set(new), new["kernel"].dtype) == ({"kernel"}, jnp.bfloat16)
        np.testing.assert_array_equal(new["kernel"], [[-0.5], [-1]])

    @pytest.mark.parametrize(
        ("x", "y", "options", "error", "message"),
        [
            ([1.0, 2.0], [1], {"params": {"w": 1.0}}, ValueError, "params must hold kernel, and may hold bias; got"),
            ([1.0, 2.0], [1], {"params": {"kernel": np.ones((2, 1), int)}}, TypeError, "must be floating; got int"),
            (np.ones((5, 2)), np.ones((5, 1)), {}, ValueError, r"x and y must be one example.*got \(5, 2\), \(5, 1\)"),
            ([1.0, 2.0, 3.0], [1], {}, ValueError, r"got \(3,\), \(1,\) and \(2, 1\); go over several with"),
            ([1.0, 2.0], [1], {"learning_rate": 0}, ValueError, "learning_rate must be > 0; got 0"),
            ([1.0, 2.0], [1], {"learning_rate": "fast"}, TypeError, "learning_rate must be a number; got 'fast'"),
        ],
    )  # fmt: skip
    def test_messages(self, x, y, options, error, message):
        with pytest.raises(error, match=message):
            o.perceptron_rule(**{"params": {"kernel": jnp.ones((2, 1))}, "x": x, "y": y, **options})
