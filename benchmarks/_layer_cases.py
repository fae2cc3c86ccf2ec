"""Settings of layers that parity is measured with, and their twins: torch's, and Keras's on its torch backend.

Keras's normalizations are not among them: they take their moments in float32.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import torch
from torch.nn import functional

Params = Mapping[str, torch.Tensor]


class Case(NamedTuple):
    """A layer of jaxdict, the shape of its batched inputs (or shapes), and the framework of its twin."""

    layer: str
    args: tuple
    options: dict[str, Any]
    shape: Any
    framework: str


COUNTS: dict[str, int] = {
    "torch conv": 40, "keras conv": 24, "torch conv_transpose": 30, "keras conv_transpose": 16,
    "torch depthwise_conv": 10, "keras depthwise_conv": 10, "torch max_pool": 12, "keras max_pool": 12,
    "torch average_pool": 12, "keras average_pool": 12, "torch global_max_pool": 3, "torch global_average_pool": 3,
    "torch dense": 6, "torch embedding": 6, "torch prelu": 6, "keras prelu": 4, "torch swish": 4,
    "torch layer_norm": 8, "torch rms_norm": 6, "torch group_norm": 8,
    "torch batch_norm": 8, "keras concatenate": 4, "keras add": 3, "torch reshape": 3,
    "torch flatten": 3,
}  # fmt: skip


def draw(kind: str, count: int, seed: int = 0) -> list[Case]:
    """``count`` random settings of ``"framework layer"``."""
    framework, layer = kind.split()
    rng = np.random.default_rng([list(COUNTS).index(kind), seed])
    return [_DRAWS[layer](rng, framework) for _ in range(count)]


def _whole(rng: np.random.Generator, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def _coin(rng: np.random.Generator) -> bool:
    return bool(rng.random() < 0.5)


def _some(rng: np.random.Generator, rank: int, low: int, high: int) -> list[int]:
    return [_whole(rng, low, high) for _ in range(rank)]


def _window(rng: np.random.Generator, framework: str, layer: str) -> Case:
    """Convolutions. Keras takes no stride beside a dilation, and equal ones depthwise.

    In float64 on CPU, XLA 0.10.2 ends the process at some gradients of strides beside dilations.
    """
    rank = _whole(rng, 1, 2 if layer == "depthwise_conv" and framework == "keras" else 3)
    sizes, strides, dilation = (_some(rng, rank, 1, 3) for _ in range(3))
    strides, dilation = ([1] * rank, dilation) if rng.random() < 0.4 else (strides, [1] * rank)
    if framework == "keras" and layer == "depthwise_conv":
        strides = strides[:1] * rank
    groups = _whole(rng, 1, 3) if layer != "depthwise_conv" else 1
    if layer == "conv_transpose" and framework == "keras":
        groups = 1
    words = ["same", "valid"] + (["causal"] if rank == 1 and layer == "conv" else [])
    padding: Any = str(rng.choice(words))
    if layer == "conv_transpose" and framework == "keras":
        sizes = [max(k, s) for k, s in zip(sizes, strides, strict=True)]  # else valid is longer there
    if framework == "torch" and layer == "conv_transpose":
        low = [_whole(rng, 0, d * (k - 1)) for k, d in zip(sizes, dilation, strict=True)]
        more = [_whole(rng, 0, max(s, d) - 1) for s, d in zip(strides, dilation, strict=True)]
        padding = [[p, p - o] for p, o in zip(low, more, strict=True)]
    elif framework == "torch" and (padding == "causal" or max(strides) > 1 or rng.random() < 0.5):
        padding = [_some(rng, 2, 0, 2) for _ in range(rank)]
    options = {"strides": strides, "padding": padding, "dilation": dilation, "bias": _coin(rng)}
    if groups > 1:
        options["groups"] = groups
    channels, features = groups * _whole(rng, 1, 3), groups * _whole(rng, 1, 3)
    if layer == "depthwise_conv":
        options["multiplier"] = _whole(rng, 1, 2)
    shape = (2, *_some(rng, rank, 7, 9), channels)
    return Case(layer, (sizes,) if layer == "depthwise_conv" else (features, sizes), options, shape, framework)


def _pool(rng: np.random.Generator, framework: str, layer: str) -> Case:
    rank = _whole(rng, 1, 3)
    sizes, strides = _some(rng, rank, 2, 4), _some(rng, rank, 1, 3)
    options: dict[str, Any] = {"strides": strides} if _coin(rng) else {}
    if framework == "keras":
        options["padding"] = str(rng.choice(["valid", "same"]))
        if layer == "average_pool" and options["padding"] == "same":  # uneven, its torch backend counts padding
            sizes, options["strides"] = [3] * rank, [1] * rank
    else:
        options["padding"] = [_whole(rng, 0, k // 2) for k in sizes]
        if layer == "average_pool":
            options["count_padding"] = _coin(rng)
    return Case(layer, (sizes,), options, (2, *_some(rng, rank, 5, 8), _whole(rng, 1, 3)), framework)


def _norm(rng: np.random.Generator, framework: str, layer: str) -> Case:
    rank, eps = _whole(rng, 0, 2), float(10 ** rng.uniform(-6, -2))
    options: dict[str, Any] = {"eps": eps}
    if layer == "rms_norm":
        options["scale"] = _coin(rng)
    elif layer != "batch_norm":
        options |= {"scale": _coin(rng), "offset": _coin(rng)}
    shape = (4, *_some(rng, rank, 2, 4), 6)
    if layer in ("layer_norm", "rms_norm") and rank and _coin(rng):
        options["axis"] = [-2, -1]
    if layer == "batch_norm":
        options["momentum"] = float(rng.uniform(0.1, 0.99))
    return Case(layer, (_pick(rng, 1, 2, 3, 6),) if layer == "group_norm" else (), options, shape, framework)


def _pick(rng: np.random.Generator, *choices: int) -> int:
    return int(rng.choice(choices))


def _plain(rng: np.random.Generator, framework: str, layer: str) -> Case:
    """Layers whose inputs may have any axes."""
    shape = (3, *_some(rng, _whole(rng, 1, 3), 2, 4))
    if layer == "dense":
        return Case(layer, (_whole(rng, 1, 5),), {"bias": _coin(rng)}, shape, framework)
    if layer == "embedding":
        return Case(layer, (_whole(rng, 2, 9), _whole(rng, 1, 4)), {}, shape, framework)
    if layer == "prelu":
        return Case(layer, (), {"shared": _coin(rng), "alpha": 0.1}, shape, framework)
    if layer == "swish":
        return Case(layer, (), {"shared": _coin(rng)}, shape, framework)
    if layer == "reshape":
        return Case(layer, ([-1, shape[-1]],), {}, shape, framework)
    return Case(layer, (), {}, shape, framework)


def _global(rng: np.random.Generator, framework: str, layer: str) -> Case:
    return Case(layer, (), {}, (3, *_some(rng, _whole(rng, 1, 3), 2, 4), 3), framework)


def _several(rng: np.random.Generator, framework: str, layer: str) -> Case:
    shape, count = [3, *_some(rng, _whole(rng, 1, 3), 2, 4)], _whole(rng, 2, 3)
    if layer == "add":
        return Case(layer, (), {}, tuple([tuple(shape)] * count), framework)
    axis = _whole(rng, 1, len(shape) - 1)
    shapes = []
    for _ in range(count):
        shape[axis] = _whole(rng, 1, 4)
        shapes.append(tuple(shape))
    return Case(layer, (), {"axis": axis}, tuple(shapes), framework)


def _named(function: Callable[..., Case], *layers: str) -> dict[str, Callable[..., Case]]:
    return {layer: lambda rng, framework, layer=layer: function(rng, framework, layer) for layer in layers}


_DRAWS = {
    **_named(_window, "conv", "conv_transpose", "depthwise_conv"), **_named(_pool, "max_pool", "average_pool"),
    **_named(_global, "global_max_pool", "global_average_pool"), **_named(_several, "concatenate", "add"),
    **_named(_norm, "layer_norm", "rms_norm", "group_norm", "batch_norm"),
    **_named(_plain, "dense", "embedding", "prelu", "swish", "reshape", "flatten"),
}  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- twins


def twin(case: Case, inputs: Sequence[torch.Tensor], params: Params, state: Params) -> tuple[torch.Tensor, Params]:
    """What the framework gives for jaxdict's parameters, in training, and its running averages."""
    if case.framework == "keras":
        return _keras(case, inputs, params), {}
    name, x, options = case.layer, inputs[0], case.options
    if name == "batch_norm":
        return _torch_batch_norm(x, params, state, options)
    return _TORCH[name](case, x, params), {}


