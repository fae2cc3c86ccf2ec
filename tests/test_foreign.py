"""Flax and Equinox modules as models: trained by ``fit``, equal to the framework's own call, pure and deterministic."""

import functools
import inspect
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import jaxdict as jd
from jaxdict.layers import child
from jaxdict.models import from_equinox, from_flax
from jaxdict.train import segment

LOSS = "sparse_softmax_cross_entropy"
COUNT = 200  # with batches of 48, the last holds 8


class Linen(linen.Module):
    width: int = 12

    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.BatchNorm(use_running_average=not train, momentum=0.9)(linen.Dense(self.width)(x))
        x = linen.Dropout(0.2, deterministic=not train)(linen.relu(x))
        return linen.Dense(10)(x)


class Nnx(nnx.Module):
    def __init__(self, *, rngs):
        self.layers = nnx.List([nnx.Linear(64, 12, rngs=rngs), nnx.Linear(12, 10, rngs=rngs)])
        self.norm = nnx.BatchNorm(12, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.layers[0](x)))
        return self.layers[1](self.dropout(x))


class Norm(eqx.Module):
    """Equinox with batch norm and dropout, and an array that is no parameter."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear
    order: jax.Array
    activation: object

    def __init__(self, key, mode="batch"):
        one, two, three = jax.random.split(key, 3)
        self.first = eqx.nn.Linear(64, 12, key=one)
        self.norm = eqx.nn.BatchNorm(12, axis_name="batch", momentum=0.9, mode=mode)
        self.dropout = eqx.nn.Dropout(0.2)
        self.last = eqx.nn.Linear(12, 10, key=two)
        self.order = jax.random.permutation(three, 12)
        self.activation = lambda x: jnp.maximum(x, 0)  # another object in each module

    def __call__(self, x, state, *, key=None):
        x, state = self.norm(self.first(x), state)
        return self.last(self.dropout(self.activation(x[self.order]), key=key)), state


def mlp(key):
    return eqx.nn.MLP(64, 10, 12, 1, key=key)


def linen_by_hand(run, x):
    return Linen().apply({"params": run.params, **run.state}, x, train=False)


def nnx_by_hand(run, x):
    module = Nnx(rngs=nnx.Rngs(5))
    values = nnx.restore_int_paths(run.params)
    nnx.update(module, nnx.restore_int_paths({**run.state, **values, "norm": run.state["norm"] | values["norm"]}))
    module.eval()
    return module(x)


def filled(module, params):
    """An Equinox module with parameters put back, by its own attributes."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        names = [step.key for step in path]
        module = eqx.tree_at(functools.partial(_walk, names=names), module, leaf)
    return module


def _walk(node, names):
    for name in names:
        node = node[int(name)] if name.isdigit() else getattr(node, name)
    return node


def mlp_by_hand(run, x):
    return jax.vmap(filled(mlp(jax.random.key(5)), run.params))(x)


def norm_by_hand(run, x):
    module, state = eqx.nn.make_with_state(Norm)(jax.random.key(5))
    module = filled(module, run.params | run.state["arrays"])
    kept = run.state["stateful"]
    state = state.set(module.norm.batch_counter, kept["Norm.norm.batch_counter"])
    pair = kept["Norm.norm.batch_state_index"]
    state = state.set(module.norm.batch_state_index, (pair["0"], pair["1"]))
    module = eqx.nn.inference_mode(module)
    return jax.vmap(lambda one: module(one, state)[0], axis_name="batch")(x)


MODELS = {
    "linen": (lambda: from_flax(Linen()), linen_by_hand),
    "nnx": (lambda: from_flax(Nnx), nnx_by_hand),
    "mlp": (lambda: from_equinox(mlp), mlp_by_hand),
    "norm": (lambda: from_equinox(eqx.nn.make_with_state(Norm)), norm_by_hand),
}
NOISY = ("linen", "nnx", "norm")


@functools.cache
def model_of(kind):
    return MODELS[kind][0]()


