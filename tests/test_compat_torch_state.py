"""Runs that change between PyTorch and jaxdict: an optimizer's memory and a model's parameters, both ways."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import torch_runs
from jaxdict import layers, models
from jaxdict.compat import torch as compat

MEMORIES = torch_runs.recorded()["memories"]
SHAPES = [(4, 3), (4,), (2, 4), (2,)]  # torch's, of two linear layers 3 → 4 → 2


def state_dict(row):
    """What torch's optimizer gave, of arrays."""
    state = {int(i): {k: np.asarray(v) for k, v in one.items()} for i, one in row["state"].items()}
    return {"state": state, "param_groups": [row["group"]]}


def mlp_params():
    return models.mlp([3, 4, 2]).init(jax.random.key(0), (3,))[0]


def later_gradients(params):
    """Those of the recorded steps 8 to 12, in the layout of jaxdict's parameters."""
    rng = np.random.default_rng(1)
    for shape in SHAPES:
        rng.normal(size=shape)
    rows = [[rng.normal(size=shape) for shape in SHAPES] for _ in range(12)]
    return [compat.import_params(row, params) for row in rows[7:]]


@pytest.mark.parametrize("row", MEMORIES, ids=lambda row: row["optimizer"])
def test_a_run_goes_on_where_torch_stopped(row):
    with jax.enable_x64(True):
        like = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), mlp_params())
        optimizer = torch_runs.optimizer(row["optimizer"], row["options"])
        params = compat.import_params(row["before"], like)
        state = compat.import_optimizer_state(state_dict(row), params, optimizer=optimizer)
        blind = compat.import_optimizer_state(state_dict(row), params)
        assert jax.tree.structure(blind) == jax.tree.structure(state) == jax.tree.structure(optimizer.init(params))
        jax.tree.map(np.testing.assert_array_equal, blind, state)
        assert int(state.count) == (1 if row["optimizer"] == "SGD" else 7)

        back = compat.export_optimizer_state(state, params, optimizer=optimizer)
        for i, one in row["state"].items():
            assert set(back["state"][int(i)]) == set(one)
            for name, value in one.items():
                np.testing.assert_array_equal(back["state"][int(i)][name], value)
        group = {key: tuple(v) if key == "betas" or key == "etas" else v for key, v in row["group"].items()}
        written = back["param_groups"][0]
        assert {k: v for k, v in written.items() if k in group and k not in ("foreach", "step_sizes")} == {
            k: v for k, v in group.items() if k not in ("foreach", "step_sizes")
        }

        for g in later_gradients(like):
            updates, state = optimizer.update(g, state, params)
            params = optax.apply_updates(params, updates)
        exported = compat.export_params(params, ["0.weight", "0.bias", "2.weight", "2.bias"])
        for ours, theirs in zip(exported.values(), row["after"], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-13)
            assert ours.flags.writeable


def test_kernels_and_their_moments_are_turned():
    params = mlp_params()
    row = next(row for row in MEMORIES if row["optimizer"] == "Adam")
    state = compat.import_optimizer_state(state_dict(row), params)
    moments = state_dict(row)["state"]
    np.testing.assert_allclose(state.exp_avg["dense_1"]["kernel"], moments[0]["exp_avg"].T, rtol=1e-6)
    np.testing.assert_allclose(state.max_exp_avg_sq["dense_2"]["bias"], moments[3]["max_exp_avg_sq"], rtol=1e-6)
    assert state.exp_avg["dense_1"]["kernel"].dtype == jnp.float32
    np.testing.assert_allclose(state.learning_rate, 0.05, rtol=1e-6)


def test_layers_come_by_their_numbers_and_a_convolution_is_turned():
    params = {f"dense_{i}": {"bias": jnp.full(1, i), "kernel": jnp.full((1, 1), i + 0.5)} for i in range(1, 12)}
    names = [f"{i}.{part}" for i in range(1, 12) for part in ("weight", "bias")]
    out = compat.export_params(params, names)
    assert [float(v.ravel()[0]) for v in out.values()] == [i + h for i in range(1, 12) for h in (0.5, 0)]
    kernel = np.arange(120.0).reshape(2, 3, 4, 5)
    conv = compat.export_params([{"kernel": jnp.asarray(kernel)}], ["weight"])["weight"]
    np.testing.assert_array_equal(conv, kernel.transpose(3, 2, 0, 1))
    again = compat.import_params({"weight": conv}, [{"kernel": jnp.asarray(kernel)}])
    np.testing.assert_array_equal(again[0]["kernel"], kernel)


def test_order_by_a_model_by_paths_and_by_axes():
    model = models.serial(layers.dense(2, name="z"), layers.batch_norm(), layers.dense(3, name="a"))
    params = model.init(jax.random.key(0), (2,))[0]
    names = ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    out = compat.export_params(params, names, order=model)
    np.testing.assert_array_equal(out["0.weight"], params["z"]["kernel"].T)
    np.testing.assert_array_equal(out["1.weight"], params["batch_norm_1"]["scale"])
    np.testing.assert_array_equal(out["2.bias"], params["a"]["bias"])
    running = {"1.running_mean": np.zeros(2), "1.num_batches_tracked": np.asarray(3)}
    again = compat.import_params({**out, **running}, params, order=model)
    jax.tree.map(np.testing.assert_array_equal, again, params)
    odd = {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.ones(3)}
    kept = compat.export_params(odd, ["b", "w"], order=["bias", ("kernel", (0, 1))])
    np.testing.assert_array_equal(kept["w"], odd["kernel"])


