"""What holds for every optimizer that goes by gradients: types, optax's wrappers, hyperparameters as data, descent.

The table is derived from the dictionary's constructors; a test goes through all of them in one compiled program.
"""

import functools
import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdict as jd
from jaxdict import _registry, optimizers
from jaxdict.optimizers._rule import elementwise
from small_run import LOSS, MODEL, X, Y, same_bits
from trajectories import trajectory

o = optimizers
# label -> (constructor, options, a rate that arrives at both targets in 10,000 steps)
TABLE = {
    "gradient_descent": (o.gradient_descent, {}, 1.8e-3),
    "momentum": (o.momentum, {}, 1e-3),
    "nesterov": (o.nesterov, {}, 1e-3),
    "nesterov sequence": (o.nesterov, {"momentum": None}, 5e-4),
    "nesterov_sutskever": (o.nesterov_sutskever, {}, 1e-3),
    "nesterov_bengio": (o.nesterov_bengio, {}, 1e-3),
    "adagrad": (o.adagrad, {}, 1.0),
    "rmsprop": (o.rmsprop, {}, 5e-3),
    "rmsprop momentum": (o.rmsprop, {"momentum": 0.9}, 5e-3),
    "rmsprop nesterov": (o.rmsprop, {"momentum": 0.9, "nesterov": True}, 5e-3),
    "rmsprop centered": (o.rmsprop, {"centered": True, "eps_root": 1e-3}, 5e-3),
    "adadelta": (o.adadelta, {"rho": 0.9}, 0.1),
    "adam": (o.adam, {}, 0.1),
    "adam_uncorrected": (o.adam_uncorrected, {}, 0.1),
    "adamax": (o.adamax, {}, 0.1),
    "nadam": (o.nadam, {}, 0.01),
    "nadam constant": (o.nadam, {"momentum_decay": None, "mean": "constant", "extra_decay": True}, 0.01),
    "amsgrad": (o.amsgrad, {}, 0.1),
    "amsgrad corrected": (o.amsgrad, {"maximum": "corrected"}, 0.1),
}
BLOCKS = {name: getattr(o, name) for name in o.__all__ if name.startswith("scale_by_") and name != "scale_by_rate"}
WITHOUT_RATE = {label: (make, {}, None) for label, make in BLOCKS.items()}


def made(label, rate=None, wrap=None, **options):
    make, given, usual = {**TABLE, **WITHOUT_RATE}[label]
    make = make if wrap is None else wrap(make)
    rate = {} if usual is None else {"learning_rate": usual if rate is None else rate}
    return make(**{**rate, **given, **options})


def kinds(tree):
    return jax.tree.map(lambda x: (jnp.shape(x), x.dtype, bool(getattr(x, "weak_type", False))), tree)


def close(a, b, rtol=1e-6, atol=0.0):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(np.float64(x), np.float64(y), rtol=rtol, atol=atol), a, b)


def test_the_table_has_every_optimizer_of_these_rooms():
    rooms = {"accelerated", "adam_variants", "adaptive", "descent", "rms"}
    here = {e.function for e in jd.entries(kind="optimizer") if e.function.__module__.rpartition(".")[2] in rooms}
    assert here == {make for make, _, _ in TABLE.values()}


def test_every_constructor_is_cached_and_takes_a_state_dtype():
    for label in (*TABLE, *BLOCKS):
        assert made(label) is made(label)
        assert made(label, state_dtype="bfloat16") is not made(label)
    assert o.nesterov(0.1, momentum=None) is not o.nesterov(0.1)
    assert o.adam(jd.schedules.cosine_annealing(0.1, 9)) is o.adam(jd.schedules.cosine_annealing(0.1, 9))


def test_entries_hold_the_public_functions():
    for make, _, _ in TABLE.values():
        assert _registry.find(make.__name__, "optimizer").function is make
    for name, alias in (
        ("momentum", "Heavy-Ball"),
        ("nesterov", "NAG"),
        ("rmsprop", "RMS prop"),
        ("nadam", "nesterov adam"),
    ):
        assert jd.lookup(alias, kind="optimizer").name == name


# ----------------------------------------------------------------------------------------------------------- types

PARAMS = {
    "narrow": jnp.arange(1.0, 4.0, dtype=jnp.bfloat16),
    "half": jnp.ones(2, jnp.float16),
    "wide": jnp.array([[1.0, -2.0], [0.5, 3.0]]),
    "empty": jnp.ones((0, 3)),
    "none": None,
    "scalar": jnp.float32(2.0),
}


