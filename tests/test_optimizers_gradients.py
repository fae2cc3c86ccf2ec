"""Clipping and weight decay against optax, recorded frameworks and NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from jaxdict import _registry, optimizers, penalties, schedules
from trajectories import START, points
from trajectories import gradient as slope

TREE = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[0.0], [-4.0]])}  # norms 3 and 4, together 5
LINKS = {  # what frameworks gave for TREE at 1: optax 0.2.8's clip and clip_by_global_norm, Keras 3.15's clipnorm
    "clip_by_value": {"a": [1.0, 0.0], "b": [[0.0], [-1.0]]},
    "clip_by_global_norm": {"a": [0.6, 0.0], "b": [[0.0], [-0.8]]},
    "clip_by_norm": {"a": [1.0, 0.0], "b": [[0.0], [-1.0]]},
}


def through(link, gradient, params=None):
    """What one update of ``link`` makes of ``gradient``."""
    return link.update(gradient, link.init(gradient), params)[0]


def equal(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance or {"rtol": 1e-6}), a, b)


def cosine(a, b):
    a, b = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (a, b))
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


class TestClipping:
    @pytest.mark.parametrize("name", list(LINKS))
    def test_recorded_values(self, name):
        equal(through(getattr(optimizers, name)(1.0), TREE), LINKS[name])

    @pytest.mark.parametrize("c", [0.3, 2.0, 4.5, 7.0])
    def test_as_optax_where_optax_has_it(self, c):
        gradient = {"a": jnp.array([0.7, -1.9, 3.1]), "b": {"c": jnp.float32(-2.2), "d": jnp.zeros((0, 2))}, "e": None}
        equal(through(optimizers.clip_by_global_norm(c), gradient), through(optax.clip_by_global_norm(c), gradient))
        equal(through(optimizers.clip_by_value(c), gradient), through(optax.clip(c), gradient))
        alone = {"a": jnp.array([0.7, -1.9, 3.1])}
        equal(through(optimizers.clip_by_norm(c), alone), through(optax.clip_by_global_norm(c), alone))

    def test_only_the_global_norm_keeps_the_direction(self):
        """S2 11.1.4 says that clipping by norm does: of a tensor, but not of the gradient."""
        gradient = {"a": jnp.array([0.3, 0.1]), "b": jnp.array([-5.0, 2.0])}
        assert cosine(through(optimizers.clip_by_global_norm(0.5), gradient), gradient) == pytest.approx(1, abs=1e-7)
        turned = through(optimizers.clip_by_norm(0.5), gradient)
        assert cosine(turned, gradient) < 0.9
        assert cosine(through(optimizers.clip_by_value(0.5), gradient), gradient) < 0.9
        for name in gradient:
            assert cosine(turned[name], gradient[name]) == pytest.approx(1, abs=1e-7)
            assert np.linalg.norm(turned[name]) <= 0.5 * (1 + 1e-6)

    @pytest.mark.parametrize("name", ["clip_by_global_norm", "clip_by_norm"])
    def test_a_norm_within_comes_back_as_it_is(self, name):
        link = getattr(optimizers, name)
        for gradient in (TREE["a"], jnp.array([3.0, -4.0]), jnp.zeros(3), jnp.zeros(0), jnp.array([1e-38, 0])):
            np.testing.assert_array_equal(through(link(5.0), gradient), gradient)  # 5 itself is within
        assert through(link(5.0), {}) == {}
        np.testing.assert_array_equal(through(link(np.inf), TREE["a"] * 1e30), TREE["a"] * 1e30)

    @pytest.mark.parametrize("name", ["clip_by_global_norm", "clip_by_norm"])
    @pytest.mark.parametrize("size", [3e38, 1e30, 5e9, 1e4, 1e-4, 1e-15, 1e-30])
    def test_the_whole_range_of_floats(self, name, size):
        """Squares beyond the range of float32 do no harm; optax's norm is infinite there, and its update 0."""
        gradient = jnp.asarray([size, -size / 2, 0, size / 4], jnp.float32)
        direction = np.array([1, -0.5, 0, 0.25]) / np.linalg.norm([1, -0.5, 0, 0.25])
        for c in (1.0, 1e-6, size * 1e-3):
            clipped = jax.jit(lambda g, c: through(getattr(optimizers, name)(c), g))(gradient, c)
            wanted = direction * min(c, np.linalg.norm(np.float64(gradient)))
            np.testing.assert_allclose(clipped, wanted, rtol=2e-6)
        if size > 1e20:
            assert np.all(through(optax.clip_by_global_norm(1.0), gradient) == 0)

    def test_many_components(self):
        gradient = jnp.full(100_000, 4e9)  # the sum of squares is near the largest float
        np.testing.assert_allclose(through(optimizers.clip_by_global_norm(1.0), gradient), 1 / np.sqrt(1e5), rtol=1e-5)

    @pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
    def test_narrow_gradients_are_rounded_once(self, dtype):
        gradient = {"a": jnp.asarray(np.linspace(100, 3000, 37), dtype), "b": jnp.asarray([-500.0], dtype)}
        wide = jax.tree.map(lambda g: np.asarray(g, np.float64), gradient)
        norm = np.sqrt(sum(np.sum(g**2) for g in wide.values()))
        clip = optimizers.clip_by_global_norm
        for got in (through(clip(2.5), gradient), jax.jit(lambda c: through(clip(c), gradient))(2.5)):
            for name, g in wide.items():
                assert got[name].dtype == dtype
                np.testing.assert_array_equal(got[name], jnp.asarray(g * (2.5 / norm), dtype))
        traced = jax.jit(lambda c: through(optimizers.clip_by_value(c), gradient))(777.0)
        np.testing.assert_array_equal(traced["a"], jnp.asarray(np.minimum(wide["a"], 777), dtype))

    def test_what_is_not_finite(self):
        spoiled = {"a": jnp.array([1.0, jnp.inf]), "b": jnp.array([2.0])}
        whole = through(optimizers.clip_by_global_norm(1.0), spoiled)
        equal(whole, {"a": [0, np.nan], "b": [0]})
        equal(through(optimizers.clip_by_norm(1.0), spoiled), {"a": [0, np.nan], "b": [1]})
        equal(through(optimizers.clip_by_value(1.0), spoiled), {"a": [1, 1], "b": [1]})
        spoiled["a"] = jnp.array([1.0, jnp.nan])
        equal(through(optimizers.clip_by_global_norm(1.0), spoiled), {"a": [np.nan] * 2, "b": [np.nan]})
        equal(through(optimizers.clip_by_value(0.5), spoiled), {"a": [0.5, np.nan], "b": [0.5]})

    @pytest.mark.slow
    def test_derivatives(self):
        """Through a clipped update, by the gradient and the limit; 0 is no trap, as it is in optax."""
        clip = optimizers.clip_by_global_norm
        with jax.enable_x64(True):
            clipped = jax.jit(lambda g, c: through(clip(c), g))
            for c in (0.7, 70.0):
                check_grads(clipped, (jnp.array([3.0, -4.0, 1.0]), jnp.float64(c)), order=2, modes=["rev"])
            for link in (clip, optimizers.clip_by_norm):
                jacobian = jax.jacrev(lambda g, link=link: through(link(0.7), g))(jnp.zeros(3))
                np.testing.assert_array_equal(jacobian, np.eye(3))
            assert np.isnan(jax.jacrev(lambda g: through(optax.clip_by_global_norm(0.7), g))(jnp.zeros(3))).all()

    def test_float64(self):
        with jax.enable_x64(True):
            gradient = {"a": jnp.array([1e200, -3e200]), "b": jnp.ones(2, jnp.float32)}
            clipped = through(optimizers.clip_by_global_norm(2.0), gradient)
            assert (clipped["a"].dtype, clipped["b"].dtype) == (jnp.float64, jnp.float32)
            np.testing.assert_allclose(clipped["a"], np.array([2, -6]) / np.sqrt(10), rtol=1e-14)

    def test_limits_are_lanes(self):
        limits = jnp.array([0.5, 2.0, 9.0])
        for name in LINKS:
            link = getattr(optimizers, name)
            lanes = jax.vmap(lambda c, link=link: through(link(c), TREE))(limits)
            for lane, c in enumerate([0.5, 2.0, 9.0]):
                equal(jax.tree.map(lambda x, lane=lane: x[lane], lanes), through(link(c), TREE))

    def test_in_a_chain(self):
        f = optax.chain(optimizers.clip_by_global_norm(1.0), optimizers.momentum(0.1))
        state = f.init(TREE)
        updates, _ = f.update(TREE, state, TREE, value=1.0)
        equal(updates, {"a": [-0.06, 0], "b": [[0], [0.08]]})
        assert float(optax.tree_utils.tree_get(state, "learning_rate")) == pytest.approx(0.1)


