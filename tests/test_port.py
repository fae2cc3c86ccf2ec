"""`jaxdict port`: what torch and Keras print, save and are called with, read, said in jaxdict, and run.

The texts and the numbers after eight steps were recorded with torch 2.13.0 (float64) and keras 3.15.1 on JAX (texts in
its float32, numbers in float64), along the gradients of ``gradient`` from START.
"""

import json
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from typer.testing import CliRunner

import jaxdict as jd
from jaxdict import cli, port
from jaxdict.port import _reading

START = np.array([1.0, -2.0, 0.5])


def gradient(t):
    return np.sin(1.7 * np.arange(3) + 0.9 * t) + 0.2


def run(*lines):
    """Parameters after every step of the optimizers that the lines make, in float64: ``(lines, 8, 3)``."""
    with jax.enable_x64(True):
        optimizers = [optax.with_extra_args_support(eval(line, {"jd": jd, "optax": optax})) for line in lines]
        start, rows = jnp.asarray(START), jnp.asarray(np.stack([gradient(t) for t in range(8)]))

        def step(carry, g):
            after = []
            for optimizer, (params, state) in zip(optimizers, carry, strict=True):
                updates, state = optimizer.update(g, state, params, value=jnp.float64(1.0))
                after.append((params + updates, state))
            return after, [params for params, _ in after]

        begun = [(start, optimizer.init(start)) for optimizer in optimizers]
        return np.asarray(jax.jit(lambda begun: jax.lax.scan(step, begun, rows)[1])(begun))


def torch_repr(name, *groups):
    """``print(optimizer)`` of torch."""
    rows = [f"{name} ("]
    for i, group in enumerate(groups):
        rows += [*([""] if i else []), f"Parameter Group {i}", *(f"    {k}: {group[k]}" for k in sorted(group))]
    return "\n".join([*rows, ")"])


def keras_config(name, **changed):
    """``keras.optimizers.serialize(optimizer)`` as JSON."""
    config = {"name": name.lower(), "learning_rate": 0.0010000000474974513, "weight_decay": None, "clipnorm": None,
              "global_clipnorm": None, "clipvalue": None, "use_ema": False, "ema_momentum": 0.99,
              "ema_overwrite_frequency": None, "loss_scale_factor": None,
              "gradient_accumulation_steps": None}  # fmt: skip
    row = {"module": "keras.optimizers", "class_name": name, "config": config | changed, "registered_name": None}
    return json.dumps(row)


# What torch 2.13.0 prints of torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05).
SGD_REPR = """SGD (
Parameter Group 0
    dampening: 0
    differentiable: False
    foreach: None
    fused: None
    lr: 0.1
    maximize: False
    momentum: 0.9
    nesterov: True
    weight_decay: 0.05
)"""
# keras.optimizers.AdamW(CosineDecay(0.05, 6, alpha=0.1), weight_decay=0.01), serialized by keras 3.15.1.
ADAMW_CONFIG = (
    '{"module": "keras.optimizers", "class_name": "AdamW", "config": {"name": "adam_w", "learning_rate": {"module":'
    ' "keras.optimizers.schedules", "class_name": "CosineDecay", "config": {"initial_learning_rate": 0.05,'
    ' "decay_steps": 6, "alpha": 0.1, "name": "CosineDecay", "warmup_target": null, "warmup_steps": 0},'
    ' "registered_name": null}, "weight_decay": 0.01, "clipnorm": null, "global_clipnorm": null, "clipvalue": null,'
    ' "use_ema": false, "ema_momentum": 0.99, "ema_overwrite_frequency": null, "loss_scale_factor": null,'
    ' "gradient_accumulation_steps": null, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-07, "amsgrad": false},'
    ' "registered_name": null}'
)
ADAM_GROUP = {
    "amsgrad": False, "betas": (0.9, 0.999), "capturable": False, "decoupled_weight_decay": False,
    "differentiable": False, "eps": 1e-08, "foreach": None, "fused": None, "lr": 0.001, "maximize": False,
    "weight_decay": 0,
}  # fmt: skip
NADAM_GROUP = {k: v for k, v in ADAM_GROUP.items() if k not in ("amsgrad", "fused")} | {"momentum_decay": 0.004}
STEP_GROUP = {
    "dampening": 0, "differentiable": False, "foreach": None, "fused": None, "initial_lr": 0.1, "lr": 0.025,
    "maximize": False, "momentum": 0.9, "nesterov": False, "weight_decay": 0,
}  # fmt: skip