@pytest.mark.parametrize("label", [*TABLE, *BLOCKS])
class TestTypes:
    def test_updates_are_as_the_gradients_and_the_state_is_stable(self, label):
        """No retrace on the second call: the state comes back in the same types, shapes and weak types."""
        f = made(label)
        state = f.init(PARAMS)
        updates, after = jax.eval_shape(f.update, PARAMS, state, PARAMS)
        assert kinds(updates) == kinds(PARAMS)
        assert kinds(after) == kinds(state)
        assert (state.count.dtype, state.count.shape) == (jnp.int32, ())
        with jax.enable_x64(True):
            params = {"a": jnp.ones(2), "b": jnp.ones(2, jnp.float32), "c": jnp.ones(1, jnp.float16)}
            f = made(label)
            state = f.init(params)
            updates, after = jax.eval_shape(f.update, params, state, params)
            assert kinds(updates) == kinds(params)
            assert kinds(after) == kinds(state)

    def test_moments_are_wide_unless_said_otherwise(self, label):
        with jax.enable_x64(True):
            params = {"a": jnp.ones(2), "b": jnp.ones(3, jnp.float32), "c": jnp.ones(4, jnp.bfloat16)}
            state = made(label).init(params)
            moments = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim]
            assert {(len(leaf), leaf.dtype.name) for leaf in moments} <= {
                (2, "float64"), (3, "float32"), (4, "float32")
            }  # fmt: skip
            narrow = made(label, state_dtype=jnp.bfloat16)
            state = narrow.init(params)
            updates, after = jax.eval_shape(narrow.update, params, state)
            assert {leaf.dtype.name for leaf in jax.tree.leaves(state) if leaf.ndim} <= {"bfloat16"}
            assert kinds(after) == kinds(state)
            assert kinds(updates) == kinds(params)

    def test_missing_gradients_leave_the_memory(self, label):
        f = made(label)
        params = {"a": jnp.ones(2), "b": jnp.array([2.0, -1.0])}
        _, state = f.update(params, f.init(params))
        updates, after = f.update({"a": jnp.ones(2), "b": None}, state)
        assert updates["b"] is None
        for old, new in zip(state, after, strict=True):
            if isinstance(old, dict):
                np.testing.assert_array_equal(new["b"], old["b"])
        assert f.update({}, f.init({}))[0] == {}

    def test_gradients_of_0_stand_still(self, label):
        f = made(label)
        updates, _ = f.update(jnp.zeros(3), f.init(jnp.ones(3)))
        np.testing.assert_array_equal(updates, np.zeros(3))


def test_a_narrow_state_is_rounded_and_nothing_else():
    """Two steps of momentum by hand: the velocity is rounded to bfloat16 when it is stored, the update is not."""
    f = o.momentum(0.1, state_dtype="bfloat16")
    g = jnp.array([0.7, -1.3], jnp.float32)
    first, state = f.update(g, f.init(g))
    second, _ = f.update(g, state)
    np.testing.assert_allclose(first, -0.1 * g, rtol=1e-6)
    stored = np.asarray(np.asarray(-0.1 * g).astype(jnp.bfloat16), np.float32)
    assert np.any(stored != -0.1 * g)
    np.testing.assert_allclose(second, 0.9 * stored - 0.1 * np.asarray(g), rtol=1e-6)


def test_small_narrow_gradients_do_not_vanish():
    g = jnp.full(2, 1e-5, jnp.float16)  # its square is 0 in float16
    for f in (o.adam(1.0, eps=1e-12), o.amsgrad(1.0, eps=1e-12)):
        updates, _ = f.update(g, f.init(g))
        np.testing.assert_allclose(np.asarray(updates, np.float32), -1, rtol=1e-3)


# -------------------------------------------------------------------------------------------------------- in optax

LABELS = {label: label for label in TABLE}
GRADIENTS = {label: jnp.asarray([0.7 + i, -1.3, 0.2 * i - 1]) for i, label in enumerate(TABLE)}


def alone(steps=2, scale=1.0):
    """The last update of each, outside of everything."""
    last = {}
    for label, g in GRADIENTS.items():
        f = made(label)
        state = f.init(g)
        for _ in range(steps):
            last[label], state = f.update(scale * g, state, g)
    return last


def together(wrap=lambda f: f, **options):
    """All in one transformation, each with a leaf of its own."""
    return optax.partition({label: wrap(made(label, **options)) for label in TABLE}, LABELS)


def second(f, g=GRADIENTS):
    state = f.init(GRADIENTS)
    _, state = f.update(g, state, GRADIENTS)
    return f.update(g, state, GRADIENTS)