class TestWeightDecay:
    def descend(self, f, steps=12):
        return points(f, steps=steps)

    def test_extra_arguments_pass_by(self):
        f = optax.chain(optimizers.weight_decay(0.1), optimizers.gradient_descent(1.0))
        updates, _ = f.update(jnp.zeros(2), f.init(jnp.ones(2)), jnp.ones(2), value=1.0)
        np.testing.assert_allclose(updates, -0.1, rtol=1e-6)

    def test_in_the_gradient_it_is_the_penalty(self):
        """λ/2·‖θ‖² in the loss, which is the penalty l2 at half the strength."""
        theta = jnp.array([0.4, -1.3])
        decay = through(optimizers.weight_decay(0.3), jnp.zeros(2), theta)
        np.testing.assert_allclose(decay, jax.grad(penalties.l2)(theta, 0.15), rtol=1e-6)

    def test_the_penalty_is_decoupled_decay_only_for_plain_descent(self):
        """S3 says weight decay for λ‖θ‖²: the same by 2λ, but with neither momentum nor adaptive rates."""
        decay = optimizers.weight_decay(0.2)
        plain, rate = optimizers.gradient_descent(1e-3), optimizers.scale_by_rate(1e-3)

        def penalized(f):
            def update(g, state, params):
                return f.update(g + jax.grad(penalties.l2)(params, 0.1), state, params)

            return optax.GradientTransformation(f.init, update)

        with jax.enable_x64(True):
            coupled = self.descend(penalized(plain))
            np.testing.assert_allclose(coupled, self.descend(optax.chain(decay, plain)), atol=1e-14)
            theta = START  # decoupled, by hand: θ shrinks by η·λ·θ
            for row in coupled:
                theta = theta - 1e-3 * slope(theta, np) - 1e-3 * 0.2 * theta
                np.testing.assert_allclose(row, theta, atol=1e-14)
            for optimizer, direction in (
                (optimizers.momentum(1e-3), optax.trace(0.9)),
                (optimizers.adam(1e-3), optimizers.scale_by_adam()),
            ):
                coupled, decoupled = optax.chain(decay, optimizer), optax.chain(direction, decay, rate)
                assert np.abs(self.descend(coupled) - self.descend(decoupled)).max() > 1e-4
                without = optax.chain(direction, rate)
                assert np.abs(self.descend(without) - self.descend(decoupled)).max() > 1e-4  # and it does decay

    def test_decoupled_is_adamw(self):
        rate = schedules.exponential(0.05, 1, 0.9)
        parts = optax.chain(optimizers.scale_by_adam(), optimizers.weight_decay(0.1), optimizers.scale_by_rate(rate))
        with jax.enable_x64(True):
            np.testing.assert_allclose(points(parts), points(optax.adamw(rate, weight_decay=0.1)), atol=1e-12)
            coupled = optax.chain(optimizers.weight_decay(0.1), optimizers.adam(0.05))
            theirs = optax.chain(optax.add_decayed_weights(0.1), optax.adam(0.05))
            np.testing.assert_allclose(points(coupled), points(theirs), atol=1e-12)

    def test_decay_alone_halves_with_the_rate(self):
        """The decay follows the rate: recorded of torch's and Keras's AdamW, rates 0.05, 0.025, 0.0125, decay 0.1."""
        f = optax.chain(
            optimizers.scale_by_adam(), optimizers.weight_decay(0.1),
            optimizers.scale_by_rate(schedules.exponential(0.05, 1, 0.5)),
        )  # fmt: skip
        theta = jnp.float32(1.0)
        state, path = f.init(theta), []
        for _ in range(3):
            update, state = f.update(jnp.float32(0), state, theta)
            theta = theta + update
            path.append(theta)
        np.testing.assert_allclose(path, [0.995, 0.9925125, 0.99127186], rtol=1e-6)

    def test_masks(self):
        params = {"kernel": jnp.ones(2), "bias": jnp.ones(2)}
        zeros = jax.tree.map(jnp.zeros_like, params)
        for mask in ({"kernel": True, "bias": False}, lambda tree: {name: name == "kernel" for name in tree}):
            got = through(optimizers.weight_decay(0.5, mask=mask), zeros, params)
            equal(got, {"kernel": [0.5, 0.5], "bias": [0, 0]})

    def test_strengths_may_be_scheduled_traced_and_lanes(self):
        f = optimizers.weight_decay(lambda t: 0.1 * (t + 1))
        state = f.init(jnp.ones(2))
        for t in range(3):
            update, state = f.update(jnp.zeros(2), state, jnp.ones(2))
            np.testing.assert_allclose(update, 0.1 * (t + 1), rtol=1e-6)
        lanes = jax.vmap(lambda s: through(optimizers.weight_decay(s), jnp.zeros(2), jnp.ones(2)))(
            jnp.array([0.0, 0.3])
        )
        np.testing.assert_allclose(lanes, [[0, 0], [0.3, 0.3]], rtol=1e-6)
        slope = jax.grad(lambda s: through(optimizers.weight_decay(s), 0.0, 3.0))(0.0)
        assert slope == 3

    def test_narrow_types_are_rounded_once(self):
        params, g = jnp.asarray([256.0, -3.0], jnp.bfloat16), jnp.asarray([1.0, 2.0], jnp.bfloat16)
        for strength in (0.01, jnp.float32(0.01)):
            got = jax.jit(lambda s: through(optimizers.weight_decay(s), g, params))(strength)
            assert got.dtype == jnp.bfloat16
            want = np.float32([1 + 0.01 * 256, 2 - 0.03])
            np.testing.assert_array_equal(got, jnp.asarray(want, jnp.bfloat16))
        mixed = through(optimizers.weight_decay(0.5), g, jnp.asarray([4.0, 8.0], jnp.float32))
        assert mixed.dtype == jnp.bfloat16
        np.testing.assert_array_equal(mixed, [3, 6])

    def test_missing_gradients_stay_missing(self):
        got = through(optimizers.weight_decay(0.5), {"a": jnp.ones(1), "b": None}, {"a": jnp.ones(1), "b": jnp.ones(1)})
        assert got["b"] is None
        np.testing.assert_array_equal(got["a"], [1.5])


