"""Schedules against their equations, against optax, and against NumPy where optax has no such curve."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdict as jd
from jaxdict import schedules as s

STEPS = np.array([0, 1, 2, 3, 7, 9, 10, 11, 19, 25, 40, 1000])
# name -> options, of which those given as floats may be traced; and the ends of its first parts
CASES = {
    "constant": ({"value": 0.3}, [30]),
    "step_decay": ({"init_value": 0.3, "step_size": 4.0, "decay_rate": 0.7}, [4, 8, 12]),
    "piecewise": ({"boundaries": (3, 9), "values": (0.3, 0.1, 0.2)}, [3, 9, 30]),
    "exponential": ({"init_value": 0.3, "decay_steps": 10.0, "decay_rate": 0.7}, [30]),
    "polynomial": ({"init_value": 0.3, "decay_steps": 10.0, "final_value": 0.02, "power": 0.5}, [10, 30]),
    "inverse_time": ({"init_value": 0.3, "decay_steps": 10.0, "decay_rate": 0.7}, [30]),
    "cosine_annealing": ({"init_value": 0.3, "decay_steps": 10.0, "final_value": 0.02}, [10, 30]),
    "cosine_restarts": (
        {"init_value": 0.3, "cycle_steps": 6.0, "growth": 2.0, "final_value": 0.02, "peak_decay": 0.8}, [6, 18]),
    "cyclic_cosine": ({"init_value": 0.3, "total_steps": 23.0, "cycles": 4}, [5.75, 11.5, 17.25]),
    "triangular": ({"min_value": 0.02, "max_value": 0.3, "step_size": 4.0}, [4, 8, 12]),
    "triangular2": ({"min_value": 0.02, "max_value": 0.3, "step_size": 4.0}, [4, 8, 12]),
    "exp_range": ({"min_value": 0.02, "max_value": 0.3, "step_size": 4.0, "decay_rate": 0.9}, [4, 8, 12]),
    "one_cycle": ({"peak_value": 0.3, "total_steps": 20.0, "peak_fraction": 0.4, "div_factor": 5.0}, [8, 20, 30]),
    "warmup": ({"schedule": s.cosine_annealing(0.3, 10), "warmup_steps": 5.0, "init_value": 0.02}, [5, 15, 30]),
    "join": ({"schedules": (s.constant(0.3), s.inverse_time(0.2, 3, 0.9)), "boundaries": (7,)}, [7, 30]),
}  # fmt: skip
each = pytest.mark.parametrize("name", CASES)


def made(name, **changed):
    return getattr(s, name)(**{**CASES[name][0], **changed})


def traceable(name):
    return {n: v for n, v in CASES[name][0].items() if isinstance(v, float)}


def f32(value):
    return np.asarray(value, np.float64)


def test_every_schedule_is_here():
    assert set(CASES) == {e.name for e in jd.entries(kind="schedule")} == {n for n in s.__all__ if n.islower()}


# -------------------------------------------------------------------------------- the same formula in plain NumPy


def cosine(t, length):
    return (1 + np.cos(np.pi * t / length)) / 2


def restarts(t, eta0, length, growth, eta1, decay):
    while t >= length:
        t, length, eta0 = t - length, length * growth, eta1 + (eta0 - eta1) * decay
    return eta1 + (eta0 - eta1) * cosine(t, length)


def triangle(t, low, high, up, down, height):
    cycle, position = divmod(t, up + down)
    return low + (high - low) * height(cycle) * np.interp(position, [0, up, up + down], [0, 1, 0])


PLAIN = {
    "constant": lambda t: 0.3,
    "step_decay": lambda t: 0.3 * 0.7 ** (t // 4),
    "piecewise": lambda t: 0.3 if t < 3 else 0.1 if t < 9 else 0.2,
    "exponential": lambda t: 0.3 * 0.7 ** (t / 10),
    "polynomial": lambda t: 0.02 + 0.28 * np.sqrt(max(0, 10 - t) / 10),
    "inverse_time": lambda t: 0.3 / (1 + 0.07 * t),
    "cosine_annealing": lambda t: 0.02 + 0.28 * cosine(min(t, 10), 10),
    "cosine_restarts": lambda t: restarts(t, 0.3, 6, 2, 0.02, 0.8),
    "cyclic_cosine": lambda t: 0.3 * cosine(4 * t % 23, 23),
    "triangular": lambda t: triangle(t, 0.02, 0.3, 4, 4, lambda cycle: 1),
    "triangular2": lambda t: triangle(t, 0.02, 0.3, 4, 4, lambda cycle: 0.5**cycle),
    "exp_range": lambda t: triangle(t, 0.02, 0.3, 4, 4, lambda cycle: 0.9**t),
    "one_cycle": lambda t: (
        0.06 + 0.24 * cosine(8 - t, 8) if t < 8 else 6e-6 + (0.3 - 6e-6) * cosine(min(t, 20) - 8, 12)
    ),
    "warmup": lambda t: 0.02 + 0.28 * t / 5 if t < 5 else 0.3 * cosine(min(t - 5, 10), 10),
    "join": lambda t: 0.3 if t < 7 else 0.2 / (1 + 0.3 * (t - 7)),
}


@each
def test_values(name):
    """In float64 and float32, at whole and fractional steps, as an array and one by one."""
    wanted = np.array([PLAIN[name](int(t)) for t in STEPS])
    f = jax.jit(made(name))
    with jax.enable_x64(True):
        for t, value in ((STEPS, wanted), (STEPS + 0.75, [PLAIN[name](t + 0.75) for t in STEPS])):
            got = f(t)
            assert got.dtype == jnp.float64
            np.testing.assert_allclose(got, value, rtol=1e-12, atol=1e-16)
    got = f(STEPS.astype(np.int32))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, wanted, rtol=5e-7, atol=1e-8)
    np.testing.assert_allclose(f(STEPS.astype(np.float32)), wanted, rtol=5e-7, atol=1e-8)


@each
def test_ends_and_joins_are_exact(name):
    """A value that an argument names is that value, to the last bit, at the step that is named."""
    f = jax.jit(made(name))
    named = {
        "constant": {0: 0.3, 9: 0.3},
        "step_decay": {0: 0.3, 3: 0.3},
        "piecewise": {0: 0.3, 2: 0.3, 3: 0.1, 8: 0.1, 9: 0.2, 10**7: 0.2},
        "exponential": {0: 0.3},
        "polynomial": {0: 0.3, 10: 0.02, 11: 0.02, 10**7: 0.02},
        "inverse_time": {0: 0.3},
        "cosine_annealing": {0: 0.3, 10: 0.02, 11: 0.02, 20: 0.02, 10**7: 0.02},
        "cosine_restarts": {0: 0.3},
        "cyclic_cosine": {0: 0.3, 23: 0.3, 46: 0.3, 23 * 10**5: 0.3},
        "triangular": {0: 0.02, 4: 0.3, 8: 0.02, 12: 0.3, 8 * 10**6: 0.02, 8 * 10**6 + 4: 0.3},
        "triangular2": {0: 0.02, 4: 0.3, 8: 0.02, 16: 0.02},
        "exp_range": {0: 0.02, 8: 0.02, 8 * 10**6: 0.02},
        "one_cycle": {0: 0.3 / 5, 8: 0.3, 20: 0.3 / 5 / 1e4, 21: 0.3 / 5 / 1e4},
        "warmup": {0: 0.02, 5: 0.3, 15: 0.0, 16: 0.0},
        "join": {6: 0.3, 7: 0.2},
    }[name]
    steps = np.array(list(named), np.int32)
    np.testing.assert_array_equal(f(steps), np.array(list(named.values()), np.float32))


@each
def test_between_its_parts_it_runs_on_one_side(name):
    """From one named step to the next it only falls or only rises, and without a jump but where it has stairs."""
    f, ends = jax.jit(made(name)), [0, *CASES[name][1]]
    for start, end in itertools.pairwise(ends):
        moves = np.diff(f32(f(np.linspace(start, end - 1e-3, 200, dtype=np.float32))))
        assert (moves >= -1e-6).all() or (moves <= 1e-6).all()
        assert np.abs(moves).max() < 0.03
    smooth = name not in ("step_decay", "piecewise", "cosine_restarts", "cyclic_cosine", "join")
    for end in CASES[name][1] if smooth else ():
        before, *_, after = f32(f(np.linspace(end - 1e-4, end + 1e-4, 200, dtype=np.float32)))
        assert abs(before - after) < 2e-3


# ------------------------------------------------------------------------------------------------ ten million steps


@pytest.mark.parametrize(
    "make",
    [
        lambda: s.exponential(0.3, 1, 0.999999),
        lambda: s.step_decay(0.3, 3, 0.99999),
        lambda: s.polynomial(0.3, 10**7, power=2.0),
        lambda: s.cosine_annealing(0.3, 10**7 - 1),
        lambda: s.cosine_restarts(0.3, 1000, growth=1.0),
        lambda: s.cosine_restarts(0.3, 7, growth=3.0, final_value=0.01, peak_decay=0.9),
        lambda: s.cyclic_cosine(0.3, 3001, cycles=7),
        lambda: s.cyclic_cosine(0.3, 9_999_991, cycles=7),
        lambda: s.triangular2(0.001, 0.1, 3_700_000, down_steps=101),
        lambda: s.exp_range(0.001, 0.1, 37, 0.999999),
        lambda: s.one_cycle(0.1, 10**7 - 5),
        lambda: s.join([s.step_decay(0.1, 37, 0.99999), s.cyclic_cosine(0.1, 3001, cycles=7)], [5 * 10**6 + 1]),
    ],
)
def test_float32_is_right_up_to_ten_million_steps(make):
    rng = np.random.default_rng(0)
    stairs = 3 * rng.integers(0, 10**7 // 3, 300)
    t = np.concatenate([rng.integers(0, 10**7, 3000), stairs, stairs - 1, 10**7 - np.arange(10)]).clip(0)
    got = f32(jax.jit(make())(t.astype(np.int32)))
    with jax.enable_x64(True):
        wanted = np.asarray(jax.jit(make())(t))
    np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=3e-10)


def test_the_powers_of_a_rate_near_one_are_not_those_of_its_rounding():
    got = float(s.exponential(1.0, 1, 0.999999)(10**7))
    assert got == pytest.approx(0.999999**10**7, rel=1e-6)
    assert float(np.float32(0.999999)) ** 10**7 != pytest.approx(got, rel=1e-2)


def test_the_last_steps_of_a_long_cosine_are_not_zero():
    t = np.array([10**7 - 1, 10**7 - 3], np.int32)
    wanted = np.sin(np.pi / 2 * np.array([1e-7, 3e-7])) ** 2
    np.testing.assert_allclose(s.cosine_annealing(1.0, 10**7)(t), wanted, rtol=1e-6)


def test_restarts_fall_on_their_steps():
    for first, growth in ((1, 2), (7, 2), (10, 3), (1000, 1)):
        starts, length = [0], first
        while starts[-1] + length < 10**7 and len(starts) < 60:
            starts.append(starts[-1] + length)
            length *= growth
        at = np.array(starts, np.int32)
        f = jax.jit(s.cosine_restarts(1.0, first, growth=growth, peak_decay=0.5))
        np.testing.assert_allclose(f(at), 0.5 ** np.arange(len(at)), rtol=1e-6)
        before = (at - 1).clip(0)
        assert (f32(f(before))[4:] < 0.1 * 0.5 ** np.arange(3, len(at) - 1)).all()


# ------------------------------------------------------------------------------------------------------------ optax


def polynomials(power):
    return s.polynomial(0.3, 8, final_value=0.05, power=power), optax.polynomial_schedule(0.3, 0.05, power, 8)


OPTAX = {
    "constant": lambda: (s.constant(0.3), optax.constant_schedule(0.3)),
    "exponential": lambda: (s.exponential(0.3, 4, 0.5), optax.exponential_decay(0.3, 4, 0.5)),
    "step_decay": lambda: (s.step_decay(0.3, 4, 0.5), optax.exponential_decay(0.3, 4, 0.5, staircase=True)),
    "piecewise": lambda: (
        s.piecewise([3, 6], [0.4, 0.2, 0.02]), optax.piecewise_constant_schedule(0.4, {3: 0.5, 6: 0.1})),
    "line": lambda: polynomials(1),
    "square": lambda: polynomials(2),
    "cosine": lambda: (
        s.cosine_annealing(0.3, 12, final_value=0.06), optax.cosine_decay_schedule(0.3, 12, alpha=0.2)),
    "restarts": lambda: (
        s.cosine_restarts(0.3, 6, growth=2),
        optax.sgdr_schedule(
            [{"init_value": 0.3, "peak_value": 0.3, "warmup_steps": 0, "decay_steps": 6 * 2**i} for i in range(3)])),
    "one cycle": lambda: (s.one_cycle(0.3, 20), optax.cosine_onecycle_schedule(20, 0.3)),
    "one cycle, three lines": lambda: (
        s.one_cycle(0.3, 20, return_fraction=0.85, shape="linear"), optax.linear_onecycle_schedule(20, 0.3)),
    "warm-up": lambda: (
        s.warmup(s.cosine_annealing(0.3, 15, final_value=0.03), 5, init_value=0.01),
        optax.warmup_cosine_decay_schedule(0.01, 0.3, 5, 20, end_value=0.03)),
    "warm-up alone": lambda: (s.warmup(0.3, 5, init_value=0.1), optax.warmup_constant_schedule(0.1, 0.3, 5)),
    "join": lambda: (
        s.join([s.constant(0.3), s.exponential(0.1, 3, 0.5), s.constant(0.01)], [4, 9]),
        optax.join_schedules(
            [optax.constant_schedule(0.3), optax.exponential_decay(0.1, 3, 0.5), optax.constant_schedule(0.01)],
            [4, 9])),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTAX)
def test_same_curve_as_optax(name):
    ours, theirs = OPTAX[name]()
    t = np.arange(26)
    np.testing.assert_allclose(jax.jit(ours)(t), jax.jit(jax.vmap(theirs))(t), rtol=2e-6, atol=1e-8)


# ------------------------------------------------------------------------------------------------- other frameworks


def test_torchs_one_cycle():
    """torch 2.13.0, OneCycleLR(max_lr=1.0, total_steps=10, pct_start=0.3), its rates."""
    p, n = 0.3, 10
    f = s.one_cycle(1.0, n - 1, peak_fraction=(p * n - 1) / (n - 1))
    recorded = [0.04, 0.52, 1.0, 0.95048463, 0.81174566, 0.61126202, 0.38874198, 0.18825835, 0.04951937, 4e-06]
    np.testing.assert_allclose(f(np.arange(n)), recorded, rtol=2e-6)
    assert int(np.argmax(f(np.arange(n)))) == 2  # one before pct_start * total_steps, which is optax's
    assert int(np.argmax(s.one_cycle(1.0, n)(np.arange(n)))) == 3


def test_kerass_piecewise_changes_one_step_later():
    """keras 3.15.1, PiecewiseConstantDecay([3, 6], [1.0, 0.5, 0.25]): it switches at 4 and 7."""
    recorded = [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    np.testing.assert_array_equal(s.piecewise([4, 7], [1.0, 0.5, 0.25])(np.arange(9)), recorded)


def test_unequal_halves_of_a_cycle():
    f = s.triangular(0.1, 0.9, 2, down_steps=4)
    np.testing.assert_allclose(f(np.arange(8)), [0.1, 0.5, 0.9, 0.7, 0.5, 0.3, 0.1, 0.5], rtol=1e-6)


def test_momentum_that_goes_the_other_way():
    f = s.one_cycle(0.85, 20, div_factor=0.85 / 0.95, final_div_factor=1.0)
    np.testing.assert_allclose(f(np.array([0, 6, 20])), [0.95, 0.85, 0.95], rtol=1e-6)


def test_a_warm_up_of_no_steps_is_the_schedule():
    f = s.cosine_annealing(0.3, 10)
    np.testing.assert_array_equal(s.warmup(f, 0)(STEPS), f(STEPS))


def test_a_part_of_a_join_is_not_asked_for_steps_before_its_own():
    """1 + r·t/T is 0 at -10: optax's join gives NaN derivatives there."""

    def value(join, rate):
        parts = [s.constant(0.3), s.inverse_time(rate, 10, 1.0)]
        return join(parts, [10])(0)

    assert np.isnan(jax.grad(lambda r: value(optax.join_schedules, r))(0.1))
    assert jax.grad(lambda r: value(s.join, r))(0.1) == 0