class TestInOptax:
    """Every optimizer inside optax's wrappers, against the same alone."""

    def test_partition_chain_and_masked(self):
        close(second(together())[0], alone())
        close(second(together(lambda f: optax.chain(optax.scale(0.5), f)))[0], alone(scale=0.5))
        masked = together(lambda f: optax.masked(f, lambda tree: jax.tree.map(lambda _: True, tree)))
        close(second(masked)[0], alone())
        for label in TABLE:
            f = optax.masked(made(label), {"a": True, "b": False})
            tree = {"a": GRADIENTS[label], "b": jnp.ones(2)}
            updates, _ = f.update(tree, f.init(tree), tree)
            np.testing.assert_array_equal(updates["b"], 1)

    def test_multi_steps_and_apply_if_finite_with_a_donated_state(self):
        """A spoiled gradient is skipped, two halves make a whole; the buffers of the state are given away."""
        f = optax.apply_if_finite(optax.MultiSteps(together(), 2).gradient_transformation(), 3)
        update = jax.jit(f.update, donate_argnums=1)
        state = jax.tree.map(jnp.copy, f.init(GRADIENTS))
        held = jax.tree.leaves(state)[-1]
        spoiled = {**GRADIENTS, "adam": jnp.array([1.0, jnp.nan, 0.0])}
        halves = (jax.tree.map(lambda g, h=h: h * g, GRADIENTS) for h in (0.5, 1.5))
        for g in (spoiled, *halves):
            updates, state = update(g, state, GRADIENTS)
            if g is spoiled or g["adam"][0] < GRADIENTS["adam"][0]:
                assert all(not leaf.any() for leaf in jax.tree.leaves(updates))
        close(updates, alone(1), rtol=1e-5)
        assert held.is_deleted()

    def test_inject_hyperparams(self):
        for label, g in GRADIENTS.items():
            f = made(label, wrap=optax.inject_hyperparams)
            state = f.init(g)
            _, state = f.update(g, state, g)
            updates, after = f.update(g, state, g)
            np.testing.assert_allclose(updates, alone_of(label), rtol=1e-3, err_msg=label)
            assert "learning_rate" in state.hyperparams
            assert kinds(after) == kinds(state), label

    def test_schedules_inside_and_outside(self):
        rate = optax.linear_schedule(0.1, 0.01, 4)
        for label in TABLE:
            f = made(label, rate)
            g = GRADIENTS[label]
            state = f.init(g)
            assert float(state.learning_rate) == pytest.approx(0.1)
            for expected in (0.1, 0.0775, 0.055):
                _, state = f.update(g, state)
                found = optax.tree_utils.tree_get(state, "learning_rate")
                assert float(found) == pytest.approx(expected)
                assert found.dtype == jnp.float32
            assert int(optax.tree_utils.tree_get(state, "count")) == 3

    def test_extra_arguments_pass_by(self):
        for label in (*TABLE, *BLOCKS):
            f = made(label)
            assert f.update(jnp.ones(2), f.init(jnp.ones(2)), None, value=1.0)[0].shape == (2,)


def alone_of(label):
    f, g = made(label), GRADIENTS[label]
    state = f.init(g)
    _, state = f.update(g, state)
    return f.update(g, state)[0]


# --------------------------------------------------------------------------------------------------------- descent


def test_all_arrive_without_a_retrace():
    """optax's two targets for its own optimizers: a parabola, and Rosenbrock's valley from 0, in 10,000 steps."""
    traces = []
    goal = {"parabola": jnp.array([1.0, -1.0, 1.0]), "valley": jnp.array([1.0, 1.0])}
    start = {label: {"parabola": jnp.array([-1.0, 10.0, 1.0]), "valley": jnp.zeros(2)} for label in TABLE}

    def height(params):
        x, y = params["valley"]
        return jnp.sum((params["parabola"] - goal["parabola"]) ** 2) + (1 - x) ** 2 + 100 * (y - x**2) ** 2

    fs = {label: made(label) for label in TABLE}

    def step(params, states):
        new, after = {}, {}
        for label, f in fs.items():
            g = jax.grad(height)(o.lookahead_params(params[label], states[label], strict=False))
            updates, after[label] = f.update(g, states[label], params[label])
            new[label] = optax.apply_updates(params[label], updates)
        return new, after

    @jax.jit
    def run(params, states):
        traces.append(1)
        return jax.lax.fori_loop(0, 5000, lambda _, carry: step(*carry), (params, states))

    carry = run(start, {label: f.init(start[label]) for label, f in fs.items()})
    ends, _ = run(*carry)
    assert len(traces) == 1
    for label, end in ends.items():
        for name, target in goal.items():
            np.testing.assert_allclose(end[name], target, atol=3e-2, err_msg=f"{label}, {name}")