def fit(model, digits, **options):
    data = digits.inputs[:COUNT], digits.targets[:COUNT]
    options = {"key": 3, "epochs": 6, "batch_size": 48} | options
    return jd.fit(model, LOSS, jd.optimizers.adam(2e-2), data, **options)


@pytest.fixture(scope="module")
def run_of(digits):
    return functools.cache(lambda kind: fit(model_of(kind), digits))


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


# What each has that is its own is tested beside this; they train by the same code.
@pytest.fixture(
    params=["linen", "norm", *(pytest.param(k, marks=pytest.mark.slow) for k in MODELS if k not in ("linen", "norm"))]
)
def kind(request):
    return request.param


class TestTrained:
    def test_loss_falls(self, run_of, kind):
        run = run_of(kind)
        assert run.result == "done"
        assert run.steps_per_epoch == 5  # four of 48 and one of 8
        assert run.history["loss"][-1] < 0.75 * run.history["loss"][0]

    def test_predictions_are_the_frameworks_own(self, run_of, kind, digits):
        run, x = run_of(kind), jnp.asarray(digits.inputs[COUNT : COUNT + 7])
        np.testing.assert_allclose(run.predict(x), MODELS[kind][1](run, x), rtol=2e-5, atol=2e-5)

    def test_evaluation_is_repeatable(self, run_of, kind, digits):
        run, x = run_of(kind), digits.inputs[:9]
        assert bits(run.predict(x)) == bits(run.predict(x))
        same = [run.model.apply(run.params, run.state, x, key=jax.random.key(k))[0] for k in (1, 2)]
        assert bits(same[0]) == bits(same[1])

    def test_same_key_same_bits_and_no_new_compilation(self, run_of, kind, digits):
        run = run_of(kind)
        compiled = segment.program(run.plan)
        before = compiled.segment._cache_size(), compiled.start._cache_size()
        again = fit(model_of(kind), digits)
        assert bits((again.params, again.state)) == bits((run.params, run.state))
        assert segment.program(again.plan) is compiled
        assert (compiled.segment._cache_size(), compiled.start._cache_size()) == before == (1, 1)
        other = fit(model_of(kind), digits, key=4, epochs=1)
        assert bits(other.params) != bits(run.params)

    def test_checkpoint_round_trip(self, run_of, kind, digits, tmp_path):
        run = run_of(kind)
        path = run.save(tmp_path / "run.safetensors")
        loaded = jd.load_run(path, model=MODELS[kind][0]())
        x = digits.inputs[:11]
        assert bits(loaded.predict(x)) == bits(run.predict(x))
        assert bits((loaded.params, loaded.state)) == bits((run.params, run.state))

    @pytest.mark.parametrize("kind", ["linen", "nnx"])
    def test_resumed_run_has_the_same_bits(self, run_of, kind, digits, tmp_path):
        half = fit(model_of(kind), digits, epochs=3).save(tmp_path / "half.safetensors")
        resumed = fit(model_of(kind), digits, resume=half)
        assert bits((resumed.params, resumed.state)) == bits((run_of(kind).params, run_of(kind).state))


