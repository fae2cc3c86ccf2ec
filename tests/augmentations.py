"""Reads off what an augmentation drew, from pictures made for it, and holds its equation against what it did then."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import expressions
import jaxdict as jd
from jaxdict import _expression
from jaxdict._entry import Entry

SIZE = 5, 11, 9  # examples, height, width: odd sides, so that a pixel is the centre


def run(function, key, *images, **options):
    """One compiled call."""
    return np.asarray(jax.jit(functools.partial(function, key, **options))(*images))


def coordinates(function, key, size=SIZE, **options):
    """Where a geometric augmentation reads, (n, h, w, 2): of images whose pixels hold their own row and column."""
    n, h, w = size
    own = np.stack(np.meshgrid(np.arange(h), np.arange(w), indexing="ij"), -1).astype(float)
    with jax.enable_x64(True):
        return run(function, key, np.broadcast_to(own, (n, h, w, 2)), **options)


def _affine(read):
    """The centre pixel, what it reads, and by how much that grows to the next row and column."""
    p, q = (side // 2 for side in read.shape[:2])
    here = read[p, q]
    return (p, q), here, read[p + 1, q] - here, read[p, q + 1] - here


def angle(read):
    _, _, down, right = _affine(read)
    return {"theta": np.arctan2(right[0], down[0])}


def turns(read):
    return {"k": round(angle(read)["theta"] / (np.pi / 2))}


def factor(read):
    return {"z": 1 / _affine(read)[2][0]}


def shift(read):
    (p, q), here, *_ = _affine(read)
    return {"s": p - here[0], "t": q - here[1]}


def mirrored(read):
    return {"b": float(read[0, 0, 1] > 0)}


def box(read):
    h, w = read.shape[:2]
    (p, q), here, down, right = _affine(read)
    r, s = round(h * down[0]), round(w * right[1])
    return {"r": r, "s": s, "t": here[0] - ((p + 0.5) * r / h - 0.5), "l": here[1] - ((q + 0.5) * s / w - 0.5)}


DRAWN = {
    "flip": (mirrored, {"probability": 0.5}),
    "rotate_quarter": (turns, {"size": (8, 9, 9)}),
    "rotate": (angle, {"max_degrees": 70.0, "fill": "edge"}),
    "zoom": (factor, {"max_factor": 1.8, "fill": "edge"}),
    "translate": (shift, {"max_shift": (2.0, 3.0), "subpixel": True, "fill": "edge"}),
    "crop_and_resize": (box, {"min_area": 0.3, "max_aspect": 1.3}),
}


def check(entry: Entry) -> None:
    """The equation of an augmentation, with what was drawn, gives what the code gave."""
    special = {"gaussian_noise": _noise, "salt_and_pepper": _salt, "mixup": _mixing, "cutmix": _mixing}
    special.get(entry.name, _geometry)(entry)


def _geometry(entry):
    drawn, options = DRAWN[entry.name]
    reads = coordinates(entry.function, 3, **options)
    seen = []
    for read in reads:
        h, w, _ = read.shape
        scope = {"i": np.arange(h)[:, None], "j": np.arange(w)[None, :], "h": h, "w": w, **drawn(read)}

        def image(y, x, h=h, w=w):  # at the border it goes on as it ends
            y, x = np.broadcast_arrays(y, x)
            return np.stack([np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)], -1)

        expressions.agree(read, _expression.evaluate(entry.expression, scope | {"f": image}), entry.name, atol=1e-11)
        seen.append(tuple(np.round(list(drawn(read).values()), 6)))
    assert len(set(seen)) > (1 if entry.name in ("flip", "rotate_quarter") else 3), "every example draws for itself"


def _noise(entry):
    shape, free = (4, 5, 6, 2), (-np.inf, np.inf)
    with jax.enable_x64(True):
        epsilon = np.asarray(entry.function(3, jnp.zeros(shape), stddev=1.0, value_range=free))
        x = np.random.default_rng(1).uniform(0, 1, shape)
        got = entry.function(3, jnp.asarray(x), stddev=0.375, value_range=(0.25, 0.75))
    scope = {"x": x, "epsilon": epsilon, entry.symbols["stddev"]: 0.375, "l": 0.25, "u": 0.75}
    shown = _expression.evaluate(entry.expression, scope)
    expressions.agree(got, shown, entry.name)
    assert 0.1 < np.isin(shown, (0.25, 0.75)).mean() < 0.9


def _salt(entry):
    shape = (4, 5, 6, 2)
    x = np.random.default_rng(1).uniform(0.2, 0.8, shape).astype(np.float32)
    # v is between the last amount that spares a pixel and the first that takes it.
    amounts = jnp.arange(129) / 128
    white = np.asarray(jax.vmap(lambda p: entry.function(3, x, amount=p, salt=1.0) == 1)(amounts))
    v = (np.argmax(white, 0) - 0.5) / 128
    scope = {"x": x, "v": v, entry.symbols["amount"]: 40 / 128, entry.symbols["salt"]: 0.25, "a": 0.125, "b": 0.875}
    got = entry.function(3, x, amount=40 / 128, salt=0.25, value_range=(0.125, 0.875))
    expressions.agree(got, _expression.evaluate(entry.expression, scope), entry.name)
    assert {0.125, 0.875} < set(np.unique(got).tolist())


def _mixing(entry):
    n, h, w = 6, 7, 8
    x = np.arange(n)[:, None, None, None] + np.random.default_rng(1).uniform(0, 0.4, (n, h, w, 2))
    labels = np.eye(n)
    with jax.enable_x64(True):
        images, mixed = map(np.asarray, entry.function(2, jnp.asarray(x), jnp.asarray(labels), alpha=1.0))
    changed = 0
    for i in range(n):
        others = mixed[i] * (np.arange(n) != i)
        partner = int(np.argmax(others)) if others.any() else i
        replaced = (np.floor(images[i]) != i).astype(float)
        scope = {"x1": x[i], "x2": x[partner], "y1": labels[i], "y2": labels[partner], "m": replaced}
        if entry.name == "mixup":
            scope["lambda_"] = mixed[i, i]
        shown = _expression.evaluate(entry.expression, scope, _expression.numpy_vocabulary(axis=None))
        expressions.agree(images[i], shown["x"], "images")
        expressions.agree(mixed[i], shown["y"], "labels", rtol=1e-6)
        changed += partner != i
    assert changed >= 3


def names():
    """Every augmentation of the dictionary."""
    return [entry.name for entry in jd.entries(kind="augmentation")]
