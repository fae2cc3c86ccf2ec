"""What all losses have in common, against float64 NumPy: values, derivatives, types, masks, errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdict as jd
from jaxdict import losses
from loss_oracles import HINGES, LABELLED, LABELS, MEANS, PROBABILITIES, TERMS, WHOLE, P, Q, data, oracle, slope

nan = np.nan
PAIRED = pytest.mark.parametrize("name", list(TERMS))
EACH = pytest.mark.parametrize("name", [*TERMS, *LABELLED])


def total(name, **options):
    return lambda p, y: getattr(losses, name)(p, y, **options).sum()


def axes(name):
    return (-1, 0, 1) if name in WHOLE else (-1, 0, 1, None)


@functools.cache
def program(name):
    """Everything that is asked of a loss of two arrays in float32, as one program."""
    function = getattr(losses, name)

    def run(p, y):
        return {
            "axes": [function(p, y, axis=axis) for axis in axes(name)],
            "slopes": jax.grad(total(name), (0, 1))(p, y),
            "forward": jax.jvp(total(name), (p, y), (jnp.ones_like(p), 2 * jnp.ones_like(y)))[1],
            "lanes": jax.vmap(function)(p, y),
            "checkpoint": jax.grad(jax.checkpoint(total(name)), (0, 1))(p, y),
        }

    return jax.jit(run)


def test_every_loss_has_an_oracle():
    assert {e.name for e in jd.entries(kind="loss")} == {*TERMS, *LABELLED}
    assert set(losses.__all__) == {*TERMS, *LABELLED, "mean", "total", "weights_of"}


@PAIRED
def test_values_derivatives_and_transformations(name):
    p, y = data(name)
    got = program(name)(p, y)
    for value, axis in zip(got["axes"], axes(name), strict=True):
        want = oracle(name, p, y, axis)
        assert value.shape == want.shape
        assert value.dtype == jnp.float32
        np.testing.assert_allclose(value, want, rtol=4e-6, atol=2e-7)
    for argument, slopes in enumerate(got["slopes"]):
        np.testing.assert_allclose(slopes, slope(name, p, y, argument), rtol=1e-5, atol=3e-6)
        np.testing.assert_allclose(got["checkpoint"][argument], slopes, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["lanes"], oracle(name, p, y), rtol=4e-6, atol=2e-7)
    reverse = got["slopes"][0].sum() + 2 * got["slopes"][1].sum()
    np.testing.assert_allclose(got["forward"], reverse, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(getattr(losses, name)(p, y), oracle(name, p, y), rtol=4e-6)  # not compiled


_P = [[0.5, 1.2, -0.3], [2.0, -1.0, 0.25]]
_Y = [[0.2, 0.7, 0.1], [0.5, 0.25, 0.25]]
_Q = [[0.3, 0.6, 0.1], [0.2, 0.5, 0.3]]
_V = [[0.5, 2.0, 1.25], [3.0, 0.75, 0.1]]
_N = [[0.0, 3.0, 1.0], [2.0, 0.0, 5.0]]
_S = [[1, -1, 1], [-1, 1, 1]]
_LABELS = [1, 0]
_HOT = [[0, 1, 0], [1, 0, 0]]
RECORDED = [  # what other frameworks gave, summed over the last axis, in float64 (Keras: float32)
    ("torch 2.13 huber_loss", "huber", _P, _Y, {"delta": 0.7}, [0.25, 1.435]),
    ("torch 2.13 cross_entropy", "sparse_softmax_cross_entropy", _P, _LABELS, {"label_smoothing": 0.1},
     [0.6154921825320299, 0.3600988026177663]),
    ("torch 2.13 cross_entropy", "softmax_cross_entropy", _P, _Y, {"label_smoothing": 0.1},
     [0.8764921825320299, 1.4288488026177664]),
    ("torch 2.13 binary_cross_entropy_with_logits", "sigmoid_cross_entropy", _P, _Y, {},
     [2.081714695986665, 2.453629118440039]),
    ("torch 2.13 binary_cross_entropy", "binary_cross_entropy", _Q, _Y, {}, [1.4836826456060612, 2.1779373214696336]),
    ("torch 2.13 nll_loss of the logarithm", "sparse_cross_entropy", _Q, _LABELS, {},
     [0.5108256237659907, 1.6094379124341003]),
    ("torch 2.13 kl_div of the logarithm", "kl_divergence", _Q, _Y, {}, [0.026812454257447937, 0.2392781815986026]),
    ("torch 2.13 gaussian_nll_loss", "gaussian_nll", _P, _Y, {"variance": np.float32(_V), "full": True},
     [3.084887375271123, 3.4276548278918266]),
    ("torch 2.13 poisson_nll_loss", "poisson_nll", _P, _N, {}, [2.409656414118394, 3.790960956789834]),
    ("torch 2.13 poisson_nll_loss, eps=0", "poisson_nll", _V, _N, {"log_input": False},
     [1.4474149070059545, 13.165700887634006]),
    ("torch 2.13 multi_margin_loss times 3", "multiclass_hinge", _P, _LABELS, {}, [0.3, 0.0]),
    ("torch 2.13 cosine_similarity", "cosine_similarity", _P, _Y, {}, [0.9281849263991919, 0.5896919751144689]),
    ("Keras 3.15 categorical_crossentropy", "softmax_cross_entropy", _P, _HOT, {"label_smoothing": 0.1},
     [0.6154921650886536, 0.36009883880615234]),
    ("Keras 3.15 binary_crossentropy times 3", "sigmoid_cross_entropy", _P, _Y, {"label_smoothing": 0.1},
     [3 * 0.7009048461914062, 3 * 0.8241264224052429]),
    ("Keras 3.15 hinge times 3", "hinge", _P, _S, {}, [4.0, 5.75]),
    ("Keras 3.15 squared_hinge times 3", "squared_hinge", _P, _S, {}, [6.779999732971191, 13.5625]),
    ("Keras 3.15 log_cosh times 3", "log_cosh", _P, _Y, {}, [0.242408886551857, 1.491182804107666]),
    ("optax 0.2.8 sigmoid_focal_loss", "focal", _P, [[1, 0, 1], [0, 1, 1]], {"alpha": 0.25},
     [0.7355685757187025, 1.4406260832351168]),
    ("optax 0.2.8 multiclass_hinge_loss", "categorical_hinge", _P, [2, 2], {}, [2.5, 2.75]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "name", "first", "second", "options", "want"), RECORDED, ids=[f"{r[1]}-{r[0]}" for r in RECORDED]
)
def test_recorded_values(source, name, first, second, options, want):
    second = np.array(second) if name in LABELLED else np.float32(second)
    got = getattr(losses, name)(np.float32(first), second, **options)
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-7, err_msg=source)


@PAIRED
@pytest.mark.slow
def test_second_derivatives(name):
    columns = (0,) if name in HINGES else (0, 1)  # there a target between two classes is none
    with jax.enable_x64(True):
        p, y = (np.float64(v[0]) for v in data(name))
        both = jax.jit(lambda p, y: (jax.grad(total(name), (0, 1))(p, y), jax.hessian(total(name), (0, 1))(p, y)))
        hessian = both(p, y)[1]
        for column in columns:
            for k in range(3):
                ends = []
                for step in (1e-6, -1e-6):
                    moved = [p.copy(), y.copy()]
                    moved[column][k] += step
                    ends.append(both(*moved)[0])
                for row in columns:
                    numeric = (ends[0][row] - ends[1][row]) / 2e-6
                    np.testing.assert_allclose(hessian[row][column][:, k], numeric, rtol=1e-7, atol=1e-8)


@EACH
@pytest.mark.slow
def test_types(name):
    """Inputs are rounded to their type, the arithmetic is float32's; float64 stays."""
    p, y = data(name)
    p = p if name in PROBABILITIES else np.float32(p)
    function = getattr(losses, name)
    second = y if name in LABELLED else y.astype(np.float32)

    @jax.jit
    def narrow(p, y):
        made = {}
        for dtype in ("bfloat16", "float16"):
            one, other = p.astype(dtype), y if name in LABELLED else y.astype(dtype)
            made[dtype] = one, other, function(one, other), jax.grad(total(name))(one, other)
        return made

    for dtype, (one, other, value, slopes) in narrow(p, second).items():
        assert value.dtype == jnp.float32
        assert slopes.dtype == dtype
        assert np.isfinite(np.float64(slopes)).all()
        np.testing.assert_allclose(value, expected(name, one, other), rtol=4e-6)
    with jax.enable_x64(True):
        wide = jax.jit(function)(np.float64(p), np.float64(second) if name in TERMS else second)
        assert wide.dtype == jnp.float64
        np.testing.assert_allclose(wide, expected(name, p, second), rtol=1e-12)
        wide_targets = second.astype(np.int64 if name in LABELLED else np.float64)
        assert jax.eval_shape(function, p, wide_targets).dtype == "float32"
    with jax.numpy_dtype_promotion("strict"):
        jax.eval_shape(jax.hessian(total(name)), jnp.asarray(p), jnp.asarray(second))


