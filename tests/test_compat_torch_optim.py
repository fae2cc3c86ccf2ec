"""compat.torch.optim: the trajectories that PyTorch recorded, its arguments, and what any optimizer must do."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import torch_runs
from jaxdict.compat.torch import optim

NAMES = ["SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Rprop"]
RUNS = torch_runs.recorded()["runs"]


def trajectories(dtype):
    """All recorded runs side by side in one program."""
    start, gradients = (jnp.asarray(a, dtype) for a in torch_runs.gradients())
    optimizers = [torch_runs.optimizer(r["optimizer"], r["options"], r["scheduler"]) for r in RUNS]

    def step(carry, g):
        moved = []
        for optimizer, (params, state) in zip(optimizers, carry, strict=True):
            updates, state = optimizer.update(g, state, params)
            moved.append((optax.apply_updates(params, updates), state))
        return moved, [params for params, _ in moved]

    begin = [(start, optimizer.init(start)) for optimizer in optimizers]
    _, paths = jax.jit(lambda: jax.lax.scan(step, begin, gradients))()
    at = np.asarray(torch_runs.recorded()["steps"]) - 1
    return [np.asarray(path)[at] for path in paths]


@pytest.fixture(scope="module")
def wide():
    with jax.enable_x64(True):
        return trajectories(jnp.float64)


@pytest.fixture(scope="module")
def narrow():
    return trajectories(jnp.float32)


def label(run):
    return f"{run['optimizer']}-{RUNS.index(run)}"


@pytest.mark.parametrize("index", range(len(RUNS)), ids=[label(run) for run in RUNS])
def test_trajectories_are_torchs(index, wide, narrow):
    expected = np.asarray(RUNS[index]["params"])
    assert wide[index].dtype == np.float64
    np.testing.assert_allclose(wide[index], expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(narrow[index], expected, rtol=2e-5, atol=2e-6)


def test_the_record_is_of_the_gradients_drawn_here():
    assert torch_runs.recorded()["provenance"]["torch"].startswith("2.13.0")
    np.testing.assert_array_equal(torch_runs.recorded()["start"], torch_runs.gradients()[0])


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_torchs_in_order(name):
    theirs = torch_runs.recorded()["signatures"][name]
    assert theirs[0][0] == "params"
    ours = inspect.signature(getattr(optim, name)).parameters.values()
    ours = [[p.name, list(p.default) if isinstance(p.default, tuple) else p.default] for p in ours]
    assert ours == theirs[1:]


@pytest.mark.parametrize("name", NAMES)
def test_how_torch_computes_is_accepted_and_changes_nothing(name):
    params, gradients = {"w": jnp.asarray([1.0, -2.0])}, {"w": jnp.asarray([0.5, 3.0])}
    arguments = inspect.signature(getattr(optim, name)).parameters
    how = {key: True for key in ("foreach", "fused", "capturable", "differentiable") if key in arguments}
    assert len(how) >= 3
    plain, other = getattr(optim, name)(), getattr(optim, name)(**how)
    updates = [o.update(gradients, o.init(params), params)[0]["w"] for o in (plain, other)]
    np.testing.assert_array_equal(*updates)


def test_buffers_have_torchs_names_and_are_none_where_torch_has_none():
    params = {"w": jnp.ones(2)}

    def buffers(optimizer):
        state = optimizer.init(params)
        assert state.count.dtype == jnp.int32
        assert state.learning_rate.dtype == jnp.float32
        return {name for name in state._fields if getattr(state, name) is not None} - {"count", "learning_rate"}

    assert buffers(optim.SGD()) == set()
    assert buffers(optim.SGD(momentum=0.9)) == {"momentum_buffer"}
    assert buffers(optim.Adagrad()) == {"sum"}
    assert buffers(optim.RMSprop()) == {"square_avg"}
    assert buffers(optim.RMSprop(centered=True, momentum=0.1)) == {"square_avg", "grad_avg", "momentum_buffer"}
    assert buffers(optim.Adadelta()) == {"square_avg", "acc_delta"}
    assert buffers(optim.Adam()) == buffers(optim.RAdam()) == {"exp_avg", "exp_avg_sq"}
    assert buffers(optim.AdamW(amsgrad=True)) == {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
    assert buffers(optim.Adamax()) == {"exp_avg", "exp_inf"}
    assert buffers(optim.NAdam()) == {"exp_avg", "exp_avg_sq", "mu_product"}
    assert buffers(optim.Rprop()) == {"prev", "step_size"}


def test_the_rate_is_remembered_and_the_arguments_too():
    halving = optim.lr_scheduler.ExponentialLR(0.4, 0.5)
    optimizer, params = optim.AdamW(lr=halving, weight_decay=0.1), jnp.ones(2)
    state = optimizer.init(params)
    rates = []
    for _ in range(3):
        _, state = optimizer.update(params, state, params)
        rates.append(float(state.learning_rate))
    np.testing.assert_allclose(rates, [0.4, 0.2, 0.1], rtol=1e-6)
    assert int(state.count) == 3
    assert isinstance(optimizer, optax.GradientTransformationExtraArgs)
    assert optimizer.name == "AdamW"
    assert optimizer.defaults["weight_decay"] == 0.1
    assert optimizer.defaults["betas"] == (0.9, 0.999)
    assert optim.AdamW(1e-3) is optim.AdamW(1e-3)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_parameters_have_wide_moments_and_updates_of_their_own_type(dtype):
    params = jnp.asarray([1.0, -2.0], dtype)
    for name in ("Adam", "RAdam", "NAdam", "RMSprop"):
        optimizer = getattr(optim, name)(weight_decay=0.1)
        updates, state = optimizer.update(params, optimizer.init(params), params)
        assert updates.dtype == dtype
        moment = state.square_avg if name == "RMSprop" else state.exp_avg
        assert moment.dtype == jnp.float32


def test_numbers_may_be_traced_and_swept():
    g = jnp.asarray([0.5, -3.0, 0.02])

    def second(lr, beta, decay):
        optimizer = optim.AdamW(lr=lr, betas=(beta, 0.99), weight_decay=decay)
        state, params = optimizer.init(g), g
        for _ in range(2):
            updates, state = optimizer.update(g, state, params)
        return updates

    rows = jnp.asarray([[0.1, 0.8, 0.0], [0.2, 0.9, 0.5]])
    swept = jax.jit(jax.vmap(second))(*rows.T)
    for row, values in zip(rows, swept, strict=True):
        np.testing.assert_allclose(values, second(*map(float, row)), rtol=2e-5)
    slope = jax.grad(lambda lr: second(lr, 0.8, 0.1).sum())(0.1)
    np.testing.assert_allclose(slope * 0.1, second(0.1, 0.8, 0.1).sum(), rtol=1e-4)


def test_radam_is_rectified_exactly_in_float32():
    """Under a constant gradient the update is r_t times the rate; ρ_t comes of two large numbers that nearly cancel."""
    beta2, params = 0.999, jnp.ones(1)
    optimizer = optim.RAdam(lr=1.0, betas=(0.0, beta2), eps=0.0)
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for t in (1, 5, 6, 7, 50, 1_000, 100_000):
        held = jnp.full(1, 1 - beta2 ** (t - 1), jnp.float32)
        got, _ = update(params, state._replace(count=jnp.asarray(t - 1), exp_avg_sq=held))
        whole = 2 / (1 - beta2) - 1
        rho = whole - 2 * t * beta2**t / (1 - beta2**t)
        r = math.sqrt((rho - 4) * (rho - 2) * whole / ((whole - 4) * (whole - 2) * rho)) if rho > 5 else 1.0
        np.testing.assert_allclose(-got[0], r, rtol=5e-6, err_msg=str(t))


def test_sgd_is_not_damped_at_the_first_step():
    optimizer = optim.SGD(lr=1.0, momentum=0.5, dampening=0.75)
    g = jnp.asarray([2.0])
    first, state = optimizer.update(g, optimizer.init(g))
    second, _ = optimizer.update(g, state)
    np.testing.assert_array_equal(first, [-2.0])
    np.testing.assert_array_equal(second, [-(0.5 * 2 + 0.25 * 2)])


def test_nadam_keeps_its_product_in_float32():
    with jax.enable_x64(True):
        params = jnp.ones(1)
        optimizer = optim.NAdam()
        state = optimizer.init(params)
        product = np.float32(1)
        for t in range(1, 4):
            _, state = optimizer.update(params, state)
            product = np.float32(product * np.float32(0.9 * (1 - 0.5 * 0.96 ** (t * 4e-3))))
            assert float(state.mu_product) == float(product)


def test_decay_needs_the_parameters():
    optimizer = optim.SGD(weight_decay=0.1)
    state = optimizer.init(jnp.ones(2))
    with pytest.raises(ValueError, match="needs the parameters"):
        optimizer.update(jnp.ones(2), state)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: optim.SGD(lr=-1), "lr must be >= 0"),
        (lambda: optim.SGD(nesterov=True), "nesterov needs momentum > 0 and dampening 0"),
        (lambda: optim.SGD(momentum=0.9, dampening=0.1, nesterov=True), "nesterov needs momentum"),
        (lambda: optim.Adam(betas=(0.9, 1.0)), r"betas\[1\] must be >= 0 and < 1"),
        (lambda: optim.Adam(betas=0.9), "betas must be a pair of numbers; got 0.9"),
        (lambda: optim.Adam(maximize="no"), "maximize must be one of True, False"),
        (lambda: optim.Rprop(etas=(1.2, 0.5)), r"etas\[0\] must be > 0 and < 1"),
        (lambda: optim.Rprop(step_sizes=(1.0,)), "step_sizes must be a pair"),
        (lambda: optim.Adadelta(rho=1.1), "rho must be >= 0 and <= 1"),
        (lambda: optim.Adagrad(weight_decay=-0.1), "weight_decay must be >= 0"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_first_beta_that_is_a_schedule_is_refused_by_nadam():
    with pytest.raises(TypeError, match=r"betas\[0\] must be a number, not a function"):
        optim.NAdam(betas=(optim.lr_scheduler.ExponentialLR(0.9, 0.9), 0.999))
