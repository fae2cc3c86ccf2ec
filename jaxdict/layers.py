"""Layers: ``(init, apply)`` pairs with explicit parameters and state, made of the formulas.

``init(key, input_shape) -> (params, state, output_shape)``, shapes without the batch axis; ``apply(params, state,
inputs, *, key=None, train=False) -> (outputs, state)``, inputs ``(batch, *input_shape)``. The declared output shape is
the actual one. ``train=True`` trains: noise is drawn and batch statistics are used and averaged; ``train="noise"``
draws noise only, for predictions averaged over masks. A model is a layer, and layers compose to models.
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable
from typing import Any, Literal, ParamSpec

import jax
import jax.numpy as jnp

from jaxdict import _check, _registry, noise, normalization
from jaxdict import activations as _activations  # noqa: F401  (its entries are found by name)
from jaxdict import initializers as _initializers  # noqa: F401  (likewise)
from jaxdict._cache import constructor
from jaxdict._entry import entry

P = ParamSpec("P")
Params = Any
State = Any
Shape = tuple[int, ...]
Train = bool | Literal["noise"]
Apply = Callable[..., tuple[Any, State]]  # (params, state, inputs, *, key=None, train=False)


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A model or layer: the pair ``(init, apply)``, and what the trainer and ``summary`` know about it.

    Attributes:
      init: ``(key, input_shape) -> (params, state, output_shape)``.
      apply: ``(params, state, inputs, *, key=None, train=False) -> (outputs, state)``.
      name: what the layer is called where it has no name of its own.
      named: whether the name was chosen by the caller, and is used as it is.
      parts: the layers it is composed of, by name.
      mixes_examples: whether in training the output of one example depends on the others in the batch (batch
        statistics). Such a model, and one of which nothing is known, never sees a padded batch.
      spec: the constructor's name and arguments, from which a checkpoint rebuilds it; None for a foreign one.
    """

    init: Callable[[jax.Array, Shape], tuple[Params, State, Shape]]
    apply: Apply
    name: str = "model"
    named: bool = False
    parts: tuple[tuple[str, "Model"], ...] = ()
    mixes_examples: bool = True
    spec: "Spec | None" = None

    def __repr__(self) -> str:
        return f"<Model {self.name}>" if self.spec is None else f"<Model {self.spec}>"


@dataclasses.dataclass(frozen=True)
class Spec:
    """How a model was made: a constructor's name and its arguments."""

    constructor: str
    args: tuple
    options: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        shown = [_shown(a) for a in self.args] + [f"{k}={_shown(v)}" for k, v in self.options]
        return f"{self.constructor}({', '.join(shown)})"


def _shown(value: Any) -> str:
    if isinstance(value, Model):
        return str(value.spec) if value.spec else value.name
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_shown, value))}]"
    return getattr(value, "__name__", None) or repr(value)


CONSTRUCTORS: dict[str, Callable[..., Model]] = {}


def buildable(function: Callable[P, Model]) -> Callable[P, Model]:
    """Make a constructor of models remember its arguments in the model, and equal calls give the same object."""

    @functools.wraps(function)
    def build(*args: P.args, **options: P.kwargs) -> Model:
        spec = Spec(function.__name__, args, tuple(sorted(options.items())))
        return dataclasses.replace(function(*args, **options), spec=spec)

    CONSTRUCTORS[function.__name__] = built = constructor(build)
    return built


def _stateless(
    transform: Callable[..., Any],
    *,
    name: str,
    label: str | None = None,
    shape: Callable[[Shape], Shape] = lambda shape: shape,
) -> Model:
    """A layer without parameters and state."""

    def init(key, input_shape):
        return {}, {}, shape(tuple(input_shape))

    def apply(params, state, inputs, *, key=None, train=False):
        return transform(inputs, key, train), state

    return Model(init, apply, name=label or name, named=label is not None, mixes_examples=False)