# ---------------------------------------------------------------------------------------------- arguments are data


@each
@pytest.mark.parametrize("step", [3, 3.0, jnp.int32(3), jnp.bfloat16(3), np.uint8(3)])
def test_any_kind_of_step(name, step):
    value = made(name)(step)
    assert (value.shape, value.dtype) == ((), jnp.float32)
    assert not value.weak_type
    np.testing.assert_allclose(value, PLAIN[name](3), rtol=1e-6)


@each
@pytest.mark.slow
def test_arguments_are_data(name):
    """Traced they give the same values without another trace, mapped likewise; their derivatives are finite."""
    given, traces = traceable(name), []

    def value(options, t):
        traces.append(1)
        return made(name, **options)(t)

    jitted, t = jax.jit(value), STEPS.astype(np.int32)
    first = jitted(given, t)
    np.testing.assert_allclose(first, [PLAIN[name](int(i)) for i in t], rtol=2e-5, atol=1e-7)
    if given:
        other = {n: v * (1.5 if v > 1 else 0.9) for n, v in given.items()}
        second = jitted(other, t)
        np.testing.assert_allclose(second, jax.jit(made(name, **other))(t), rtol=2e-5, atol=1e-7)
        assert len(traces) == 1
        rows, slopes = jax.jit(jax.vmap(lambda o, t: (value(o, t), jax.jacfwd(value)(o, t)), (0, None)))(
            {n: jnp.array([v, other[n]]) for n, v in given.items()}, t
        )
        np.testing.assert_allclose(rows, [first, second], rtol=2e-5, atol=1e-7)
        assert all(np.isfinite(slope).all() for slope in slopes.values())
        assert all(np.abs(slope).max() > 0 for n, slope in slopes.items() if n not in ("step_size",))