RECORDED = {
    "sgd": (
        SGD_REPR, "jd.compat.torch.optim.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05)",
        [-0.19238248456928456, -2.579005044038334, 0.2174350023889252],
    ),
    "adam": (
        torch_repr("Adam", ADAM_GROUP | {"lr": 0.05, "weight_decay": 0.1}),
        "jd.compat.torch.optim.Adam(lr=0.05, weight_decay=0.1)",
        [0.7299819755031208, -2.096100840227537, 0.597304990509295],
    ),
    "adamw": (
        torch_repr("AdamW", ADAM_GROUP | {"lr": 0.05, "amsgrad": True, "decoupled_weight_decay": True,
                                          "weight_decay": 0.01}),
        "jd.compat.torch.optim.AdamW(amsgrad=True, lr=0.05)",
        [0.7477066823460062, -2.165263620371916, 0.6175982648103286],
    ),
    "rmsprop": (
        "import torch.optim as o\nopt = o.RMSprop(net.parameters(), momentum=0.5, centered=True)",
        "jd.compat.torch.optim.RMSprop(momentum=0.5, centered=True)",
        [0.5136887727143493, -2.257407697441994, 0.7330018254625564],
    ),
    "rprop": (
        "torch.optim.Rprop(p)", "jd.compat.torch.optim.Rprop()", [0.9653280000000001, -2.01672, 0.510192]
    ),
    "nadam": (
        torch_repr("NAdam", NADAM_GROUP | {"lr": 0.05, "decoupled_weight_decay": True, "weight_decay": 0.1}),
        "jd.compat.torch.optim.NAdam(decoupled_weight_decay=True, lr=0.05, weight_decay=0.1)",
        [0.8234375395223006, -2.0397951405120796, 0.5033242229042845],
    ),
    "a repr and its scheduler": (
        torch_repr("SGD", STEP_GROUP) + "\ntorch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)",
        "jd.compat.torch.optim.SGD(lr=jd.compat.torch.optim.lr_scheduler.StepLR(0.1, step_size=3, gamma=0.5),"
        " momentum=0.9)",
        [0.32107720915519306, -2.539556544609947, 0.6655817083827307],
    ),
    "one cycle": (
        "from torch import optim\nlr = 0.1\nopt = optim.SGD(net.parameters(), lr, 0.9)\n"
        "sched = optim.lr_scheduler.OneCycleLR(opt, max_lr=lr, total_steps=10)",
        "jd.compat.torch.optim.SGD(lr=(rate := jd.compat.torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1,"
        " total_steps=10)), momentum=rate.momentum)",
        [0.25688534740845437, -2.3137723070838896, 0.6240179729116736],
    ),
    "a sequence": (
        "from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR\nmodel = Net(3)\n"
        "opt = torch.optim.AdamW(model.parameters(), lr=1e-2)\n"
        "warm, cool = 3, 5\nwarmup = LinearLR(opt, start_factor=0.1, total_iters=3)\n"
        "sched = SequentialLR(opt, [warmup, CosineAnnealingLR(opt, T_max=5)], milestones=[3])",
        "jd.compat.torch.optim.AdamW(lr=jd.compat.torch.optim.lr_scheduler.SequentialLR(schedulers=("
        "jd.compat.torch.optim.lr_scheduler.LinearLR(0.01, start_factor=0.1, total_iters=3),"
        " jd.compat.torch.optim.lr_scheduler.CosineAnnealingLR(0.01, T_max=5)), milestones=(3,)))",
        [0.9706836363925317, -2.0116060779164093, 0.5144473878457099],
    ),
    "keras sgd": (
        keras_config("SGD", learning_rate=0.10000000149011612, clipnorm=1.0, momentum=0.9, nesterov=True),
        "jd.compat.keras.optimizers.SGD(learning_rate=0.1, clipnorm=1.0, momentum=0.9, nesterov=True)",
        [0.11870108596517939, -2.6473592668275674, 0.31382278919936807],
    ),
    "keras adamw": (
        ADAMW_CONFIG,
        "jd.compat.keras.optimizers.AdamW(learning_rate=jd.compat.keras.optimizers.schedules.CosineDecay("
        "initial_learning_rate=0.05, decay_steps=6, alpha=0.1), weight_decay=0.01)",
        [0.8317438804377586, -2.125166905238051, 0.6353823388099022],
    ),
    "keras rmsprop": (
        "keras.optimizers.RMSprop(0.05, momentum=0.5, centered=True)",
        "jd.compat.keras.optimizers.RMSprop(learning_rate=0.05, momentum=0.5, centered=True)",
        [0.16860470775703723, -2.4508213685092053, 0.8899402702226289],
    ),
    "keras lion": (
        keras_config("Lion", learning_rate=0.05000000074505806, weight_decay=0.1, beta_1=0.9, beta_2=0.99),
        "jd.compat.keras.optimizers.Lion(learning_rate=0.05, weight_decay=0.1)",
        [0.7661259793298055, -2.117933213834004, 0.47640609853334986],
    ),
    "keras nadam": (  # get_config() alone, of the second one of that name
        json.dumps(json.loads(keras_config("Nadam", beta_1=0.9, beta_2=0.999, epsilon=1e-07))["config"]),
        "jd.compat.keras.optimizers.Nadam()",
        [0.9969948384516124, -2.0022764070130203, 0.5008047168852272],
    ),
    "keras adagrad": (
        keras_config("Adagrad", learning_rate=0.10000000149011612, weight_decay=0.1, initial_accumulator_value=0.1,
                     epsilon=1e-07),
        "jd.compat.keras.optimizers.Adagrad(learning_rate=0.1, weight_decay=0.1)",
        [0.7506843282249073, -1.9977007917946106, 0.4615608410219358],
    ),
    "keras lamb": (
        "keras.optimizers.Lamb(learning_rate=0.1)", "jd.compat.keras.optimizers.Lamb(learning_rate=0.1)",
        [-0.2266861594068934, -2.7506167318173778, 0.5451041793573388],
    ),
    "keras ftrl": (
        "keras.optimizers.Ftrl(1e-1)", "jd.compat.keras.optimizers.Ftrl(learning_rate=0.1)",
        [-0.029888421125043935, -1.6459148893709579, 0.013783565643285329],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RECORDED)
def test_the_line_runs_as_what_was_read(case):
    text, line, end = RECORDED[case]
    found = port.translate(text)
    assert found.line == line
    paths = run(*filter(None, (found.line, found.native)))
    single = {"nadam": 2e-9, "keras adamw": 1e-8}  # torch keeps a product in float32, and Keras a schedule
    np.testing.assert_allclose(paths[:, -1], [end] * len(paths), rtol=0, atol=single.get(case, 1e-13))


# --- by jaxdict's own names -------------------------------------------------------------------------------------------

NATIVE = {
    "torch.optim.SGD(p, lr=0.1)": "jd.optimizers.gradient_descent(0.1)",
    "torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5)": None,
    "torch.optim.SGD(p, lr=0.1, momentum=0.9, maximize=True, weight_decay=0.2)":
        "optax.chain(optax.scale(-1.0), jd.optimizers.weight_decay(0.2), jd.optimizers.sgd(0.1, momentum=0.9))",
    "torch.optim.Adam(p, betas=(0.8, 0.9), eps=1e-3)": "jd.optimizers.adam(0.001, b1=0.8, b2=0.9, eps=0.001)",
    "torch.optim.Adam(p, lr=0.1, amsgrad=True, weight_decay=0.2)":
        "optax.chain(jd.optimizers.weight_decay(0.2), jd.optimizers.amsgrad(0.1))",
    "torch.optim.Adam(p, lr=0.1, weight_decay=0.2, decoupled_weight_decay=True)":
        "jd.optimizers.adamw(0.1, weight_decay=0.2)",
    "torch.optim.AdamW(p)": "jd.optimizers.adamw(0.001, weight_decay=0.01)",
    "torch.optim.Adamax(p)": None,
    "torch.optim.RAdam(p)": None,
    "torch.optim.NAdam(p)": "jd.optimizers.nadam(0.002, mean='constant')",
    "torch.optim.Adagrad(p, lr=0.1)": "jd.optimizers.adagrad(0.1, eps=1e-10, eps_root=0.0)",
    "torch.optim.Adagrad(p, lr_decay=0.1)": None,
    "torch.optim.Adadelta(p)": "jd.optimizers.adadelta(1.0, rho=0.9)",
    "torch.optim.RMSprop(p, lr=0.1)": "jd.optimizers.rmsprop(0.1, decay=0.99, eps=1e-08, eps_root=0.0)",
    "o = torch.optim.RMSprop(p, momentum=0.9)\ntorch.optim.lr_scheduler.ExponentialLR(o, gamma=0.7)":
        "optax.chain(jd.optimizers.scale_by_rmsprop(decay=0.99, eps=1e-08, eps_root=0.0), optax.trace(0.9),"
        " jd.optimizers.scale_by_rate(jd.compat.torch.optim.lr_scheduler.ExponentialLR(0.01, gamma=0.7)))",
    "torch.optim.Rprop(p, etas=(0.4, 1.5), step_sizes=(1e-3, 2.0))":
        "jd.optimizers.rprop(0.01, eta_minus=0.4, eta_plus=1.5, min_step_size=0.001, max_step_size=2.0)",
    "keras.optimizers.SGD(0.1, weight_decay=0.2)":
        "optax.chain(jd.optimizers.weight_decay(0.2), jd.optimizers.gradient_descent(0.1))",
    "keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.7), momentum=0.9)":
        "jd.optimizers.momentum(jd.compat.keras.optimizers.schedules.ExponentialDecay(initial_learning_rate=0.1,"
        " decay_steps=1, decay_rate=0.7), momentum=0.9)",
    "keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipvalue=0.5)":
        "optax.chain(jd.optimizers.clip_by_value(0.5), jd.optimizers.nesterov_bengio(0.1, momentum=0.9))",
    "keras.optimizers.Adam(global_clipnorm=0.5)": None,
    "keras.optimizers.RMSprop(0.1, momentum=0.5, global_clipnorm=0.7)":
        "optax.chain(jd.optimizers.clip_by_global_norm(0.7), jd.optimizers.rmsprop(0.1, eps_root=1e-07, momentum=0.5))",
    "keras.optimizers.RMSprop(0.1, weight_decay=0.2)":
        "optax.chain(jd.optimizers.scale_by_rmsprop(eps_root=1e-07), jd.optimizers.weight_decay(0.2),"
        " jd.optimizers.scale_by_rate(0.1))",
    "keras.optimizers.Adadelta(1.0, rho=0.9)": "jd.optimizers.adadelta(1.0, rho=0.9, eps_root=1e-07)",
    "keras.optimizers.Adagrad(0.1)": "jd.optimizers.adagrad(0.1, eps_root=1e-07, initial_accumulator_value=0.1)",
    "keras.optimizers.Adamax(0.1, weight_decay=0.2)":
        "optax.chain(jd.optimizers.scale_by_adamax(eps=1e-07), jd.optimizers.weight_decay(0.2),"
        " jd.optimizers.scale_by_rate(0.1))",
    "keras.optimizers.Nadam(0.1)":
        "jd.optimizers.nadam(0.1, eps=1e-07, momentum_decay=1.0, mean='constant')",
    "keras.optimizers.Lion()": "jd.optimizers.lion(0.001, weight_decay=0)",
    "keras.optimizers.Lamb(0.1, weight_decay=0.2)": None,
    "keras.optimizers.SGD(0.1, use_ema=True)": None,
    "keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)":
        "optax.MultiSteps(jd.optimizers.gradient_descent(0.1), 4)",
}  # fmt: skip


@pytest.mark.parametrize("text", NATIVE)
def test_by_its_own_names_where_they_are_equal(text):
    found = port.translate(text)
    assert found.native == NATIVE[text]
    if found.native:
        ours, theirs = run(found.native, found.line)
        single = "NAdam" in text  # torch keeps a product of it in float32
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-9 if single else 1e-13)