@entry(
    "layer",
    equation="x @ W + b",
    aliases=("fully connected", "linear layer", "affine"),
    sources=("S0 'Layers'", "S2 10.1", "S3"),
    conventions={
        "torch": "Linear keeps the kernel as (out, in); kernel and bias from U(±1/sqrt(n_in))",
        "keras": "Dense: kernel (in, out) from xavier_uniform, bias 0",
        "flax": "Dense: kernel (in, out) from lecun_normal, bias 0",
    },
    errata=("S3 writes the kernel as (in, out) going forward and as (out, in) in backpropagation, S4 as (out, in).",),
)
@buildable
def dense(
    width: int,
    *,
    initializer: str | Callable | None = None,
    bias_initializer: str | Callable | None = None,
    bias: bool = True,
    name: str | None = None,
) -> Model:
    """Fully connected layer, ``x @ kernel + bias`` over the last axis.

    Args:
      width: number of outputs.
      initializer: of the kernel ``(in, out)``, a name or ``init(key, shape, dtype)``; xavier_uniform when None.
      bias_initializer: of the bias ``(out,)``; zeros when None.
      bias: whether there is a bias.
      name: the layer's name in the parameters; ``dense_1``, ``dense_2``, … when None.

    Returns:
      A layer from ``(…, in)`` to ``(…, width)`` with float32 parameters ``kernel`` and ``bias``.

    Raises:
      ValueError: a width below 1, or a scalar input. KeyError: an unknown initializer, with the closest names.
    """
    width = _check.integer("width", width, low=1)
    kernel_init = _initializer(initializer or "xavier_uniform")
    bias_init = _initializer(bias_initializer or "zeros")

    def init(key, input_shape):
        if not input_shape:
            raise ValueError(f"dense({width}) needs at least one feature axis; got the input shape {input_shape}")
        params = {"kernel": kernel_init(child(key, "kernel"), (input_shape[-1], width), jnp.float32)}
        if bias:
            params["bias"] = bias_init(child(key, "bias"), (width,), jnp.float32)
        return params, {}, (*input_shape[:-1], width)

    def apply(params, state, inputs, *, key=None, train=False):
        features = params["kernel"].shape[0]
        if inputs.shape[-1] != features:
            raise ValueError(f"dense({width}) takes {features} features; got inputs of shape {inputs.shape}")
        outputs = inputs @ params["kernel"]
        return (outputs + jax.lax.broadcast(params["bias"], outputs.shape[:-1]) if bias else outputs), state

    return Model(init, apply, name=name or "dense", named=name is not None, mixes_examples=False)


def _initializer(name_or_function: str | Callable) -> Callable:
    if isinstance(name_or_function, str):
        return _registry.find(name_or_function, "initializer").function()
    return name_or_function