def test_a_state_dict_with_groups_gaps_and_torch_like_tensors():
    class Tensor:  # as torch's: NumPy takes it once it is detached
        def __init__(self, value):
            self.value, self.dtype = np.asarray(value), "torch.float32"

        def detach(self):
            return self

        def cpu(self):
            return self.value

    params = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
    group = {"lr": 0.25, "momentum": 0.9}
    given = {
        "state": {1: {"momentum_buffer": Tensor([1.0, 2.0, 3.0])}},
        "param_groups": [{**group, "params": [0]}, {**group, "params": [1]}],
    }
    state = compat.import_optimizer_state(given, params, count=12)
    assert int(state.count) == 12
    np.testing.assert_array_equal(state.momentum_buffer["kernel"], np.zeros((2, 3)))
    np.testing.assert_array_equal(state.momentum_buffer["bias"], [1, 2, 3])
    out = compat.export_optimizer_state(state, params, param_groups=given["param_groups"])
    assert out["param_groups"] == given["param_groups"]
    np.testing.assert_array_equal(out["state"][1]["momentum_buffer"], [1, 2, 3])


def test_schedules_leave_with_their_value_now_and_a_fresh_state_is_empty():
    cycle = compat.optim.lr_scheduler.OneCycleLR(0.5, 20)
    optimizer, params = compat.optim.AdamW(lr=cycle, betas=(cycle.momentum, 0.99)), {"w": jnp.ones(2)}
    state = optimizer.init(params)
    fresh = compat.export_optimizer_state(state, params, optimizer=optimizer)
    assert fresh["state"] == {}
    for _ in range(3):
        _, state = optimizer.update(params, state, params)
    group = compat.export_optimizer_state(state, params, optimizer=optimizer)["param_groups"][0]
    np.testing.assert_allclose([group["lr"], group["betas"][0]], [cycle(3), cycle.momentum(3)], rtol=1e-6)
    assert group["betas"][1] == 0.99
    assert group["decoupled_weight_decay"] is True
    assert group["params"] == [0]
    empty = compat.import_optimizer_state(fresh, params, optimizer=optimizer)
    jax.tree.map(np.testing.assert_array_equal, empty, optimizer.init(params))


def wrong(change):
    """An Adam state_dict with something changed."""
    given = copy.deepcopy(state_dict(next(row for row in MEMORIES if row["optimizer"] == "Adam")))
    change(given)
    return given


def rename(given):
    for one in given["state"].values():
        one["exp_avg_square"] = one.pop("exp_avg_sq")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (rename, {}, "exp_avg_square.* belong to no optimizer here; the closest is Adam: exp_avg, exp_avg_sq, step"),
        (lambda d: None, {"optimizer": "Rprop"}, "are not those of Rprop: prev, step, step_size"),
        (lambda d: None, {"optimizer": "adam"}, "did you mean 'Adam'"),
        (lambda d: None, {"optimizer": compat.optim.Adam()}, "torch's state has a max_exp_avg_sq, Adam has none"),
        (lambda d: d["state"][2].update(step=9.0), {}, r"all parameters must have the same step; got \[7.0, 9.0\]"),
        (lambda d: d["state"][2].update(exp_avg=np.ones((4, 2))), {}, r"exp_avg of parameter 2 has shape \(4, 2\);"
         r" dense_2/kernel is \(4, 2\), in torch \(2, 4\)"),
        (lambda d: d["param_groups"][0].update(params=[0, 1, 2]), {}, "hold 3 parameters, here are 4"),
        (lambda d: d["state"].update({9: d["state"][0]}), {}, "an entry for parameter 9, which is in no group"),
    ],
)  # fmt: skip
def test_states_that_do_not_fit(change, options, message):
    with pytest.raises(ValueError, match=message):
        compat.import_optimizer_state(wrong(change), mlp_params(), **options)


def test_what_is_no_state():
    with pytest.raises(TypeError, match="must be what optimizer"):
        compat.import_optimizer_state({0: {}}, mlp_params())
    adam, params = compat.optim.Adam(), {"w": jnp.ones(2)}
    with pytest.raises(TypeError, match="state must be one of AdadeltaState"):
        compat.export_optimizer_state(optax.chain(adam).init(params), params, optimizer=adam)
    with pytest.raises(TypeError, match="AdamState is not the state of SGD"):
        compat.export_optimizer_state(adam.init(params), params, optimizer=compat.optim.SGD())
    with pytest.raises(ValueError, match="torch needs the arguments too"):
        compat.export_optimizer_state(adam.init(params), params)


def test_parameters_that_do_not_fit():
    params = mlp_params()
    with pytest.raises(ValueError, match=r"0.weight has shape \(3, 4\); dense_1/kernel is \(3, 4\), in torch \(4, 3\)"):
        compat.import_params({"0.weight": np.ones((3, 4)), "0.bias": 0, "2.weight": 0, "2.bias": 0}, params)
    with pytest.raises(ValueError, match=r"torch has 1 parameters \(w\), here are 4"):
        compat.export_params(params, ["w"])
    with pytest.raises(ValueError, match="which of batch_norm_1, dense_1 comes first in torch is not known; give"):
        compat.import_params([], {"dense_1": {"bias": jnp.ones(2)}, "batch_norm_1": {"scale": jnp.ones(2)}})
    with pytest.raises(ValueError, match="order must name every leaf once; 'w' is not so; leaves: b, w"):
        compat.import_params([], {"w": jnp.ones(1), "b": jnp.ones(1)}, order=["b"])
    with pytest.raises(ValueError, match="x/w is in no layer of the model"):
        compat.import_params([], {"x": {"w": jnp.ones(1)}}, order=models.mlp([2, 2]))
    with pytest.raises(AttributeError, match="no attribute 'optimizers'"):
        _ = compat.optimizers
