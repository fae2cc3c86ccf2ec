"""compat.torch.optim.lr_scheduler and gradient clipping: the curves and gradients that PyTorch recorded."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import torch_runs
from jaxdict.compat.torch.nn.utils import clip_grad_norm_, clip_grad_value_
from jaxdict.compat.torch.optim import SGD, lr_scheduler

CURVES = torch_runs.recorded()["schedulers"]
IDS = [f"{row['scheduler'][0]}-{i}" for i, row in enumerate(CURVES)]
SIGNATURES = torch_runs.recorded()["signatures"]


@pytest.fixture(scope="module")
def curves():
    """Rate and momentum of every recorded scheduler, in both types."""

    def values(steps):
        made = [torch_runs.scheduler(row["scheduler"], 0.3) for row in CURVES]
        return [(s(steps), None if s.momentum is None else s.momentum(steps)) for s in made]

    with jax.enable_x64(True):
        wide = jax.jit(values)(jnp.arange(60))
    return wide, jax.jit(values)(jnp.arange(60))


@pytest.mark.parametrize("index", range(len(CURVES)), ids=IDS)
def test_curves_are_torchs(index, curves):
    wide, narrow = (family[index] for family in curves)
    assert wide[0].dtype == np.float64
    assert narrow[0].dtype == np.float32
    np.testing.assert_allclose(wide[0], CURVES[index]["rates"], rtol=1e-13, atol=1e-17)
    np.testing.assert_allclose(narrow[0], CURVES[index]["rates"], rtol=2e-5, atol=1e-7)
    assert (wide[1] is None) == (CURVES[index]["momenta"] is None)
    if wide[1] is not None:
        np.testing.assert_allclose(wide[1], CURVES[index]["momenta"], rtol=1e-13)
        np.testing.assert_allclose(narrow[1], CURVES[index]["momenta"], rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in SIGNATURES if hasattr(lr_scheduler, name)])
def test_arguments_are_torchs_in_order(name):
    """The base rate stands where torch has the optimizer, or nothing does where torch's scheduler sets the rate."""
    theirs = [["lr", None] if a[0] == "optimizer" else a for a in SIGNATURES[name] if a[0] != "last_epoch"]
    if name in ("CyclicLR", "OneCycleLR", "SequentialLR", "ChainedScheduler"):
        theirs = [a for a in theirs if a[0] != "lr"]
    ours = inspect.signature(getattr(lr_scheduler, name)).parameters.values()
    assert [[p.name, None if p.default is p.empty else p.default] for p in ours] == theirs


def test_every_scheduler_of_the_record_is_here():
    assert {name for name in SIGNATURES if name.endswith(("LR", "Scheduler", "Restarts", "Plateau"))} == set(
        lr_scheduler.__all__
    ) - {"LRScheduler"}


def test_a_cosine_rises_again_and_restarts_far_away_are_exact():
    cosine = lr_scheduler.CosineAnnealingLR(0.3, 10, 0.1)
    np.testing.assert_allclose(cosine(jnp.asarray([10, 20, 30])), [0.1, 0.3, 0.1], rtol=1e-6)
    far = 1_000_003 + np.arange(4)
    np.testing.assert_allclose(cosine(far), 0.1 + 0.1 * (1 + np.cos(np.pi * far / 10)), rtol=1e-6)
    restarts = lr_scheduler.CosineAnnealingWarmRestarts(0.3, 3, 2)
    begins = 3 * (2 ** np.arange(20) - 1)
    np.testing.assert_allclose(restarts(begins), np.full(20, 0.3), rtol=1e-6)
    assert (np.asarray(restarts(begins[1:] - 1)) < 0.1).all()


def test_whole_periods_are_counted_exactly():
    for period in (49, 239, 1007):
        stairs = lr_scheduler.StepLR(1.0, period, 0.5)
        t = period * np.arange(1, 9)
        for schedule in (stairs, jax.jit(stairs), lr_scheduler.ExponentialLR(1.0, 0.5).every(period)):
            np.testing.assert_allclose(schedule(t), 0.5 ** np.arange(1, 9), rtol=1e-6)
            np.testing.assert_allclose(schedule(t - 1), 0.5 ** np.arange(8), rtol=1e-6)