# ------------------------------------------------------------------------------------------- hyperparameters as data


def numbers(label):
    """Every number that the constructor takes, at its default or the table's value, all away from the ends."""
    make, options, rate = {**TABLE, **WITHOUT_RATE}[label]
    defaults = {n: p.default for n, p in inspect.signature(make).parameters.items()} | options
    found = {n: v for n, v in defaults.items() if type(v) is float}
    if rate is not None:
        found["learning_rate"] = 0.03
    return {n: max(v, 1e-3) for n, v in found.items()}


def test_numbers_are_traced_mapped_and_compiled_once():
    """Every number of every optimizer as a traced scalar, three lanes of them, against a loop over floats."""
    traces = []
    g = jnp.array([0.4, -2.0, 1.1])
    given = {label: numbers(label) for label in (*TABLE, *BLOCKS)}
    assert set(given["rmsprop momentum"]) == {"learning_rate", "decay", "eps", "eps_root", "momentum"}

    def steps(label, options):
        f = made(label, **options)
        state = f.init(g)
        for size in (1.0, -0.3, 2.0):
            updates, state = f.update(size * g, state)
        return updates

    @jax.jit
    @jax.vmap
    def lanes(values):
        traces.append(1)
        return {label: steps(label, options) for label, options in values.items()}

    for factors in ((1.0, 0.9, 0.5), (0.3, 0.7, 0.8)):
        values = jax.tree.map(lambda v, factors=factors: jnp.float32(v) * jnp.asarray(factors), given)
        got = lanes(values)
        for lane, factor in enumerate(factors[1:], 1):
            for label in given:
                alone = steps(label, {n: float(np.float32(v) * np.float32(factor)) for n, v in given[label].items()})
                np.testing.assert_allclose(got[label][lane], alone, rtol=2e-4, err_msg=f"{label} {factor}")
    assert len(traces) == 1


def test_a_derivative_for_every_hyperparameter():
    @jax.jit
    def end(rate, b1, b2, eps, root):
        return trajectory(o.adam(rate, b1=b1, b2=b2, eps=eps, eps_root=root), steps=4)[0][-1].sum()

    with jax.enable_x64(True):
        at = (0.05, 0.9, 0.99, 1e-3, 1e-4)
        derivatives = jax.jit(jax.grad(end, range(5)))
        slopes = derivatives(*at)
        for i, slope in enumerate(slopes):
            high, low = (end(*at[:i], at[i] + h, *at[i + 1 :]) for h in (1e-6, -1e-6))
            np.testing.assert_allclose(slope, (high - low) / 2e-6, rtol=1e-5)
        assert np.all(np.isfinite(derivatives(0.05, 0.0, 0.0, 1e-3, 1e-4)))


# ------------------------------------------------------------------------------------------------- what they share


class Memory(NamedTuple):
    """Of a rule for the test: the sum of gradients, and the power of 0.5."""

    count: Any
    learning_rate: Any
    half: Any
    unused: Any
    total: Any


def summed(**options):
    """θ ← θ - η(total + 0.1 θ + half), total beginning at 2 and half at 1."""

    def step(t, eta, dtype, half):
        def rule(g, p, total):
            total = total + g
            return -eta * (total + 0.1 * p + half), total

        return rule

    return elementwise(
        step, Memory, 0.5, scalars={"half": (1.0, lambda t, last: last / 2)}, start={"total": 2.0}, without=("unused",),
        with_params=True, **options,
    )  # fmt: skip


class TestElementwise:
    def test_parameters_scalars_and_starts_reach_the_rule(self):
        f = summed()
        params = {"a": jnp.array([1.0, -4.0]), "b": {"c": jnp.float32(3.0), "d": None}}
        g = {"a": jnp.array([0.5, 1.5]), "b": {"c": None, "d": None}}
        state = f.init(params)
        assert (float(state.half), state.unused) == (1.0, None)
        first, state = f.update(g, state, params)
        np.testing.assert_allclose(first["a"], -0.5 * (np.array([2.5, 3.5]) + [0.1, -0.4] + 0.5), rtol=1e-6)
        second, state = f.update(g, state, params)
        np.testing.assert_allclose(second["a"], -0.5 * (np.array([3.0, 5.0]) + [0.1, -0.4] + 0.25), rtol=1e-6)
        assert second["b"]["c"] is None
        assert float(state.total["b"]["c"]) == 2.0
        assert (float(state.half), int(state.count), float(state.learning_rate)) == (0.25, 2, 0.5)

    def test_types(self):
        with jax.enable_x64(True):
            f = summed(state_dtype="float16")
            params = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(3)}
            state = f.init(params)
            updates, after = jax.eval_shape(f.update, params, state, params)
            assert kinds(after) == kinds(state)
            assert kinds(updates) == kinds(params)
            assert state.half.dtype == jnp.float64
            assert state.total["a"].dtype == jnp.float16

    def test_missing_parameters(self):
        f = summed()
        with pytest.raises(
            ValueError, match=r"this optimizer needs the parameters: call update\(updates, state, params"
        ):
            f.update(jnp.ones(2), f.init(jnp.ones(2)))