def test_links_are_entries_and_equal_ones_are_one():
    for name in (*LINKS, "weight_decay"):
        made = getattr(optimizers, name)
        assert _registry.find(name, "optimizer").function is made
        assert made(0.5) is made(0.5)
        assert made(0.5) is not made(0.25)
    assert _registry.find("clipnorm").name == "clip_by_norm"
    assert _registry.find("global_clipnorm").name == "clip_by_global_norm"
    assert _registry.find("clipvalue").name == "clip_by_value"


class TestErrors:
    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: optimizers.clip_by_norm(0), ValueError, r"max_norm must be > 0; got 0"),
            (lambda: optimizers.clip_by_global_norm(-1.0), ValueError, r"max_norm must be > 0; got -1\.0"),
            (lambda: optimizers.clip_by_global_norm(np.ones(2)), ValueError, r"max_norm must be a scalar; got shape"),
            (lambda: optimizers.clip_by_value(float("nan")), ValueError, r"max_value must be > 0; got nan"),
            (lambda: optimizers.clip_by_value("1"), TypeError, r"max_value must be a number; got '1'"),
            (lambda: optimizers.clip_by_norm(lambda t: 1.0), TypeError, r"max_norm must be a number, not a function"),
            (lambda: optimizers.weight_decay(-0.1), ValueError, r"strength must be >= 0; got -0\.1"),
            (lambda: optimizers.weight_decay(None), TypeError, r"strength must be a number; got None"),
            (
                lambda: through(optimizers.weight_decay(0.1), jnp.ones(2)),
                ValueError,
                r"weight_decay needs the parameters: call update\(updates, state, params\)",
            ),
            (
                lambda: optimizers.clip_by_value(1.0).init(jnp.ones(2, int)),
                TypeError,
                r"parameters must be floating; got int32",
            ),
        ],
    )
    def test_messages(self, make, error, message):
        with pytest.raises(error, match=message):
            make()