def test_powers_hold_their_digits_in_float32_far_away():
    gamma, t = 0.9999, 100_000
    np.testing.assert_allclose(lr_scheduler.ExponentialLR(1.0, gamma)(t), gamma**t, rtol=2e-6)
    np.testing.assert_allclose(lr_scheduler.StepLR(1.0, 2, gamma)(t), gamma ** (t // 2), rtol=2e-6)
    assert float(lr_scheduler.StepLR(0.5, 2, 0)(3)) == 0.0


def test_steps_may_be_arrays_traced_or_numbers_and_rates_traced():
    schedule = lr_scheduler.MultiStepLR(0.3, [4, 2], 0.5)
    expected = [[0.3, 0.3, 0.15], [0.15, 0.075, 0.075]]
    np.testing.assert_allclose(schedule(jnp.arange(6).reshape(2, 3)), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(schedule)(jnp.asarray(2)), 0.15, rtol=1e-6)
    np.testing.assert_allclose(schedule(2), 0.15, rtol=1e-6)
    swept = jax.vmap(lambda lr: lr_scheduler.LinearLR(lr, 0.5, 1.0, 4)(2))(jnp.asarray([0.4, 4.0]))
    np.testing.assert_allclose(swept, [0.3, 3.0], rtol=1e-6)
    assert lr_scheduler.MultiStepLR(0.3, [4, 2]) is lr_scheduler.MultiStepLR(0.3, [4, 2])


def test_once_an_epoch():
    slow = lr_scheduler.OneCycleLR(0.5, 10).every(7)
    fast = lr_scheduler.OneCycleLR(0.5, 10)
    np.testing.assert_array_equal(slow(jnp.arange(70)), fast(jnp.arange(70) // 7))
    np.testing.assert_array_equal(slow.momentum(jnp.arange(70)), fast.momentum(jnp.arange(70) // 7))
    both = lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(0.2, 0.5).every(3), lr_scheduler.StepLR(0.2, 4)])
    np.testing.assert_allclose(both(jnp.asarray([0, 3, 7])), [0.2, 0.1, 0.2 * 0.25 * 0.1], rtol=1e-6)


def test_one_cycle_stays_where_torch_refuses_to_go_on():
    schedule = lr_scheduler.OneCycleLR(0.5, 20)
    assert float(schedule(500)) == float(schedule(20))
    assert lr_scheduler.CyclicLR(0.1, 0.2, cycle_momentum=False).momentum is None


def test_a_cycle_by_ones_own_function():
    by_cycle = lr_scheduler.CyclicLR(0.1, 0.5, 2, scale_fn=lambda cycle: 1 / cycle)
    np.testing.assert_allclose(by_cycle(jnp.asarray([2, 6, 10])), [0.5, 0.3, 0.1 + 0.4 / 3], rtol=1e-6)
    by_step = lr_scheduler.CyclicLR(0.1, 0.5, 2, scale_fn=lambda step: 1 / (1 + step), scale_mode="iterations")
    np.testing.assert_allclose(by_step(jnp.asarray([2, 6])), [0.1 + 0.4 / 3, 0.1 + 0.4 / 7], rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: lr_scheduler.StepLR(SGD(), 3), TypeError, "the first argument is the base rate"),
        (lambda: lr_scheduler.StepLR(-0.1, 3), ValueError, "lr must be >= 0"),
        (lambda: lr_scheduler.StepLR(0.1, 0), ValueError, "step_size must be >= 1"),
        (lambda: lr_scheduler.LambdaLR(0.1, 0.5), TypeError, "lr_lambda must be a function of the step; got 0.5"),
        (lambda: lr_scheduler.LinearLR(0.1, 0.0), ValueError, "start_factor must be > 0"),
        (lambda: lr_scheduler.CyclicLR(0.1, 0.2, mode="triangle"), ValueError, "did you mean 'triangular'"),
        (lambda: lr_scheduler.OneCycleLR(0.1), ValueError, "give total_steps, or epochs and steps_per_epoch"),
        (lambda: lr_scheduler.OneCycleLR(0.1, 10, pct_start=0.1), ValueError, "a phase of no length"),
        (lambda: lr_scheduler.SequentialLR([], []), ValueError, "needs at least one scheduler"),
        (lambda: lr_scheduler.SequentialLR([0.1], []), TypeError, r"schedulers\[0\] must be a scheduler"),
        (lambda: lr_scheduler.LinearLR(0.1).every(0), ValueError, "updates must be >= 1"),
        (
            lambda: lr_scheduler.SequentialLR([lr_scheduler.LinearLR(0.1)] * 3, [4]),
            ValueError, "3 schedulers need 2 milestones; got 1",
        ),
        (
            lambda: lr_scheduler.SequentialLR([lr_scheduler.LinearLR(0.1)] * 3, [4, 3]),
            ValueError, "milestones must not decrease",
        ),
        (
            lambda: lr_scheduler.ChainedScheduler([lr_scheduler.LinearLR(0.1), lr_scheduler.CosineAnnealingLR(0.1, 9)]),
            ValueError, r"schedulers\[1\] sets the rate instead of multiplying it",
        ),
        (
            lambda: lr_scheduler.ChainedScheduler([lr_scheduler.LinearLR(0.1), lr_scheduler.LinearLR(0.2)]),
            ValueError, "must have one base rate",
        ),
    ],
)  # fmt: skip
def test_bad_schedulers(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_plateau_lowers_the_rate_of_the_next_update():
    record = torch_runs.recorded()["plateau"]
    optimizer = optax.chain(SGD(record["lr"]), lr_scheduler.ReduceLROnPlateau(record["lr"], **record["options"]))
    params = jnp.ones(1)

    def step(state, value):
        updates, state = optimizer.update(params, state, params, value=value)
        return state, -updates[0]

    _, rates = jax.lax.scan(step, optimizer.init(params), jnp.asarray(record["values"]))
    np.testing.assert_allclose(rates, record["rates"], rtol=1e-6)
    with pytest.raises(ValueError, match="needs a value"):
        optimizer.update(params, optimizer.init(params), params)


@pytest.mark.parametrize("row", torch_runs.recorded()["clipping"][1:], ids=lambda row: row["function"])
def test_clipping_is_torchs(row):
    given = torch_runs.recorded()["clipping"][0]["given"]
    function = {"clip_grad_norm_": clip_grad_norm_, "clip_grad_value_": clip_grad_value_}[row["function"]]
    with jax.enable_x64(True):
        clip = function(**row["options"])
        arrays = [jnp.asarray(a, jnp.float64) for a in given]
        clipped, _ = clip.update(arrays, clip.init(arrays))
    for ours, theirs in zip(clipped, row["gradients"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)


def test_clipping_in_a_chain_and_in_narrow_types():
    optimizer = optax.chain(clip_grad_norm_(1.0), SGD(lr=1.0))
    gradients = {"a": jnp.asarray([300.0, 0.0], jnp.float16), "b": jnp.asarray([[400.0]], jnp.float16)}
    updates, _ = jax.jit(optimizer.update)(gradients, optimizer.init(gradients))
    assert updates["a"].dtype == jnp.float16
    np.testing.assert_allclose(updates["a"], [-0.6, 0], atol=1e-3)
    np.testing.assert_allclose(updates["b"], [[-0.8]], atol=1e-3)
    infinite, _ = clip_grad_norm_(1.0).update([jnp.asarray([jnp.inf, 1.0])], optax.EmptyState())
    np.testing.assert_array_equal(infinite[0], [np.nan, 0.0])
    arguments = {"clip_grad_norm_": clip_grad_norm_, "clip_grad_value_": clip_grad_value_}
    for name, function in arguments.items():
        ours = inspect.signature(function).parameters.values()
        assert [[p.name, None if p.default is p.empty else p.default] for p in ours] == SIGNATURES[name][1:]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: clip_grad_norm_(-1.0), "max_norm must be >= 0"),
        (lambda: clip_grad_norm_(1.0, norm_type=0), "norm_type must be > 0"),
        (lambda: clip_grad_norm_(1.0, error_if_nonfinite=True), "error_if_nonfinite must be False"),
        (lambda: clip_grad_value_(math.nan), "clip_value must be >= 0"),
    ],
)
def test_bad_clipping(build, message):
    with pytest.raises(ValueError, match=message):
        build()