# ---------------------------------------------------------------------------------------------------------- errors

BELOW_1 = {"momentum", "decay", "rho", "b1", "b2"}


@pytest.mark.parametrize("label", [*TABLE, *BLOCKS])
def test_every_number_is_checked(label):
    """The message shows the value and the range; NaN, text and arrays are refused too."""
    make, options, rate = {**TABLE, **WITHOUT_RATE}[label]
    required = {} if rate is None else {"learning_rate": 0.1}
    for name in numbers(label):
        allowed = ">= 0 and < 1" if name in BELOW_1 else ">= 0"
        for bad in (-0.1, float("nan"), *((1.0, 1) if name in BELOW_1 else ())):
            with pytest.raises(ValueError, match=rf"{name} must be {allowed}; got {bad}"):
                make(**{**required, **options, name: bad})
        with pytest.raises(TypeError, match=rf"{name} must be a number; got 'much'"):
            make(**{**required, **options, name: "much"})
        with pytest.raises(ValueError, match=rf"{name} must be a scalar; got shape \(3,\).*vmap"):
            make(**{**required, **options, name: np.full(3, 0.5)})
        if name not in ("learning_rate", "momentum"):
            with pytest.raises(TypeError, match=rf"{name} must be a number, not a function"):
                make(**{**required, **options, name: lambda t: 0.5})
    with pytest.raises(TypeError, match=r"parameters must be floating; got int32; leave others out with optax"):
        make(**required, **options).init({"a": jnp.ones(2, jnp.int32)})
    for bad in ("int8", "wide"):
        with pytest.raises(ValueError, match=rf"state_dtype must be a floating type, such as .*; got '{bad}'"):
            make(**required, **options, state_dtype=bad)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: o.adam(bias_correction="no"), r"bias_correction must be one of True, False; got 'no'"),
        (lambda: o.amsgrad(maximum="corected"), r"maximum must be one of 'raw', 'corrected'.*did you mean 'corrected'"),
        (lambda: o.amsgrad(bias_correction=None), r"bias_correction must be one of True, False; got None"),
        (lambda: o.nadam(mean="b1"), r"mean must be one of 'scheduled', 'constant'; got 'b1'"),
        (lambda: o.nadam(extra_decay=3), r"extra_decay must be one of True, False; got 3"),
        (lambda: o.rmsprop(centered="yes"), r"centered must be one of True, False; got 'yes'"),
        (lambda: o.rmsprop(nesterov="yes"), r"nesterov must be one of True, False; got 'yes'"),
        (lambda: o.rmsprop(nesterov=True), r"nesterov needs a momentum; got momentum=None, nesterov=True"),
    ],
)
def test_messages(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_traced_rates_must_be_scalars_too():
    with pytest.raises(ValueError, match=r"learning_rate must be a scalar; got shape \(2,\)"):
        jax.jit(lambda rate: o.adam(rate).init(jnp.ones(2)))(jnp.ones(2))


# ------------------------------------------------------------------------------------------------------- resuming

ADOPTED = {name: (getattr(o, name), {}, 0.01) for name in ("sgd", "adamw", "radam", "lion", "lamb", "muon", "rprop")}


@pytest.mark.slow
@pytest.mark.parametrize("label", [*TABLE, *ADOPTED])
def test_resumed_from_a_checkpoint_it_has_the_same_bits(label, tmp_path):
    make, options, _ = {**TABLE, **ADOPTED}[label]
    run = functools.partial(jd.fit, MODEL, LOSS, make(learning_rate=0.01, **options), (X, Y), key=1, batch_size=16)
    path = run(epochs=2).save(tmp_path / "half.safetensors")
    whole, resumed = run(epochs=4), run(epochs=4, resume=path)
    assert whole.result == "done"
    same_bits((whole.params, whole.optimizer_state), (resumed.params, resumed.optimizer_state))
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (whole.params, run(epochs=2).params)), strict=True))