def expected(name, p, y):
    if name in TERMS:
        return oracle(name, p, y)
    return LABELLED[name](np.float64(p), np.eye(3)[y])


@PAIRED
def test_integer_targets(name):
    p, _ = data(name)
    y = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]])
    y = 2 * y - 1 if name in HINGES else y
    got = getattr(losses, name)(p, y)
    assert got.dtype == jnp.float32
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = {"kl_divergence": "cross_entropy"}.get(name, name)
        np.testing.assert_allclose(got, oracle(terms, p, y), rtol=4e-6)


@PAIRED
def test_nan_stays_nan(name):
    p, y = data(name)
    for where in (0, 1):
        spoilt = [p.copy(), y.copy()]
        spoilt[where][0, 1] = nan
        got = program(name)(*spoilt)
        assert np.isnan(got["axes"][0][0])
        assert np.isfinite(got["axes"][0][1:]).all()
        assert np.isnan(got["slopes"][0][0]).any()


@EACH
def test_what_is_absent_does_not_matter(name):
    """A mask of elements and of examples: what is absent has value and gradient 0, NaN or not; the rest is unmoved."""
    p, y = data(name)
    p, y = p.copy(), y.copy()
    rows = np.array([True, False, True, True])
    mask = np.array([[1, 1, 1], [0, 0, 0], [1, 1, 0], [0, 1, 1]], bool)
    function = getattr(losses, name)
    spoilt = np.where(mask, p, nan)
    if name in LABELLED:
        y[1] = 17  # no class, but not there
        hot = np.eye(3)[LABELS]
        want = [LABELLED[name](np.float64(p[i, mask[i]]), hot[i, mask[i]]) if mask[i].any() else 0 for i in range(4)]
    else:
        whole_y, y = np.where(rows[:, None], y, nan), np.where(mask, y, nan)
        want = [oracle(name, p[i, mask[i]], y[i, mask[i]]) if mask[i].any() else 0 for i in range(4)]
    both = jax.jit(lambda p, y, where: (function(p, y, where=where), jax.grad(total(name, where=where))(p, y)))
    value, slopes = both(spoilt, y, mask)
    np.testing.assert_allclose(value, want, rtol=4e-6)
    np.testing.assert_array_equal(np.asarray(slopes)[~mask], 0)
    assert np.isfinite(slopes).all()
    whole, whole_y = np.where(rows[:, None], p, nan), y if name in LABELLED else whole_y
    np.testing.assert_array_equal(
        function(whole, whole_y, where=rows), function(whole, whole_y, where=np.broadcast_to(rows[:, None], p.shape))
    )
    with pytest.raises(TypeError, match="where must be boolean; got float32; compare it with 0"):
        function(p, y, where=mask.astype(np.float32))
    with pytest.raises(ValueError, match=r"where must mark elements, shape \(4, 3\), or whole examples, shape \(4,\)"):
        function(p, y, where=mask[:, :1])