def test_optimizers_without_an_equal_do_differ():
    """None is not said for nothing: the nearest of jaxdict's own is another."""
    for text, nearest in [
        ("torch.optim.Adamax(p, eps=0.1)", "jd.optimizers.adamax(2e-3, eps=0.1)"),
        ("torch.optim.RAdam(p, eps=0.1)", "jd.optimizers.radam(eps=0.1)"),
        ("keras.optimizers.Adam(epsilon=0.1)", "jd.optimizers.adam(eps=0.1)"),
        ("keras.optimizers.Lamb(0.1, weight_decay=0.2)", "jd.optimizers.lamb(0.1, eps=1e-7, weight_decay=0.2)"),
    ]:
        assert np.abs(np.diff(run(port.translate(text).line, nearest), axis=0)).max() > 1e-8


# --- groups, states, files --------------------------------------------------------------------------------------------

GROUPS = torch_repr(
    "AdamW",
    ADAM_GROUP | {"decoupled_weight_decay": True, "weight_decay": 0.01},
    ADAM_GROUP | {"decoupled_weight_decay": True, "weight_decay": 0.0, "lr": 0.0003},
)
GROUPED = (
    "optax.partition({0: jd.compat.torch.optim.AdamW(), 1: jd.compat.torch.optim.AdamW(lr=0.0003, weight_decay=0.0)},"
    " groups)"
)
CODE = 'torch.optim.AdamW([{"params": a}, {"params": b, "lr": 3e-4, "weight_decay": 0.0}])'