class TestLaws:
    def test_declared_shape_is_the_actual_one(self, kind):
        model = model_of(kind)
        params, state, shape = model.init(jax.random.key(0), (64,))
        outputs, _ = model.apply(params, state, jnp.ones((3, 64)))
        assert shape == (10,)
        assert outputs.shape == (3, 10)
        assert model.mixes_examples
        assert model.spec is None

    def test_trees_are_dicts_of_arrays(self, kind):
        params, state, _ = model_of(kind).init(jax.random.key(0), (64,))
        for path, leaf in jax.tree_util.tree_leaves_with_path((params, state)):
            assert all(isinstance(step, jax.tree_util.DictKey) and type(step.key) is str for step in path[1:])
            assert not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)

    def test_half_precision_keeps_the_states_types(self, kind):
        params, state, _ = model_of(kind).init(jax.random.key(0), (64,))
        half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
        x = jnp.ones((4, 64), jnp.bfloat16)
        call = functools.partial(model_of(kind).apply, key=jax.random.key(0), train=True)
        outputs, after = jax.eval_shape(call, half, state, x)
        # NNX batch norm computes in the widest type it meets, that of its running averages.
        assert outputs.dtype == ("float32" if kind == "nnx" else "bfloat16")
        assert [leaf.dtype for leaf in jax.tree.leaves(after)] == [leaf.dtype for leaf in jax.tree.leaves(state)]

    @pytest.mark.parametrize("kind", NOISY)
    def test_training_draws_from_the_key_and_updates_the_state(self, kind):
        model = model_of(kind)
        params, state, _ = model.init(jax.random.key(0), (64,))
        x = jax.random.normal(jax.random.key(1), (8, 64))
        call = jax.jit(functools.partial(model.apply, train=True))
        one, same, other = (call(params, state, x, key=jax.random.key(k)) for k in (1, 1, 2))
        assert bits(one) == bits(same)
        assert bits(one[0]) != bits(other[0])
        assert bits(one[1]) != bits(state)
        assert jax.tree.structure(one[1]) == jax.tree.structure(state)
        twins = call(params, state, jnp.tile(x[:1], (8, 1)), key=jax.random.key(1))[0]
        assert len(set(map(bytes, np.asarray(twins)))) > 1  # each example has a mask of its own

    @pytest.mark.parametrize("kind", NOISY)
    @pytest.mark.slow
    def test_noise_alone_leaves_statistics_alone(self, kind):
        model = model_of(kind)
        params, state, _ = model.init(jax.random.key(0), (64,))
        x = 3 + 2 * jax.random.normal(jax.random.key(1), (2, 64))
        draw = jax.jit(jax.vmap(lambda key: model.apply(params, state, x, key=key, train="noise")))
        masked, after = draw(jax.random.split(jax.random.key(3), 2000))
        assert bits(jax.tree.map(lambda leaf: leaf[0], after)) == bits(state)
        # Before the last, linear layer masks average out, but not when the norm looked at the batch.
        still = model.apply(params, state, x)[0]
        assert 0.2 < masked.std(0).mean() < 5
        np.testing.assert_allclose(masked.mean(0), still, atol=5 * float(masked.std(0).max()) / 2000**0.5)

    def test_predictions_averaged_over_masks(self, run_of, digits):
        run, x = run_of("nnx"), digits.inputs[:5]
        averaged = run.predict(x, dropout_samples=4, key=1)
        assert averaged.shape == (5, 10)
        assert bits(averaged) != bits(run.predict(x))

    def test_as_a_part_of_another_model(self, kind):
        whole = jd.models.serial(model_of(kind), jd.layers.activation("tanh"), jd.layers.dense(2))
        params, state, shape = whole.init(jax.random.key(0), (64,))
        part = {"linen": "linen_1", "nnx": "nnx_1", "mlp": "mlp_1", "norm": "norm_1"}[kind]
        assert list(params) == [part, "dense_1"]
        assert shape == whole.apply(params, state, jnp.ones((3, 64)))[0].shape[1:]
        assert repr(model_of(kind)) == f"<Model {part[:-2]}>"

    def test_init_gives_memory_of_its_own(self):
        module = Nnx(rngs=nnx.Rngs(0))
        params, state, _ = from_flax(module).init(jax.random.key(0), (64,))
        jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)((params, state))
        assert np.isfinite(module.layers[0].kernel[...]).all()