@EACH
def test_lanes_over_constants(name):
    """jax's jit, inside custom_jvp under vmap, takes no constant of NumPy's."""
    p, y = data(name)
    y = y.astype(np.int32) if name in LABELLED else y
    lanes = jax.eval_shape(jax.jit(lambda p: jax.vmap(jax.grad(getattr(losses, name)))(p, y)), p)
    assert lanes.shape == p.shape


@EACH
def test_empty_and_scalar_shapes(name):
    function = getattr(losses, name)
    labelled = name in LABELLED
    p, y = np.zeros((0, 3), np.float32), np.zeros(0 if labelled else (0, 3), np.int32)
    value, slopes = jax.jit(lambda p: (function(p, y), jax.grad(total(name))(p, y)))(p)
    assert value.shape == (0,)
    assert slopes.shape == (0, 3)
    if labelled or name in WHOLE:
        return
    one = np.float32(0.5), np.float32(1.0)
    if name == "softmax_cross_entropy":
        with pytest.raises(ValueError, match="axis must be an axis of logits"):
            function(*one, axis=None)
        return
    got = function(*one, axis=None)
    assert got.shape == ()
    np.testing.assert_allclose(got, TERMS[name](*map(np.float64, one)), rtol=1e-6)
    if name not in MEANS:
        assert function(np.zeros((4, 0), np.float32), np.zeros((4, 0), np.float32)).tolist() == [0] * 4


@EACH
def test_reverse_mode_keeps_one_array_of_the_predictions_size(name):
    p, y = data(name)
    _, backward = jax.vjp(jax.jit(lambda p: getattr(losses, name)(p, y).sum()), jnp.asarray(p))
    kept = [leaf for leaf in jax.tree.leaves(backward) if jnp.ndim(leaf)]
    assert sum(leaf.size for leaf in kept) <= p.size