@pytest.mark.parametrize("text", [GROUPS, CODE])
def test_groups_of_parameters(text):
    found = port.translate(text)
    assert found.line == GROUPED
    assert found.native == (
        "optax.partition({0: jd.optimizers.adamw(0.001, weight_decay=0.01), 1: jd.optimizers.adam(0.0003)}, groups)"
    )
    assert any("groups: a tree like the parameters" in note for note in found.notes)
    with jax.enable_x64(True):
        optimizer = eval(found.line, {"jd": jd, "optax": optax, "groups": {"a": 0, "b": 1}})
        params = {"a": jnp.ones(2), "b": jnp.ones(2)}
        updates, _ = optimizer.update(params, optimizer.init(params), params)
    np.testing.assert_allclose(updates["a"], -0.001 * 1.01, rtol=1e-6)
    np.testing.assert_allclose(updates["b"], -0.0003, rtol=1e-6)


def test_equal_groups_are_one():
    assert port.translate(torch_repr("Adam", ADAM_GROUP, ADAM_GROUP)).line == "jd.compat.torch.optim.Adam()"


# optimizer.state_dict()["param_groups"] of torch 2.13.0, the defaults
SAVED = {
    "SGD": '[{"lr": 0.001, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": false, "maximize": false,'
    ' "foreach": null, "differentiable": false, "fused": null, "params": [0]}]',
    "Adam": '[{"lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0, "amsgrad": false,'
    ' "maximize": false, "foreach": null, "capturable": false, "differentiable": false, "fused": null,'
    ' "decoupled_weight_decay": false, "params": [0]}]',
    "AdamW": '[{"lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0.01, "amsgrad": false,'
    ' "maximize": false, "foreach": null, "capturable": false, "differentiable": false, "fused": null,'
    ' "decoupled_weight_decay": true, "params": [0]}]',
    "Adamax": '[{"lr": 0.002, "betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0, "foreach": null,'
    ' "maximize": false, "differentiable": false, "capturable": false, "params": [0]}]',
    "NAdam": '[{"lr": 0.002, "betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0, "momentum_decay": 0.004,'
    ' "decoupled_weight_decay": false, "maximize": false, "foreach": null, "capturable": false,'
    ' "differentiable": false, "params": [0]}]',
    "RAdam": '[{"lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-08, "weight_decay": 0, "maximize": false,'
    ' "foreach": null, "capturable": false, "decoupled_weight_decay": false, "differentiable": false, "params": [0]}]',
    "RMSprop": '[{"lr": 0.01, "momentum": 0, "alpha": 0.99, "eps": 1e-08, "centered": false, "weight_decay": 0,'
    ' "capturable": false, "foreach": null, "maximize": false, "differentiable": false, "params": [0]}]',
    "Adagrad": '[{"lr": 0.01, "lr_decay": 0, "eps": 1e-10, "weight_decay": 0, "initial_accumulator_value": 0,'
    ' "foreach": null, "maximize": false, "differentiable": false, "fused": null, "params": [0]}]',
    "Adadelta": '[{"lr": 1.0, "rho": 0.9, "eps": 1e-06, "weight_decay": 0, "maximize": false, "capturable": false,'
    ' "foreach": null, "differentiable": false, "params": [0]}]',
    "Rprop": '[{"lr": 0.01, "etas": [0.5, 1.2], "step_sizes": [1e-06, 50], "foreach": null, "maximize": false,'
    ' "differentiable": false, "capturable": false, "params": [0]}]',
}