class TestFlax:
    def test_linen_starts_as_its_own_init_and_draws_as_its_own_apply(self):
        key, x = jax.random.key(7), jax.random.normal(jax.random.key(1), (6, 64))
        params, state, _ = from_flax(Linen()).init(key, (64,))
        variables = Linen().init(key, jnp.zeros((1, 64)), train=False)
        assert bits(params) == bits(variables["params"])
        own, new = Linen().apply(variables, x, train=True, rngs={"dropout": key}, mutable=["batch_stats"])
        outputs, after = from_flax(Linen()).apply(params, state, x, key=key, train=True)
        assert bits(outputs) == bits(own)
        assert bits(after) == bits(new)

    def test_equal_linen_modules_are_one_model(self):
        assert from_flax(Linen()) is from_flax(Linen())
        assert from_flax(Linen()) is not from_flax(Linen(width=13))
        assert from_flax(Linen(), name="a") is not from_flax(Linen())

    @pytest.mark.parametrize("flag", ["train", "training", "is_training", "deterministic", "inference"])
    def test_every_flag(self, flag):
        module = flagged(flag)
        model = from_flax(module)
        x = jnp.ones((50, 4))
        assert (model.apply({}, {}, x)[0] == 1).all()
        assert (model.apply({}, {}, x, key=jax.random.key(0), train=True)[0] == 0).any()
        assert (model.apply({}, {}, x, key=jax.random.key(0), train="noise")[0] == 0).any()

    @pytest.mark.parametrize("make", [linen.BatchNorm, lambda: Fixed(), lambda: nnx.BatchNorm(3, rngs=nnx.Rngs(0))])
    def test_batch_norm_alone(self, make):
        model, x = from_flax(make()), jnp.arange(12.0).reshape(4, 3) ** 2
        params, state, _ = model.init(jax.random.key(0), (3,))
        trained, after = model.apply(params, state, x, key=jax.random.key(0), train=True)
        np.testing.assert_allclose(trained.mean(0), 0, atol=1e-5)
        assert bits(after) != bits(state)
        noisy, after = model.apply(params, state, x, key=jax.random.key(0), train="noise")
        np.testing.assert_allclose(noisy, x, rtol=1e-4)  # mean 0 and variance 1 so far
        assert bits(after) == bits(state)

    def test_nnx_module_as_it_is(self):
        module = Nnx(rngs=nnx.Rngs(3))
        model = from_flax(module)
        module.layers[0].bias[...] = jnp.ones(12)  # later changes are the module's alone
        params, _, _ = model.init(jax.random.key(0), (64,))
        same, _, _ = model.init(jax.random.key(1), (64,))
        assert bits(params) == bits(same)
        np.testing.assert_array_equal(params["layers"]["0"]["kernel"], module.layers[0].kernel[...])
        assert (params["layers"]["0"]["bias"] == 0).all()
        assert module.dropout.deterministic is False

    def test_nnx_function_starts_as_its_own(self):
        params, _, _ = from_flax(lambda streams: Nnx(rngs=streams)).init(jax.random.key(4), (64,))
        own = Nnx(rngs=nnx.Rngs(jax.random.key(4)))
        np.testing.assert_array_equal(params["layers"]["1"]["kernel"], own.layers[1].kernel[...])

    def test_nnx_streams_given_by_call_or_split(self):
        class ByCall(nnx.Module):
            def __init__(self, rngs):
                self.dropout, self.scale = nnx.Dropout(0.5), nnx.data(jnp.float32(2))

            def __call__(self, x, *, rngs=None):
                return self.dropout(self.scale * x, rngs=rngs)

        class Split(nnx.Module):
            def __init__(self, rngs):
                self.keys = rngs.noise.split(2)

            def __call__(self, x):
                return x + jax.random.normal(self.keys.key[...][1], x.shape)

        x = jnp.ones((40, 3))
        for kind, noisy in ((ByCall, False), (Split, True)):
            model = from_flax(kind)
            params, state, _ = model.init(jax.random.key(0), (3,))
            outputs = [model.apply(params, state, x, key=jax.random.key(k), train=True)[0] for k in (1, 1, 2)]
            assert bits(outputs[0]) == bits(outputs[1])
            assert bits(outputs[0]) != bits(outputs[2])
            assert noisy or (model.apply(params, state, x)[0] == 2).all()

    def test_sown_values_are_not_kept(self):
        class Sowing(linen.Module):
            @linen.compact
            def __call__(self, x):
                self.sow("losses", "size", x.sum())
                return linen.Dense(2)(x)

        model = from_flax(Sowing())
        params, state, _ = model.init(jax.random.key(0), (3,))
        assert state == {}
        assert model.apply(params, state, jnp.ones((2, 3)), train=True)[1] == {}

    @pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")  # modules of others may still do it
    def test_sown_variables_are_not_kept(self):
        class Sowing(nnx.Module):
            def __call__(self, x):
                self.sow(nnx.Intermediate, "size", x.sum())
                return x

        assert from_flax(Sowing()).apply({}, {}, jnp.ones((2, 3)), key=jax.random.key(0), train=True)[1] == {}

    def test_boxed_parameters_are_plain(self):
        boxed = linen.Dense(2, kernel_init=linen.with_partitioning(linen.initializers.ones, (None, "model")))
        params, _, _ = from_flax(boxed).init(jax.random.key(0), (3,))
        assert isinstance(params["kernel"], jax.Array)
        assert (from_flax(boxed).apply(params, {}, jnp.ones((1, 3)))[0] == 3).all()

    def test_parameters_of_weak_type_become_strong(self):
        class Scale(linen.Module):
            @linen.compact
            def __call__(self, x):
                return x * self.param("scale", lambda key: jnp.asarray(2.0))

        params, _, _ = from_flax(Scale()).init(jax.random.key(0), (3,))
        assert not params["scale"].weak_type

    def test_integer_inputs_and_trees_of_inputs(self):
        class Two(linen.Module):
            @linen.compact
            def __call__(self, x):
                return {"sum": linen.Dense(4)(x["number"]) + linen.Embed(5, 4)(x["word"])}

        model = from_flax(Two(), input_dtype={"number": "float32", "word": "int32"})
        params, state, shape = model.init(jax.random.key(0), {"number": (3,), "word": ()})
        outputs, _ = model.apply(params, state, {"number": jnp.ones((2, 3)), "word": jnp.array([1, 4])})
        assert shape == {"sum": (4,)}
        assert outputs["sum"].shape == (2, 4)
        assert from_flax(linen.Embed(5, 4), input_dtype="int32").init(jax.random.key(0), (7,))[2] == (7, 4)