def child(key: jax.Array, name: str) -> jax.Array:
    """The key of the part called ``name``: it depends on the name alone, so other parts may come and go."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


@entry(
    "layer",
    equation="x",
    aliases=("flatten layer",),
    sources=("S2 10.2",),
    conventions={"torch": "Flatten(start_dim=1), the same", "keras": "the same"},
)
@buildable
def flatten(*, name: str | None = None) -> Model:
    """Flatten each example to a vector: ``(batch, a, b, …)`` to ``(batch, a·b·…)``.

    Args:
      name: the layer's name.

    Returns:
      A layer without parameters; any dtype.

    Raises:
      TypeError: an argument that is not named.
    """

    def shape(input_shape):
        size = 1
        for length in input_shape:
            size *= length
        return (size,)

    return _stateless(
        lambda x, key, train: x.reshape(x.shape[0], -1) if x.size else x.reshape(x.shape[0], *shape(x.shape[1:])),
        name="flatten", label=name, shape=shape,
    )  # fmt: skip


@entry(
    "layer",
    equation="f(x)",
    aliases=("activation layer",),
    sources=("S0 4", "S2 10.1.4"),
    see_also=("relu", "gelu", "tanh"),
)
@buildable
def activation(function: str | Callable, *, name: str | None = None, **options: Any) -> Model:
    """An activation as a layer.

    Args:
      function: the name of an activation, or a function ``x -> y`` of the same shape.
      name: the layer's name.
      **options: the activation's own, such as ``negative_slope=0.2``.

    Returns:
      A layer without parameters, of the input's shape and dtype.

    Raises:
      KeyError: an unknown activation, with the closest names. TypeError: an option that it does not have.
    """
    called = _registry.function(function, "activation")
    if options:
        called = functools.partial(called, **options)
        jax.eval_shape(called, jax.ShapeDtypeStruct((2,), jnp.float32))  # wrong options fail here, where it is built
    return _stateless(lambda x, key, train: called(x), name="activation", label=name)


@entry(
    "layer",
    equation="x*b/(1 - p)",
    aliases=("dropout layer",),
    sources=("S0 5.4", "S3", "S4"),
    symbols={"rate": "p"},
    see_also=("dropout",),
)
@buildable
def dropout(rate: Any, *, broadcast_axes: tuple[int, ...] = (), name: str | None = None) -> Model:
    """Inverted dropout as a layer: in training each unit is 0 with probability ``rate``, the others are scaled up.

    Args:
      rate: the probability of dropping, in [0, 1); may be a traced value.
      broadcast_axes: axes (of the batched input) that share one mask.
      name: the layer's name.

    Returns:
      A layer without parameters, of the input's shape and dtype; the identity outside training.

    Raises:
      ValueError: a rate outside [0, 1), or training without a key.
    """
    _check.number("rate", rate, low=0, below=1)

    def transform(x, key, train):
        if not train:
            return x
        if key is None:
            raise ValueError("dropout needs a key in training: apply(…, key=key, train=True)")
        return noise.dropout(key, x, rate, broadcast_axes=broadcast_axes)

    return _stateless(transform, name="dropout", label=name)


@entry(
    "layer",
    equation="gamma*(x - mean(x))/sqrt(var(x) + epsilon) + beta",
    aliases=("batch norm layer",),
    sources=("S0 5.5", "S2 11.1.3"),
    symbols={"eps": "epsilon"},
    conventions={
        "torch": "momentum is the weight of the new value (0.1 here is 0.9); running variance corrected by m/(m-1)",
        "keras": "momentum 0.99 of the old value, eps 1e-3, running variance biased",
        "flax": "momentum 0.99 of the old value, eps 1e-5, running variance biased",
    },
    errata=("S2 11.1.3 prints step 4 as γ⊗x + β; it is γ⊗x̂ + β.",),
    see_also=("batch_norm",),
)
@buildable
def batch_norm(
    *,
    momentum: Any = 0.9,
    eps: float = 1e-5,
    axis: int = -1,
    scale: bool = True,
    offset: bool = True,
    name: str | None = None,
) -> Model:
    """Batch normalization as a layer: batch statistics in training, running averages afterwards.

    Args:
      momentum: the weight of the old value in the running averages, in [0, 1].
      eps: added to the variance, > 0.
      axis: the feature axis of the batched input; statistics are over all the others.
      scale: whether there is a learned scale (γ, from 1).
      offset: whether there is a learned offset (β, from 0).
      name: the layer's name.

    Returns:
      A layer of the input's shape and dtype, with float32 parameters ``scale`` and ``offset`` and float32 state
      ``mean`` and ``variance`` (biased), each ``(features,)``.

    Raises:
      ValueError: a momentum outside [0, 1], eps not above 0, or the batch axis as the feature axis.
    """
    _check.number("momentum", momentum, low=0, high=1)
    _check.number("eps", eps, above=0)
    if axis == 0:
        raise ValueError("axis must be a feature axis of the batched input; 0 is the batch")

    def init(key, input_shape):
        if not -len(input_shape) <= (axis if axis < 0 else axis - 1) < len(input_shape):
            raise ValueError(f"batch_norm(axis={axis}) does not fit an input of shape (batch, *{tuple(input_shape)})")
        features = (0, *input_shape)[axis]
        params = {"scale": jnp.ones(features)} if scale else {}
        if offset:
            params["offset"] = jnp.zeros(features)
        return params, {"mean": jnp.zeros(features), "variance": jnp.ones(features)}, tuple(input_shape)

    def apply(params, state, inputs, *, key=None, train=False):
        normalize = functools.partial(
            normalization.batch_norm, inputs, scale=params.get("scale"), offset=params.get("offset"), axis=axis, eps=eps
        )
        if train is not True:
            return normalize(mean=state["mean"], variance=state["variance"]), state
        mean, variance = normalization.batch_statistics(inputs, axis=axis)
        running = {
            "mean": normalization.update_running(state["mean"], mean, momentum),
            "variance": normalization.update_running(state["variance"], variance, momentum),
        }
        # Not told the mean, which is rounded, the formula subtracts it exactly.
        return normalize(), running

    return Model(init, apply, name=name or "batch_norm", named=name is not None, mixes_examples=True)