def test_derivatives_by_hyperparameters():
    def loss(eta, length, power):
        return s.polynomial(eta, length, final_value=0.1, power=power)(3)

    got = jax.grad(loss, (0, 1, 2))(0.5, 10.0, 2.0)
    np.testing.assert_allclose(got, [0.49, 0.4 * 2 * 0.7 * 0.03, 0.4 * 0.49 * np.log(0.7)], rtol=1e-5)


def test_a_traced_growth_of_one_keeps_the_length():
    f = jax.jit(lambda growth, t: s.cosine_restarts(1.0, 6, growth=growth)(t))
    t = np.arange(20)
    for growth in (1.0, 1.5, 2.0):
        wanted = [restarts(int(i), 1.0, 6, growth, 0.0, 1.0) for i in t]
        np.testing.assert_allclose(f(growth, t), wanted, rtol=1e-5, atol=1e-6)


def test_values_of_pieces_may_be_traced():
    def value(eta, t):
        return s.piecewise((2, 4), (eta, eta / 10, eta / 100))(t)

    np.testing.assert_allclose(jax.jit(value)(0.5, np.arange(6)), [0.5, 0.5, 0.05, 0.05, 0.005, 0.005], rtol=1e-6)
    arrays = jax.jit(lambda b, v, t: s.piecewise(b, v)(t))(jnp.array([2, 4]), jnp.array([3.0, 2.0, 1.0]), np.arange(6))
    np.testing.assert_array_equal(arrays, [3, 3, 2, 2, 1, 1])