def flagged(flag):
    """A Linen module of dropout alone, which is told the phase by ``flag``."""
    still = flag in ("deterministic", "inference")

    def call(self, x, **flags):
        return linen.Dropout(0.5, deterministic=flags[flag] if still else not flags[flag])(x)

    names = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    names += [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("x", flag)]
    call.__signature__ = inspect.Signature(names)
    call.__name__ = "__call__"
    return type("Flagged", (linen.Module,), {"__call__": linen.compact(call)})()


class Fixed(linen.Module):
    """Batch norm told by attribute in training."""

    @linen.compact
    def __call__(self, x, train):
        return linen.BatchNorm(use_running_average=not train)(x)


class TestEquinox:
    def test_instance_class_and_partial(self):
        instance = mlp(jax.random.key(2))
        start = [from_equinox(instance).init(jax.random.key(k), (64,))[0] for k in (0, 1)]
        assert bits(start[0]) == bits(start[1])
        partial = from_equinox(functools.partial(eqx.nn.MLP, 64, 10, 12, 1))  # takes key by keyword alone
        assert bits(partial.init(jax.random.key(2), (64,))[0]) == bits(start[0])
        assert bits(partial.init(jax.random.key(3), (64,))[0]) != bits(start[0])

    def test_all_ways_to_give_state(self):
        key, x = jax.random.key(2), jax.random.normal(jax.random.key(1), (6, 64))
        make = eqx.nn.make_with_state(Norm)
        ways = [from_equinox(way) for way in (make, Norm, make(key), Norm(key))]
        results = [model.apply(*model.init(key, (64,))[:2], x, key=key, train=True) for model in ways]
        assert len({tuple(bits(result)) for result in results}) == 1
        assert len({jax.tree.structure(result) for result in results}) == 1

    def test_batch_norm_in_ema_mode_and_other_axis_name(self):
        class Named(eqx.Module):
            norm: eqx.nn.BatchNorm

            def __init__(self, key):
                self.norm = eqx.nn.BatchNorm(3, axis_name="examples", momentum=0.9, mode="ema")

            def __call__(self, x, state):
                return self.norm(x, state)

        model = from_equinox(Named, axis_name="examples")
        x = jnp.arange(12.0).reshape(4, 3) ** 2
        params, state, _ = model.init(jax.random.key(0), (3,))
        outputs, after = model.apply(params, state, x, key=jax.random.key(0), train=True)
        np.testing.assert_allclose(outputs.mean(0), 0, atol=1e-5)
        running = after["stateful"]["Named.norm.ema_state_index"]
        np.testing.assert_allclose(running["0"], x.mean(0), rtol=1e-6)
        np.testing.assert_allclose(model.apply(params, after, x)[0], outputs, atol=1e-5)
        with pytest.raises(NameError, match="examples"):
            from_equinox(Named).apply(params, state, x, train=True)

    def test_told_by_argument(self):
        class Told(eqx.Module):
            dropout: eqx.nn.Dropout = eqx.nn.Dropout(0.5, inference=False)

            def __call__(self, x, *, key, inference):
                return self.dropout(x, key=key, inference=inference)

        model, x = from_equinox(Told()), jnp.ones((50, 3))
        assert (model.apply({}, {}, x)[0] == 1).all()
        assert (model.apply({}, {}, x, key=jax.random.key(0), train=True)[0] == 0).any()
        with pytest.raises(RuntimeError, match="key"):
            model.apply({}, {}, x, train=True)

    def test_integer_inputs(self):
        model = from_equinox(functools.partial(eqx.nn.Embedding, 5, 4), input_dtype="int32")
        params, state, shape = model.init(jax.random.key(0), ())
        assert shape == model.apply(params, state, jnp.array([1, 4, 4]))[0].shape[1:] == (4,)

    def test_weak_state_may_be_set_weakly(self):
        class Counting(eqx.Module):
            last: eqx.nn.StateIndex

            def __init__(self):
                self.last = eqx.nn.StateIndex(jnp.asarray(0))

            def __call__(self, x, state):
                return x, state.set(self.last, jnp.asarray(3))

        model = from_equinox(Counting())
        params, state, _ = model.init(jax.random.key(0), (2,))
        assert model.apply(params, state, jnp.ones((2, 2)), train=True)[1]["stateful"]["Counting.last"] == 3


