"""Transfer: frozen leaves keep every bit and cost nothing, weights come from other models, files and frameworks."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import safetensors.numpy

import jaxdict as jd
from jaxdict import layers, models, transfer
from jaxdict.train.step import TrainState, make_step

MODEL = models.mlp([3, 4, 4, 2], activation="tanh")
LOWER = ["dense_1/*", "*_2/kernel"]
STACKS = np.load(Path(__file__).parent / "recorded" / "stacks.npz")


@functools.cache
def start():
    """Parameters, some of them -0, which a sum with 0 would change."""
    rng, shapes = np.random.default_rng(3), jax.eval_shape(lambda: MODEL.init(jax.random.key(0), (3,))[0])
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.6, leaf.shape).astype(np.float32), shapes)
    return jax.tree.map(lambda p: np.where(np.arange(p.size).reshape(p.shape) == 1, np.float32(-0.0), p), params)


@functools.cache
def batch():
    rng = np.random.default_rng(0)
    return rng.normal(size=(8, 3)).astype(np.float32), rng.normal(size=(8, 2)).astype(np.float32)


def loss(params, x, y):
    return jnp.mean(jnp.square(MODEL.apply(params, {}, x)[0] - y))


def bits(a, b):
    np.testing.assert_array_equal(np.asarray(a).view(np.uint32), np.asarray(b).view(np.uint32))


def trained(optimizer, params, differentiate, steps=6):
    """``steps`` updates, and the state after them; pure."""
    optimizer = optax.with_extra_args_support(optimizer)

    def step(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(differentiate)(params)
        updates, state = optimizer.update(grads, state, params, value=value, grad=grads, value_fn=differentiate)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, optimizer.init(params)), length=steps)[0]


OPTIMIZERS = {
    "adamw": lambda: jd.optimizers.adamw(1e-2, weight_decay=0.3),
    "momentum and a norm": lambda: optax.chain(optax.clip_by_global_norm(0.01), jd.optimizers.momentum(0.1)),
    "line search": lambda: optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(5)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_frozen_leaves_keep_their_bits_and_the_others_train_as_if_alone(name):
    params, (x, y) = start(), batch()
    live = {"dense_2": {"bias": params["dense_2"]["bias"]}, "dense_3": params["dense_3"]}

    def alone(part):
        return loss({**params, **part, "dense_2": {**params["dense_2"], **part["dense_2"]}}, x, y)

    @jax.jit
    def both():
        frozen = transfer.freeze(OPTIMIZERS[name](), params, LOWER)
        return trained(frozen, params, lambda p: loss(p, x, y)), trained(OPTIMIZERS[name](), live, alone)

    (got, state), (wanted, _) = both()
    for path in (("dense_1", "kernel"), ("dense_1", "bias"), ("dense_2", "kernel")):
        bits(got[path[0]][path[1]], params[path[0]][path[1]])
    for layer, leaves in wanted.items():
        for leaf, value in leaves.items():
            np.testing.assert_allclose(got[layer][leaf], value, rtol=1e-6, atol=1e-7)
            assert not np.array_equal(value, params[layer][leaf])
    sizes = {np.shape(leaf) for leaf in jax.tree.leaves(state)}
    assert (3, 4) not in sizes
    assert (4, 4) not in sizes


def test_a_compiled_step_computes_no_gradient_of_what_is_frozen():
    model = models.mlp([32, 64, 64, 64, 4])
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), (32,))[0])
    plain = optax.chain(optax.clip_by_global_norm(1.0), jd.optimizers.adamw(1e-3))
    frozen = transfer.freeze(plain, params, ["dense_1/*", "dense_2/*"])

    def costs(optimizer):
        step = make_step(model, "sparse_softmax_cross_entropy", optimizer)
        train = TrainState(params, {}, jax.eval_shape(optimizer.init, params))
        data = jax.ShapeDtypeStruct((16, 32), jnp.float32), jax.ShapeDtypeStruct((16,), jnp.int32)
        numbers = sum(leaf.size for leaf in jax.tree.leaves(train.optimizer_state))
        compiled = jax.jit(step).lower(train, data, jax.ShapeDtypeStruct((), jnp.uint32)).compile()
        return compiled.cost_analysis()["flops"], numbers

    (flops, numbers), (fewer, smaller) = costs(plain), costs(frozen)
    upper = 2 * (64 * 64 + 64 + 64 * 4 + 4)
    assert smaller - upper == numbers - 2 * sum(leaf.size for leaf in jax.tree.leaves(params))
    lower = 32 * 64 + 64 * 64
    # Two flops a weight and example: the lower layers' gradients, and what flows down through the second and the third.
    assert flops - fewer > 2 * 16 * (lower + 2 * 64 * 64)


def lower_frozen(learning_rate=0.05):
    return transfer.freeze(jd.optimizers.adamw(learning_rate), start(), "dense_1/*")


def test_fit_and_lanes_train_what_is_not_frozen():
    setting = {"epochs": 2, "batch_size": 4, "params": start(), "state": {}}
    rates = {"learning_rate": np.array([0.05, 0.01])}
    runs = jd.fit_lanes(
        MODEL, "mean_squared_error", lower_frozen, batch(), keys=[0, 1], hyperparameters=rates, **setting
    )
    for run in runs:
        bits(run.params["dense_1"]["kernel"], start()["dense_1"]["kernel"])
        assert not np.array_equal(run.params["dense_3"]["kernel"], start()["dense_3"]["kernel"])
    assert lower_frozen() is lower_frozen()  # so that fit compiles nothing twice
    by_name = transfer.freeze("adamw", start(), "dense_1/*")
    assert by_name is transfer.freeze(jd.optimizers.adamw(), start(), "dense_1/*")
    # One rate, as data: the lane is the run of fit, and its history has the rate.
    run = jd.fit(
        MODEL, "mean_squared_error", lower_frozen, batch(), key=0, hyperparameters={"learning_rate": 0.05}, **setting
    )
    jax.tree.map(bits, run.params, runs[0].params)
    assert run.history["learning_rate"][-1] == pytest.approx(0.05)


def test_a_thawed_leaf_starts_its_own_memory_and_the_others_go_on():
    """Each leaf is as if by an Adam of its own, begun when it thawed; one count for all would start it too far."""
    params, (x, y) = start(), batch()
    adam = optax.adam(1e-2)

    @jax.jit
    def stages():
        first = transfer.freeze(adam, params, ["dense_1/*", "dense_2/*"])
        middle, before = trained(first, params, lambda p: loss(p, x, y), steps=40)
        second = transfer.freeze(adam, params, "dense_1/*", state=before)
        got, after = trained(second, middle, lambda p: loss(p, x, y), steps=1)
        return middle, before, got, after, jax.grad(loss)(middle, x, y)

    middle, before, got, after, grads = stages()
    grads, moved = jax.tree.map(np.float64, grads), jax.tree.map(lambda a, b: np.float64(a) - b, got, middle)
    g = grads["dense_2"]["kernel"]
    np.testing.assert_allclose(moved["dense_2"]["kernel"], -1e-2 * g / (np.abs(g) + 1e-8), rtol=1e-4)  # a first step
    memory, g = before.cohorts[0].memory[0], grads["dense_3"]["kernel"]
    m = 0.9 * np.float64(memory.mu["dense_3"]["kernel"]) + 0.1 * g
    v = 0.999 * np.float64(memory.nu["dense_3"]["kernel"]) + 0.001 * g**2
    step = -1e-2 * (m / (1 - 0.9**41)) / (np.sqrt(v / (1 - 0.999**41)) + 1e-8)
    np.testing.assert_allclose(moved["dense_3"]["kernel"], step, rtol=1e-4, atol=2e-7)
    bits(got["dense_1"]["kernel"], params["dense_1"]["kernel"])
    assert [len(cohort.paths) for cohort in after.cohorts] == [2, 2]
    whole = transfer.freeze(adam, params, (), state=after)
    assert [len(cohort.paths) for cohort in jax.eval_shape(whole.init, got).cohorts] == [2, 2, 2]
    first, second, third = whole.init(got).cohorts
    jax.tree.map(bits, (first, second), after.cohorts)
    assert int(third.memory[0].count) == 0


def test_a_frozen_state_is_saved_and_read(tmp_path):
    params = start()
    state = transfer.freeze(optax.sgd(0.1, 0.9), params, LOWER).init(params)
    state = jax.tree.map(lambda leaf: leaf + np.arange(leaf.size, dtype=np.float32).reshape(leaf.shape), state)
    path = jd.checkpoint.save(tmp_path / "state.safetensors", state)
    again = jd.checkpoint.load(path, like=state)
    assert jax.tree.structure(again) == jax.tree.structure(state)
    jax.tree.map(bits, again, state)


def test_a_look_ahead_moves_only_what_trains():
    params = start()
    frozen = transfer.freeze(jd.optimizers.nesterov_sutskever(0.1, momentum=0.5), params, LOWER)
    updates, state = frozen.update(jax.tree.map(np.ones_like, params), frozen.init(params), params)
    bits(params["dense_1"]["kernel"] + updates["dense_1"]["kernel"], params["dense_1"]["kernel"])  # of -0 too
    ahead = jd.optimizers.lookahead_params(params, state)
    bits(ahead["dense_1"]["kernel"], params["dense_1"]["kernel"])
    assert not np.array_equal(ahead["dense_3"]["kernel"], params["dense_3"]["kernel"])


def test_rates_multiply_updates_by_path_and_go_into_freeze():
    params = start()
    optimizer = transfer.rates(optax.sgd(0.5), params, {"dense_1/bias": 0.0, "dense_1/*": 0.1, "dense_2/*": 0.3})
    ones = jax.tree.map(np.ones_like, params)
    updates, _ = optimizer.update(ones, optimizer.init(params), params)
    for layer, leaf, factor in (("dense_1", "bias", 0), ("dense_1", "kernel", 0.1), ("dense_2", "bias", 0.3)):
        np.testing.assert_allclose(updates[layer][leaf], np.full_like(params[layer][leaf], -0.5 * factor), rtol=1e-6)
    np.testing.assert_array_equal(updates["dense_3"]["bias"], np.float32([-0.5, -0.5]))
    frozen = transfer.freeze(optimizer, params, "dense_1/*")
    updates, _ = frozen.update(ones, frozen.init(params), params)
    np.testing.assert_allclose(updates["dense_2"]["bias"], np.full(4, -0.15), rtol=1e-6)
    np.testing.assert_array_equal(updates["dense_1"]["kernel"], np.zeros((3, 4)))


def test_a_factor_may_be_traced():
    @jax.jit
    def updates(factor):
        optimizer = transfer.rates(optax.sgd(1.0), {"a": 0.0, "b": 0.0}, {"a": factor})
        return optimizer.update({"a": jnp.float32(1), "b": jnp.float32(1)}, optimizer.init({"a": 0.0, "b": 0.0}))[0]

    assert jax.tree.map(float, updates(0.25)) == {"a": -0.25, "b": -1.0}


def test_reuse_takes_leaves_by_name_and_leaves_the_head_its_start():
    params = start()
    source = jax.tree.map(lambda p: np.float64(p) + 1, params)
    source["dense_3"] = {"kernel": np.zeros((4, 7)), "bias": np.zeros(7)}
    got = transfer.reuse(params, source, ("dense_1/*", "dense_2/*"))
    for layer in ("dense_1", "dense_2"):
        np.testing.assert_array_equal(got[layer]["kernel"], params[layer]["kernel"] + np.float32(1))
        assert got[layer]["kernel"].dtype == jnp.float32
    assert got["dense_3"] is not params["dense_3"]
    bits(got["dense_3"]["kernel"], params["dense_3"]["kernel"])
    copy = transfer.clone(got)
    assert copy["dense_1"]["kernel"].unsafe_buffer_pointer() != got["dense_1"]["kernel"].unsafe_buffer_pointer()
    jax.tree.map(bits, copy, got)
    del source["dense_2"]
    with pytest.raises(ValueError) as error:
        transfer.reuse(params, source, "*")
    assert "source has no leaf 'dense_2/kernel'; did you mean 'dense_" in str(error.value)
    assert "dense_3/kernel has the shape (4, 7) in source, (4, 2) in params" in str(error.value)


# --------------------------------------------------------------------------------------------- files and frameworks


def flat(params):
    return {f"{layer}/{leaf}": np.asarray(v) + 1 for layer, leaves in params.items() for leaf, v in leaves.items()}


def test_safetensors_come_by_name(tmp_path):
    params, path = start(), tmp_path / "weights.safetensors"
    tensors = flat(params)
    safetensors.numpy.save_file(tensors, path)
    got = transfer.load_safetensors(path, params)
    jax.tree.map(lambda a, p: bits(a, p + np.float32(1)), got, params)
    theirs = {"enc." + name.replace("/", "."): a.astype(np.float16) for name, a in tensors.items()}
    safetensors.numpy.save_file({**theirs, "step": np.zeros(1)}, path)
    got = transfer.load_safetensors(
        path, params, rename=lambda name: None if name == "step" else name.removeprefix("enc.").replace(".", "/")
    )
    assert got["dense_1"]["kernel"].dtype == jnp.float32
    np.testing.assert_allclose(got["dense_1"]["kernel"], tensors["dense_1/kernel"], rtol=1e-3)
    some = transfer.load_safetensors(path, params, rename={"enc.dense_3.bias": "dense_3/bias"}, strict=False)
    np.testing.assert_allclose(some["dense_3"]["bias"], tensors["dense_3/bias"], rtol=1e-3)
    bits(some["dense_1"]["kernel"], params["dense_1"]["kernel"])


def test_all_that_does_not_fit_is_named_at_once(tmp_path):
    params, path = start(), tmp_path / "weights.safetensors"
    tensors = flat(params)
    tensors["dense_9/kernel"] = tensors.pop("dense_1/kernel")
    tensors["dense_2/kernel"] = tensors["dense_2/kernel"][:3]
    safetensors.numpy.save_file(tensors, path)
    with pytest.raises(ValueError) as error:
        transfer.load_safetensors(path, params)
    for said in (
        "weights.safetensors does not fit:", "missing in the file: dense_1/kernel", "not expected: dense_9/kernel",
        "dense_2/kernel has the shape (3, 4) in the file, (4, 4) expected",
    ):  # fmt: skip
        assert said in str(error.value)
    with pytest.raises(ValueError, match="dense_2/bias twice, the second time as 'dense_2/bias'"):
        transfer.load_safetensors(path, params, rename={"dense_1/bias": "dense_2/bias"}, strict=False)
    with pytest.raises(ValueError, match="no tensor has the name of a leaf; give rename="):
        transfer.load_safetensors(path, params, rename=lambda name: "x/" + name, strict=False)


NORM = functools.partial(layers.batch_norm, eps=1e-3)  # Keras's
FROM_TORCH = {
    "dense": lambda: [layers.dense(7), layers.batch_norm(), layers.activation("relu"), layers.dense(3, bias=False)],
    "images": lambda: [
        layers.conv(4, (3, 2), padding="valid"), layers.batch_norm(), layers.activation("relu"),
        layers.max_pool((2, 2)), layers.flatten(), layers.batch_norm(), layers.dense(3),
    ],
    "signals": lambda: [
        models.serial(layers.conv(4, 3, padding="valid", groups=2), layers.activation("tanh")), layers.flatten(),
        layers.dense(2),
    ],
    "transposed": lambda: [
        layers.conv_transpose(6, (2, 3), padding="valid", groups=2), layers.flatten(), layers.dense(2)
    ],
}  # fmt: skip
FROM_KERAS = {
    "dense": lambda: [layers.dense(7), NORM(), layers.activation("relu"), layers.dense(3, bias=False)],
    "images": lambda: [
        layers.conv(4, (3, 2), padding="valid"), NORM(), layers.activation("relu"), layers.max_pool((2, 2)),
        layers.flatten(), layers.dense(3),
    ],
    "transposed": lambda: [
        layers.depthwise_conv((2, 2), multiplier=2, padding="valid"),
        layers.conv_transpose(3, (2, 3), padding="valid"), layers.flatten(), layers.dense(2),
    ],
}  # fmt: skip


def recorded(stack):
    """Inputs, outputs and weights by name, in order."""
    weights = {
        n.removeprefix(f"{stack}/weights/"): STACKS[n] for n in STACKS.files if n.startswith(f"{stack}/weights/")
    }
    return STACKS[f"{stack}/in"], STACKS[f"{stack}/out"], weights


@pytest.mark.parametrize("name", FROM_TORCH)
def test_a_torch_stack_gives_the_same_outputs(name):
    x, wanted, weights = recorded(f"torch/{name}")
    x, model = np.moveaxis(x, 1, -1), models.serial(*FROM_TORCH[name]())
    params, state = transfer.from_torch(weights, model, x.shape[1:])
    got = jax.jit(model.apply)(params, state, x)[0]
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=2e-6 * np.abs(wanted).max())


class Variable:
    """A weight as Keras hands it out: a path, and NumPy numbers."""

    def __init__(self, path, array):
        self.path, self.array = path, array

    def numpy(self):
        return self.array


@pytest.mark.parametrize("name", FROM_KERAS)
def test_a_keras_stack_gives_the_same_outputs(name):
    x, wanted, weights = recorded(f"keras/{name}")
    model = models.serial(*FROM_KERAS[name]())
    params, state = transfer.from_keras(list(weights.values()), model, x.shape[1:])
    got = jax.jit(model.apply)(params, state, x)[0]
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=2e-6 * np.abs(wanted).max())
    named = [Variable(path.partition(":")[2], array) for path, array in weights.items()]
    jax.tree.map(bits, (params, state), transfer.from_keras(named, model, x.shape[1:]))


def test_a_bias_as_long_as_the_flattened_images_keeps_its_order():
    """torch's flattening is of what goes in: columns of the kernel, and a batch norm right behind it."""
    model = models.serial(layers.flatten(), layers.batch_norm(), layers.dense(8))
    count = np.arange(8.0)
    weights = {f"1.{name}": count for name in ("weight", "bias", "running_mean", "running_var")}
    weights |= {"2.weight": np.arange(64.0).reshape(8, 8), "2.bias": count}
    params, state = transfer.from_torch(weights, model, (2, 2, 2))
    turned = [0, 4, 1, 5, 2, 6, 3, 7]
    for leaf in (params["batch_norm_1"]["offset"], state["batch_norm_1"]["variance"]):
        assert np.asarray(leaf).tolist() == turned
    np.testing.assert_array_equal(params["dense_1"]["kernel"], weights["2.weight"].T[turned])
    assert np.asarray(params["dense_1"]["bias"]).tolist() == count.tolist()