@each
def test_equal_arguments_give_the_same_object(name):
    assert made(name) is made(name)
    assert s.constant(0.1) is not s.constant(0.2)


# ---------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: s.constant("a"), TypeError, r"value must be a number; got 'a'"),
        (lambda: s.constant(lambda t: t), TypeError, r"value must be a number, not a function"),
        (lambda: s.constant(np.ones(2)), ValueError, r"value must be a scalar; got shape \(2,\).*vmap"),
        (lambda: s.constant(float("nan")), ValueError, r"value must be a number, not NaN"),
        (lambda: s.constant(0.1)(1j), TypeError, r"step must be real; got complex"),
        (lambda: s.polynomial(0.1, 5, power=0), ValueError, r"power must be > 0; got 0"),
        (lambda: s.inverse_time(0.1, 5, -1), ValueError, r"decay_rate must be >= 0; got -1"),
        (lambda: s.cosine_annealing(0.1, 5, final_value=None), TypeError, r"final_value must be a number"),
        (lambda: s.cosine_restarts(0.1, 5, growth=0.5), ValueError, r"growth must be >= 1; got 0\.5"),
        (lambda: s.cosine_restarts(0.1, 5, peak_decay=0), ValueError, r"peak_decay must be > 0; got 0"),
        (lambda: s.cyclic_cosine(0.1, 5, cycles=0), ValueError, r"cycles must be >= 1; got 0"),
        (lambda: s.cyclic_cosine(0.1, 5, cycles=1.5), TypeError, r"cycles must be a whole number; got 1\.5"),
        (lambda: s.triangular(0.1, 0.2, 5, down_steps=0), ValueError, r"down_steps must be > 0; got 0"),
        (lambda: s.exp_range(0.1, 0.2, 5, 0.0), ValueError, r"decay_rate must be > 0; got 0\.0"),
        (lambda: s.one_cycle(0.1, 5, peak_fraction=1.0), ValueError, r"peak_fraction must be > 0 and < 1; got 1\.0"),
        (lambda: s.one_cycle(0.1, 5, return_fraction=0.2), ValueError, r"return_fraction must be > 0\.3 and < 1"),
        (lambda: s.one_cycle(0.1, 5, shape="cosin"), ValueError, r"shape must be one of .*; did you mean 'cosine'"),
        (lambda: s.one_cycle(0.1, 5, div_factor=0), ValueError, r"div_factor must be > 0; got 0"),
        (lambda: s.warmup(0.1, -1), ValueError, r"warmup_steps must be >= 0; got -1"),
        (lambda: s.warmup("cosine", 1), TypeError, r"schedule must be a number; got 'cosine'"),
        (
            lambda: s.join([0.1, s.constant(0.1)], [3]),
            TypeError,
            r"schedules must be functions step -> value; got 0\.1",
        ),
        (lambda: s.join([s.constant(0.1)], [3]), ValueError, r"schedules must be one more than boundaries; got 1 sche"),
        (lambda: s.join([s.constant(0.1)] * 3, [3, 3]), ValueError, r"boundaries must ascend; got \[3\.0, 3\.0\]"),
        (lambda: s.piecewise([3], [1.0]), ValueError, r"values must be one more than boundaries; got 1 values and 1"),
        (lambda: s.piecewise([4, 3], [1.0, 2.0, 3.0]), ValueError, r"boundaries must ascend; got \[4\.0, 3\.0\]"),
        (lambda: s.piecewise(4, [1.0, 2.0]), TypeError, r"boundaries must be a sequence of numbers; got 4"),
        (lambda: s.piecewise([4], [1.0, "b"]), TypeError, r"values must be a number; got 'b'"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()


@each
def test_lengths_are_positive(name):
    for option in {"decay_steps", "step_size", "cycle_steps", "total_steps"} & set(CASES[name][0]):
        with pytest.raises(ValueError, match=rf"{option} must be > 0; got -2"):
            made(name, **{option: -2})
    for option in inspect.signature(getattr(s, name)).parameters:
        if option not in ("boundaries", "values", "schedules", "shape", "cycles"):
            with pytest.raises(TypeError, match=rf"{option} must be a number"):
                made(name, **{option: "many"})