class TestErrors:
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (3, "from_flax takes a flax.linen module, .* got int"),
            (Linen, r"got the class Linen; give a module, Linen\(…\)"),
            (mlp(jax.random.key(0)), "got MLP; from_equinox takes it"),
            (eqx.nn.MLP, "got the class MLP; from_equinox takes it"),
            (type("Mute", (linen.Module,), {})(), "with a __call__; got Mute"),
            (type("Mute", (nnx.Module,), {})(), "with a __call__; got Mute"),
            (lambda rngs: Linen(), "the function given to from_flax must make a flax.nnx module .* got Linen"),
            (lambda rngs: 3, "must make a flax.nnx module with a __call__; got int"),
        ],
    )
    def test_no_flax_module(self, given, message):
        with pytest.raises(TypeError, match=message):
            from_flax(given)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (3, "from_equinox takes an equinox.Module .* or a function key -> either; got int"),
            ((mlp(jax.random.key(0)), 3), "got tuple"),
            (Linen(), "got Linen; from_flax takes it"),
            (Nnx, "got the class Nnx; from_flax takes it"),
            (type("Mute", (eqx.Module,), {})(), "with a __call__, .* got Mute"),
            (lambda key: 3, "the function given to from_equinox must make an equinox.Module .* got int"),
        ],
    )
    def test_no_equinox_module(self, given, message):
        with pytest.raises(TypeError, match=message):
            from_equinox(given)

    def test_state_taken_off(self):
        module, _ = eqx.nn.make_with_state(Norm)(jax.random.key(0))
        with pytest.raises(ValueError, match=r"Norm was separated from its state; give both, as \(module, state\)"):
            from_equinox(module)

    def test_stateful_module_that_forgets_its_state(self):
        class Forgets(Norm):
            def __call__(self, x, state):
                return x

        with pytest.raises(ValueError, match=r"forgets has state, so that it must give \(outputs, state\)"):
            from_equinox(Forgets).init(jax.random.key(0), (64,))

    @pytest.mark.parametrize(("library", "function"), [("flax", from_flax), ("equinox", from_equinox)])
    def test_missing_library(self, monkeypatch, library, function):
        for name in [name for name in sys.modules if name.partition(".")[0] == library]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ModuleNotFoundError, match=f"{function.__name__} needs {library}; pip install {library}"):
            function(3)

    def test_something_else_missing(self, monkeypatch):
        def broken(name):
            raise ModuleNotFoundError("No module named 'orbax'", name="orbax")

        monkeypatch.setattr("importlib.import_module", broken)
        with pytest.raises(ModuleNotFoundError, match="orbax"):
            from_flax(3)

    @pytest.mark.parametrize("kind", ["nnx", "mlp", "norm"])
    def test_examples_of_another_shape(self, kind):
        with pytest.raises(ValueError, match=rf"{kind} does not take examples of shape \(63,\), float32: "):
            model_of(kind).init(jax.random.key(0), (63,))

    def test_no_batch_axis(self):
        class Mean(linen.Module):
            def __call__(self, x):
                return x.mean(0)

        with pytest.raises(
            ValueError, match=r"mean must keep the batch axis; two examples gave outputs of shape \(3,\)"
        ):
            from_flax(Mean()).init(jax.random.key(0), (3,))

    def test_noise_without_a_key(self):
        params, state, _ = model_of("nnx").init(jax.random.key(0), (64,))
        with pytest.raises(ValueError, match="nnx needs a key in training"):
            model_of("nnx").apply(params, state, jnp.ones((2, 64)), train=True)

    def test_state_that_changes_its_shape(self):
        class Growing(linen.Module):
            @linen.compact
            def __call__(self, x, train):
                kept = self.variable("memory", "seen", jnp.zeros, (1, 3))
                if train:
                    kept.value = jnp.concatenate([kept.value, x])
                return x

        model = from_flax(Growing())
        params, state, _ = model.init(jax.random.key(0), (3,))
        with pytest.raises(ValueError, match=r"'memory/seen' was \(1, 3\) and became \(3, 3\)"):
            model.apply(params, state, jnp.ones((2, 3)), train=True)

    @pytest.mark.parametrize("kind", ["nnx", "norm"])
    def test_parameters_of_another_model(self, kind):
        with pytest.raises(ValueError, match=f"the params of {kind} must hold '.*', as its init gives them"):
            model_of(kind).apply({"layers": 3}, {}, jnp.ones((2, 64)))


def test_nnx_streams_differ_by_path():
    class Pair(nnx.Module):
        def __init__(self, rngs):
            self.one, self.two = nnx.Dropout(0.5, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return jnp.stack([self.one(x), self.two(x)], 1)

    model, key = from_flax(Pair), jax.random.key(0)
    outputs, _ = model.apply({}, {}, jnp.ones((40, 3)), key=key, train=True)
    assert bits(outputs[:, 0]) != bits(outputs[:, 1])
    mask = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    mask.rngs.key[...] = child(key, "one/rngs/key")
    mask.rngs.count[...] = jnp.uint32(0)
    np.testing.assert_array_equal(outputs[:, 0], mask(jnp.ones((40, 3))))