def first(x: torch.Tensor) -> torch.Tensor:
    """Channels first."""
    return x.movedim(-1, 1)


def last(x: torch.Tensor) -> torch.Tensor:
    """Channels last."""
    return x.movedim(1, -1)


def _padded(x: torch.Tensor, pairs: Sequence[Sequence[int]]) -> torch.Tensor:
    return functional.pad(x, [end for pair in reversed(pairs) for end in pair])


def _torch_conv(case: Case, x: torch.Tensor, params: Params) -> torch.Tensor:
    options, kernel = case.options, params["kernel"]
    rank, x, padding = kernel.ndim - 2, first(x), case.options["padding"]
    if isinstance(padding, list):
        x, padding = _padded(x, padding), 0
    groups = x.shape[1] if case.layer == "depthwise_conv" else options.get("groups", 1)
    call = getattr(functional, f"conv{rank}d")
    weight = kernel.movedim((-1, -2), (0, 1)).contiguous()
    return last(call(x, weight, params.get("bias"), options["strides"], padding, options["dilation"], groups))


def _torch_conv_transpose(case: Case, x: torch.Tensor, params: Params) -> torch.Tensor:
    options, kernel = case.options, params["kernel"]
    *sizes, inputs, outputs = kernel.shape
    groups, rank = options.get("groups", 1), len(sizes)
    weight = kernel.reshape(*sizes, inputs, groups, outputs // groups).movedim((-2, -3, -1), (0, 1, 2))
    weight = weight.reshape(groups * inputs, outputs // groups, *sizes).contiguous()
    padding = [low for low, _ in options["padding"]]
    more = [low - high for low, high in options["padding"]]
    call = getattr(functional, f"conv_transpose{rank}d")
    y = call(first(x), weight, params.get("bias"), options["strides"], padding, more, groups, options["dilation"])
    return last(y)


def _torch_pool(case: Case, x: torch.Tensor, params: Params) -> torch.Tensor:
    (sizes,), options = case.args, case.options
    given = {"stride": options.get("strides", sizes), "padding": options["padding"]}
    if case.layer == "average_pool":
        given["count_include_pad"] = options["count_padding"]
    call = getattr(functional, f"{'max' if case.layer == 'max_pool' else 'avg'}_pool{len(sizes)}d")
    return last(call(first(x), sizes, **given))


def _torch_norm(case: Case, x: torch.Tensor, params: Params) -> torch.Tensor:
    scale, offset, eps = params.get("scale"), params.get("offset"), case.options["eps"]
    if case.layer == "group_norm":  # takes both or none
        scale = torch.ones_like(offset) if scale is None and offset is not None else scale
        offset = torch.zeros_like(scale) if offset is None and scale is not None else offset
        return last(functional.group_norm(first(x), case.args[0], scale, offset, eps))
    shape = x.shape[-len(case.options["axis"]) :] if "axis" in case.options else x.shape[-1:]
    if case.layer == "rms_norm":
        return functional.rms_norm(x, shape, scale, eps)
    return functional.layer_norm(x, shape, scale, offset, eps)


def _torch_batch_norm(x: torch.Tensor, params: Params, state: Params, options: Mapping[str, Any]) -> Any:
    """Its running variance is that of a sample."""
    count = x[..., 0].numel()
    mean, variance = state["mean"].clone(), state["variance"].clone() * (count / (count - 1))
    y = functional.batch_norm(
        first(x), mean, variance, params["scale"], params["offset"], True, 1 - options["momentum"], options["eps"]
    )
    return last(y), {"mean": mean, "variance": variance * ((count - 1) / count)}


def _torch_swish(case: Case, x: torch.Tensor, params: Params) -> torch.Tensor:
    return x * torch.sigmoid(params["beta"] * x)


_TORCH: dict[str, Callable[[Case, torch.Tensor, Params], torch.Tensor]] = {
    "conv": _torch_conv, "depthwise_conv": _torch_conv, "conv_transpose": _torch_conv_transpose,
    "max_pool": _torch_pool, "average_pool": _torch_pool, "layer_norm": _torch_norm, "rms_norm": _torch_norm,
    "group_norm": _torch_norm, "swish": _torch_swish,
    "dense": lambda case, x, params: functional.linear(x, params["kernel"].T, params.get("bias")),
    "embedding": lambda case, x, params: functional.embedding(x, params["kernel"]),
    "prelu": lambda case, x, params: last(functional.prelu(first(x), params["alpha"])),
    "reshape": lambda case, x, params: x.reshape(len(x), *case.args[0]),
    "flatten": lambda case, x, params: torch.nn.Flatten()(x),
    "global_max_pool": lambda case, x, params: first(x).flatten(2).amax(-1),
    "global_average_pool": lambda case, x, params: first(x).flatten(2).mean(-1),
}  # fmt: skip


def _keras_layer(case: Case, rank: int) -> Any:
    layers, options = keras.layers, case.options
    if "conv" in case.layer:
        given = {
            "strides": options["strides"], "padding": options["padding"], "dilation_rate": options["dilation"],
            "use_bias": options["bias"],
        }  # fmt: skip
        if case.layer == "depthwise_conv":
            make = getattr(layers, f"DepthwiseConv{rank}D")
            strides = options["strides"][0]
            return make(*case.args, depth_multiplier=options["multiplier"], **{**given, "strides": strides})
        if case.layer == "conv":
            given["groups"] = options.get("groups", 1)
        return getattr(layers, f"Conv{rank}D{'Transpose' if case.layer == 'conv_transpose' else ''}")(
            *case.args, **given
        )
    if "pool" in case.layer:
        kind = "Max" if case.layer == "max_pool" else "Average"
        sizes = tuple(case.args[0])
        strides = tuple(options.get("strides", sizes))
        return getattr(layers, f"{kind}Pooling{rank}D")(sizes, strides, options["padding"])
    match case.layer:
        case "prelu":
            return layers.PReLU(shared_axes=list(range(1, rank + 1 + options["shared"])) or None)
        case "concatenate":
            return layers.Concatenate(axis=options["axis"])
    return layers.Add()


def _keras(case: Case, inputs: Sequence[torch.Tensor], params: Params) -> torch.Tensor:
    keras.config.set_floatx("float64")
    single = len(inputs) == 1
    x = inputs[0] if single else list(inputs)
    layer = _keras_layer(case, inputs[0].ndim - 2)
    layer.build(tuple(inputs[0].shape) if single else [tuple(i.shape) for i in inputs])
    weights = []
    for variable in layer.trainable_variables:
        value = params[variable.name]
        if case.layer in ("conv", "conv_transpose") and variable.name == "kernel":
            ends = (-1, -2) if case.layer == "conv" else (-2, -1)
            value = value.movedim(ends, (0, 1)).contiguous().movedim((0, 1), (-1, -2))  # as torch takes it in the end
        weights.append(value.reshape(variable.shape))
    return layer.stateless_call(weights, [], x)[0]