def test_an_embedding_is_not_turned():
    model, table = models.serial(layers.embedding(3, 3)), np.arange(9.0, dtype=np.float32).reshape(3, 3)
    for params, _ in (
        transfer.from_torch({"0.weight": table}, model, (4,)),
        transfer.from_keras([Variable("embedding/embeddings", table)], model, (4,)),
    ):
        np.testing.assert_array_equal(params["embedding_1"]["kernel"], table)


STACK = models.serial(layers.dense(2), layers.batch_norm())
WEIGHTS = {
    "a.weight": np.ones((2, 3)), "a.bias": np.ones(2), "b.weight": np.ones(2), "b.bias": np.ones(2),
    "b.running_mean": np.ones(2), "b.running_var": np.ones(2),
}  # fmt: skip
IN_KERAS = [np.ones((3, 2)), *[np.ones(2)] * 5]


def freeze(patterns, optimizer=None, **options):
    return transfer.freeze(optax.sgd(1.0) if optimizer is None else optimizer, start(), patterns, **options)


def rates(factors):
    return transfer.rates(optax.sgd(1.0), start(), factors)


def state_of(patterns, optimizer=None):
    return jax.eval_shape(freeze(patterns, optimizer).init, start())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: freeze("dense_1"), r"'dense_1' matches no leaf; did you mean 'dense_1/\*'\?"),
        (lambda: freeze("dense_1/kernl"), r"'dense_1/kernl' matches no leaf; did you mean 'dense_1/kernel'"),
        (lambda: freeze(["*kernel", "*bias"]), r"nothing is left to train"),
        (lambda: freeze([3]), r"a pattern must be a string, such as 'dense_1/\*'; got 3"),
        (
            lambda: freeze("dense_2/*", state=state_of("dense_1/*")),
            r"the state remembers 'dense_2/bias', which is frozen now",
        ),
        (lambda: freeze((), state=state_of("dense_1/*", optax.sgd(1.0, 0.9))), r"the state is of another optimizer"),
        (lambda: freeze((), state=optax.EmptyState()), r"state must be the FreezeState of an .* by freeze; got Empty"),
        (lambda: freeze(None), r"a pattern must be a string, such as 'dense_1/\*'; got None"),
        (lambda: freeze("dense_1/*", 3), r"optimizer must be an optax transformation, a name or a function; got 3"),
        (
            lambda: freeze("dense_1/*").init({"head": np.ones(2)}),
            r"freeze was made for other parameters, without 'head': dense_1/bias, dense_1/kernel, ",
        ),
        (lambda: rates(["dense_1/*"]), r"factors must be a mapping, such as \{'dense_1/\*': 0.1\}; got \['dense"),
        (lambda: rates({"dense_1/*": -1}), r"the factor of 'dense_1/\*' must be >= 0; got -1"),
        (lambda: rates({"*": 1, "dense_1/*": 0.1}), r"'dense_1/\*' matches no leaf that an earlier one has left"),
    ],
)
def test_errors_of_paths(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: transfer.from_torch({"a.weight": WEIGHTS["a.weight"]}, STACK, (3,)),
            r"torch has 1 layers with weights \(a\), the model 2 \(dense_1, batch_norm_1\)",
        ),
        (
            lambda: transfer.from_torch({n: WEIGHTS[n] for n in ("a.weight", "b.weight")}, STACK, (3,)),
            r"torch's 'a' has weight; dense_1 takes weight, bias",
        ),
        (
            lambda: transfer.from_torch(WEIGHTS, STACK, (4,)),
            r"a.weight has the shape \(3, 2\) in the layout of dense_1/kernel, which is \(4, 2\)",
        ),
        (
            lambda: transfer.from_torch({}, (lambda key, shape: ({"w": jnp.ones(1)}, {}, shape), MODEL.apply), (3,)),
            r"the model is no stack of dense, embedding, convolution and normalization layers",
        ),
        (lambda: transfer.from_torch(STACK, STACK, (3,)), r"must be module.state_dict\(\), arrays by name; got Model"),
        (lambda: transfer.from_keras(STACK, STACK, (3,)), r"must be model.get_weights\(\) or .*; got Model"),
        (
            lambda: transfer.from_keras(IN_KERAS[:2], STACK, (3,)),
            r"Keras has 2 weights, the model 6: dense_1/kernel, dense_1/bias, batch_norm_1/scale",
        ),
        (
            lambda: transfer.from_keras(IN_KERAS, STACK, (4,)),
            r"weight 0 has the shape \(3, 2\) in the layout of dense_1/kernel",
        ),
        (
            lambda: transfer.from_keras([Variable("dense/bias", a) for a in IN_KERAS], STACK, (3,)),
            r"Keras's dense/bias stands where dense_1 takes its kernel",
        ),
    ],
)
def test_errors_of_frameworks(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