@pytest.mark.parametrize("name", SAVED)
def test_a_saved_state_is_known_by_its_groups(name):
    assert port.translate(SAVED[name]).line == f"jd.compat.torch.optim.{name}()"
    groups = json.loads(SAVED[name])
    printed = str({"state": {}, "param_groups": groups})  # print(optimizer.state_dict())
    assert port.translate(printed).line == f"jd.compat.torch.optim.{name}()"


def test_a_state_that_several_have_needs_a_name():
    group = json.loads(SAVED["AdamW"])[0]
    del group["decoupled_weight_decay"]  # as older versions of torch saved it
    with pytest.raises(ValueError, match=r"Adam and AdamW have such groups; say which by --as NAME"):
        port.translate(json.dumps([group]))
    assert port.translate(json.dumps([group]), name="adam_w").line == "jd.compat.torch.optim.AdamW()"


def test_files(tmp_path):
    groups = json.loads(SAVED["AdamW"])
    wanted = "jd.compat.torch.optim.AdamW()"
    (tmp_path / "a.json").write_text(json.dumps({"state": {"0": {"step": 3.0}}, "param_groups": groups}))
    np.savez(tmp_path / "a.npz", param_groups=json.dumps(groups), moment=np.zeros(3))
    header = json.dumps({"__metadata__": {"param_groups": json.dumps(groups)}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    for name in ("a.json", "a.npz", "a.safetensors"):
        assert port.translate(port.read_source(str(tmp_path / name))).line == wanted
    notes = port.translate((tmp_path / "a.json").read_text()).notes
    assert "its moments go on by jd.compat.torch.import_optimizer_state(state_dict, params)" in notes
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"compile_config": {"optimizer": json.loads(ADAMW_CONFIG)}}))
    assert "AdamW(" in port.translate(port.read_source(str(tmp_path / "a.keras"))).line
    (tmp_path / "code.py").write_text(CODE)
    assert port.translate(port.read_source(str(tmp_path / "code.py"))).line == GROUPED
    for name in ("a.npz", "a.safetensors", "a.keras"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 nothing")
        with pytest.raises(ValueError, match=rf"{name}: holds no optimizer that can be read"):
            port.read_source(str(tmp_path / name))
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json: no such file"):
        port.read_source("nowhere.json")
    with pytest.raises(ValueError, match=r"run\.pt: a pickle can run code when it is read; write JSON .*json\.dump"):
        port.read_source(str(tmp_path / "run.pt"))
    assert port.read_source("torch.optim.SGD(p)") == "torch.optim.SGD(p)"


# --- differences ------------------------------------------------------------------------------------------------------


def test_differences_are_those_of_the_entries_and_of_the_defaults():
    found = port.translate("torch.optim.AdamW(p)").differences
    assert "lr is 0.001 by default; to be given in optax.adamw (learning_rate)" in found
    assert "weight_decay is 0.01 by default; 0.0001 in jd.optimizers.adamw, 0.0001 in optax.adamw" in found
    entry = jd.lookup("adamw")
    assert f"torch against jd.optimizers.adamw: {entry.conventions['torch']}" in found
    assert f"optax against jd.optimizers.adamw: {entry.conventions['optax']}" in found
    assert not any(
        "weight_decay is" in one for one in port.translate("torch.optim.AdamW(p, weight_decay=0.1)").differences
    )
    adam = port.translate("keras.optimizers.Adam(weight_decay=0.1)").differences
    assert any(one.startswith("keras against jd.optimizers.weight_decay: ") for one in adam)
    assert any(one.startswith("epsilon is 1e-07 by default; 1e-08 in jd.optimizers.adam (eps)") for one in adam)
    schedule = port.translate("keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 9))").differences
    assert any(one.startswith("keras against jd.schedules.cosine_annealing: ") for one in schedule)
    amsgrad = port.translate("torch.optim.Adam(p, amsgrad=True)").differences
    assert any("against jd.optimizers.amsgrad" in one for one in amsgrad)
    assert port.translate("keras.optimizers.Ftrl()").differences == (
        "neither jaxdict nor optax has keras.optimizers.Ftrl by another name",
    )


def test_notes_of_schedules():
    found = port.translate("o = torch.optim.SGD(p)\ns = torch.optim.lr_scheduler.StepLR(o, 30)")
    assert found.line == "jd.compat.torch.optim.SGD(lr=jd.compat.torch.optim.lr_scheduler.StepLR(0.001, step_size=30))"
    assert any("StepLR(…).every(updates_per_epoch)" in note for note in found.notes)
    found = port.translate(
        "o = torch.optim.SGD(p, lr=0.1)\ns = torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=2)"
    )
    assert found.line == (
        "optax.chain(jd.compat.torch.optim.SGD(lr=0.1),"
        " jd.compat.torch.optim.lr_scheduler.ReduceLROnPlateau(0.1, patience=2))"
    )
    assert any("update(…, value=loss)" in note for note in found.notes)
    steps = -np.diff(np.concatenate([START[None], run(found.line)[0]]), axis=0)[:, 0] / [
        gradient(t)[0] for t in range(8)
    ]
    np.testing.assert_allclose(steps[[0, 3, 4]], [0.1, 0.1, 0.01], rtol=1e-12)  # the fourth value is one too many
    left = port.translate(torch_repr("SGD", STEP_GROUP))
    assert any("a scheduler moved lr from 0.1: give its constructor" in note for note in left.notes)


# --- what cannot be read ----------------------------------------------------------------------------------------------

REFUSED = {
    "torch.optim.Adma(p)": r"no optimizer of torch that is known here is called 'Adma'; did you mean .*'Adam'",
    "torch.optim.Muon(p)": r"'Muon'; jd\.optimizers\.muon is near it \(torch's Muon: matrices only",
    "keras.optimizers.Adamm()": r"no optimizer of keras that is known here is called 'Adamm'; did you mean",
    "torch.optim.Adam(p, learning_rate=0.1)": r"optim\.Adam has no argument 'learning_rate'; did you mean 'lr'\?",
    "keras.optimizers.SGD(lr=0.1)": r"keras\.optimizers\.SGD has no argument 'lr'; did you mean 'learning_rate'\?",
    "torch.optim.SGD(p, momentom=0.9)": r"torch\.optim\.SGD has no argument 'momentom'; did you mean 'momentum'\?",
    "torch.optim.SGD(p, lr=args.lr)": r"lr: 'args\.lr' is not written as a literal; put its value there",
    "torch.optim.SGD(p, lr=float('0.1'))": r"lr: \"float\('0\.1'\)\" is not written as a literal",
    "torch.optim.SGD(p, **options)": r"SGD: write the arguments out instead of \* and \*\*",
    "torch.optim.SGD(p, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)": r"SGD takes 9 arguments; got 10",
    "torch.optim.SGD(p, lr=-1)": r"torch\.optim\.SGD: lr must be >= 0; got -1",
    "torch.optim.Adam(p, betas=0.9)": r"torch\.optim\.Adam: betas ",
    "keras.optimizers.SGD(0.1, clipnorm=1, clipvalue=1)": r"SGD: only one of clipnorm, clipvalue and global_clipnorm",
    "o = torch.optim.SGD(p)\ntorch.optim.lr_scheduler.StepLR(o)": r"StepLR: .*missing .*'step_size'",
    "Adam()": r"Adam is torch's and keras's: write torch\.optim\.Adam\(…\) or keras\.optimizers\.Adam\(…\)",
    "hello": r"no optimizer in this text; give a constructor call such as torch\.optim\.SGD",
    "torch.optim.SGD(p,": r"no optimizer that can be read \(line 1: .*\); give a constructor call",
    "": r"no optimizer in this text",
    "{": r"neither JSON nor a Python literal; give a constructor call",
    '{"a": 1}': r"no optimizer in this data; give",
    '[{"lr": 1, "foo": 2}]': r"state does not name its optimizer, and no optimizer of torch has \['foo', 'lr'\]",
    "[{b'lr': 1}]": r"no optimizer in this data; give",
    "[{{}: 1}]": r"neither JSON nor a Python literal; give",
    "SGD (Parameter Group 0\n    lr: 0.1\n)": r"no optimizer that can be read",
    '{"class_name": "Adam", "config": 3}': r"the config of Adam must be a table of its arguments; got 3",
    '{"class_name": "Adam", "config": {"learning_rate": {"a": 1}}}': r"learning_rate must be a number or a serialized",
    '{"class_name": "Adam", "config": {"learning_rate": {"class_name": "Cosine", "config": {}}}}':
        r"no schedule of keras that is known here is called 'Cosine'",
    '{"class_name": "Adam", "config": {"beta": 0.1}}': r"keras\.optimizers\.Adam has no argument 'beta'; did you mean",
    "SGD (\nParameter Group 0\n    lr: <object at 0x1>\n)": r"lr: <object at 0x1>' is not written as a literal",
    "SGD (\nParameter Group 0\n    lr 0.1\n)": r"a line of print\(optimizer\) is 'name: value'; got 'lr 0\.1'",
    "AdamW (\nParameter Group 0\n    decoupled_weight_decay: False\n)": r"AdamW has decoupled_weight_decay True; got",
    "o = torch.optim.SGD(p)\ntorch.optim.lr_scheduler.LambdaLR(o, lr_lambda=lambda t: 0.9**t)":
        r"lr_lambda: 'lambda t: 0\.9 \*\* t' is not written as a literal",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_read_is_said_in_one_line(text):
    with pytest.raises(ValueError, match=REFUSED[text]) as refused:
        port.translate(text)
    assert "\n" not in str(refused.value)


def test_names_of_what_was_said_before_and_arithmetic():
    text = "lr = 0.1 / 4\ndecay = -(-1e-4) * 2\nopt = torch.optim.SGD(net.parameters(), lr=lr, weight_decay=decay)"
    assert port.translate(text).line == "jd.compat.torch.optim.SGD(lr=0.025, weight_decay=0.0002)"
    assert port.translate("SGD(learning_rate=0.1)").source == "keras.optimizers.SGD"
    assert port.translate("SGD(p, lr=0.1)").source == "torch.optim.SGD"
    assert (
        port.translate("tf.keras.optimizers.Adam(1e-2)").line == "jd.compat.keras.optimizers.Adam(learning_rate=0.01)"
    )
    printed = torch_repr("Adam", ADAM_GROUP | {"lr": "tensor(0.0100)"})
    assert port.translate(printed).line == "jd.compat.torch.optim.Adam(lr=0.01)"


def test_nothing_that_is_read_is_run(tmp_path):
    mark = tmp_path / "ran"
    for text in (
        f"torch.optim.SGD(p, lr=open({str(mark)!r}, 'w'))",
        f"torch.optim.SGD(p, lr=__import__('pathlib').Path({str(mark)!r}).touch())",
        f"SGD (\nParameter Group 0\n    lr: __import__('pathlib').Path({str(mark)!r}).touch()\n)",
        "torch.optim.SGD(p, lr=" + "-" * 5000 + "1)",
        "torch.optim.SGD(p, lr=9**9**9**9)",
    ):
        with pytest.raises(ValueError, match=r"literal|read"):
            port.translate(text)
    assert not mark.exists()


def test_every_optimizer_and_schedule_of_compat_can_be_read():
    assert set(_reading.names("torch", "optimizer")) == {*SAVED}
    for framework in ("torch", "keras"):
        for name in _reading.names(framework, "optimizer"):
            written = {"torch": f"torch.optim.{name}(p)", "keras": f"keras.optimizers.{name}()"}[framework]
            assert port.translate(written).source == written.partition("(")[0]


# --- the command ------------------------------------------------------------------------------------------------------


def call(*arguments, **options):
    return CliRunner().invoke(cli.app, ["port", *arguments], **options)


def test_the_command_prints_python(tmp_path):
    result = call("torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:2] == ["# torch.optim.SGD", "jd.compat.torch.optim.SGD(lr=0.1, momentum=0.9)"]
    assert "jd.optimizers.sgd(0.1, momentum=0.9)" in lines
    assert lines[-1].startswith("# - optax against jd.optimizers.sgd: sgd, which runs here")
    compile(result.stdout, "port", "exec")
    assert "# nothing by jaxdict's own names is exactly this" in call("keras.optimizers.Adam()").stdout.splitlines()
    assert call(input=SGD_REPR).stdout == call("-", input=SGD_REPR).stdout == f"{port.translate(SGD_REPR)}\n"
    (tmp_path / "optimizer.json").write_text(SAVED["Adam"])
    assert "jd.compat.torch.optim.Adam()" in call(str(tmp_path / "optimizer.json")).stdout
    saved = call(str(tmp_path / "optimizer.json"), "--as", "AdamW")
    assert (saved.exit_code, saved.stdout) == (2, "")


def test_the_command_refuses_in_one_line():
    for source in ("torch.optim.Adma(p)", "run.pt", "nowhere.json"):
        result = call(source)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