@PAIRED
def test_shapes_are_never_broadcast(name):
    first = "logits" if name in ("sigmoid_cross_entropy", "softmax_cross_entropy", "focal") else "predictions"
    function = getattr(losses, name)
    message = rf"{first} and targets must have the same shape; got \(3,\) and \(3, 1\); reshape {first} to \(3, 1\)"
    with pytest.raises(ValueError, match=message):
        function(jnp.ones(3), jnp.ones((3, 1)))
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(3,\)"):
        function(jnp.ones((2, 3)), jnp.ones(3))
    with pytest.raises(ValueError, match=rf"axis must be an axis of {first}, whose shape is \(3,\), or None; got 1"):
        function(jnp.ones(3), jnp.ones(3), axis=1)
    with pytest.raises(TypeError, match=r"axis must be a whole number; got 0\.5"):
        function(jnp.ones(3), jnp.ones(3), axis=0.5)
    with pytest.raises(TypeError, match=rf"{first} must be real; got complex64"):
        function(jnp.ones(3, complex), jnp.ones(3))
    with pytest.raises(TypeError, match="targets must be real; got complex64"):
        function(jnp.ones(3), jnp.ones(3, complex))


# ------------------------------------------------------------------------------------------------------ class labels


@pytest.mark.parametrize("name", list(LABELLED))
def test_labels(name):
    p, _ = data(name)
    function, hot = getattr(losses, name), np.eye(3)[LABELS]
    want = LABELLED[name](np.float64(p), hot)

    @jax.jit
    def run(p, y):
        forms = [function(p, y), function(p.T, y, axis=0), jax.vmap(function)(p, y)]
        return forms, jax.grad(lambda p: jax.checkpoint(function)(p, y).sum())(p)

    for dtype in ("int32", "uint8", "int8"):
        forms, slopes = run(p, LABELS.astype(dtype))
        for got in forms:
            np.testing.assert_allclose(got, want, rtol=4e-6)
    for index in np.ndindex(p.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = np.float64(p)
            moved[index] += step
            ends.append(LABELLED[name](moved, hot).sum())
        np.testing.assert_allclose(slopes[index], (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=2e-6)
    terms = function(p, LABELS, axis=None)
    np.testing.assert_allclose(terms.sum(-1) if name == "multiclass_hinge" else terms, want, rtol=4e-6)


@pytest.mark.parametrize("name", list(LABELLED))
def test_a_label_that_is_no_class(name):
    """An error where it is concrete, even beside traced predictions; NaN in compiled code."""
    p, _ = data(name)
    function = getattr(losses, name)
    compiled = jax.jit(function)
    for label in (-1, 3, 1000):
        labels = np.array([2, 0, label, 1])
        with pytest.raises(ValueError, match=rf"labels must be in \[0, 3\); got {label}: are they counted from 0\?"):
            function(p, labels)
        with pytest.raises(ValueError, match=rf"got {label}: are they counted from 0\?"):
            jax.grad(lambda p, labels=labels: function(p, labels).sum())(p)
        assert np.isnan(compiled(p, labels)).tolist() == [False, False, True, False]
    with pytest.raises(ValueError, match=r"got 300"):
        function(p, np.array([300, 0, 1, 1]).astype(np.int64))


@pytest.mark.parametrize("name", list(LABELLED))
def test_errors_of_labels(name):
    p, _ = data(name)
    function = getattr(losses, name)
    first = "logits" if "softmax" in name else "predictions"
    with pytest.raises(TypeError, match=r"labels must be integers; got float32 of shape \(4,\)"):
        function(p, LABELS.astype(np.float32))
    message = rf"labels must have the shape of {first} without axis 0, \(3,\); got \(4,\)$"
    with pytest.raises(ValueError, match=message):
        function(p, LABELS, axis=0)
    with pytest.raises(ValueError, match=rf"axis must be an axis of {first}, whose shape is \(\), or None; got -1"):
        function(1.0, 0)
    with pytest.raises(TypeError, match=f"{first} must be real; got complex64"):
        function(jnp.ones((4, 3), complex), LABELS)


@pytest.mark.parametrize("name", ["sparse_softmax_cross_entropy", "sparse_cross_entropy"])
def test_sparse_losses_take_no_one_hot_targets(name):
    dense = name.removeprefix("sparse_")
    with pytest.raises(TypeError, match=rf"labels must be integers; got float32 of shape \(4, 3\); .* {dense}'s"):
        getattr(losses, name)(Q, np.eye(3, dtype=np.float32)[LABELS])
    with pytest.raises(ValueError, match=r"\(4,\); got \(4, 1\); squeeze its last axis"):
        getattr(losses, name)(P, LABELS[:, None])
