"""Convolutions of any rank, channels-last: ``(batch, *space, channels)``, the kernel ``(*window, in, out)``.

As everywhere in the field it is the cross-correlation that is called convolution: the kernel is not flipped. In the
equations i is a place of the output and k one of the kernel, s the stride, d the dilation, p the padding before; x is 0
outside and between its places.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.layers import _windows
from jaxdict.layers._convolve import convolve
from jaxdict.layers._model import Model, Shape, buildable
from jaxdict.layers._weights import Weights, computed, float_type, with_bias

Padding = str | int | Sequence[int | Sequence[int]]
_WORDS = ("same", "valid", "causal")


@entry(
    "layer",
    equation="sum(x[s*i + d*k - p] @ W[k]) + b",
    aliases=("convolution", "convolutional layer", "conv1d", "conv2d", "conv3d", "cross correlation"),
    sources=(
        "S0 'Layers'",
        "LeCun et al. 1989, doi:10.1162/neco.1989.1.4.541",
        "Dumoulin and Visin 2016, arXiv:1603.07285",
    ),
    conventions={
        "torch": "Conv2d: channels first, kernel (out, in/groups, *window); padding 0; kernel and bias from"
        " U(±1/sqrt(n_in)); padding='same' at stride 1 only",
        "keras": "Conv2D: kernel (*window, in/groups, out) from xavier_uniform, whose n_out is that of all groups;"
        " padding='valid'",
        "flax": "Conv: kernel (*window, in/groups, out) from lecun_normal; padding='SAME'",
    },
    see_also=("conv_transpose", "depthwise_conv", "dense", "max_pool"),
)
@buildable
def conv(
    features: int,
    kernel_size: int | Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "same",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    initializer: str | Callable | None = None,
    bias_initializer: str | Callable | None = None,
    bias: bool = True,
    dtype: Any = None,
    param_dtype: Any = None,
    name: str | None = None,
) -> Model:
    """Convolution: the same weighted sum of a window and its channels at every place.

    Args:
      features: number of outputs at a place.
      kernel_size: a size for each axis of space, which says how many there are; an int is one axis.
      strides: places from one window to the next, for all axes or each.
      padding: zeros around: "same", ``ceil(n / stride)`` outputs, the odd zero behind; "valid", none; "causal", all
        before, for one axis; or a number for both ends of all axes, or for each a number or a pair ``(low, high)``.
      dilation: places from one weight of the kernel to the next.
      groups: inputs and outputs are cut into so many groups, each a convolution of its own.
      initializer: of the kernel ``(*kernel_size, in/groups, features)``, a name or ``init(key, shape, dtype)``;
        xavier_uniform when None. n_in and n_out are those of one group.
      bias_initializer: of the bias ``(features,)``; zeros when None.
      bias: whether there is a bias.
      dtype: the floating type that inputs and parameters are cast to; the inputs' own when None.
      param_dtype: the type that parameters are made in; float32 when None.
      name: the layer's name in the parameters.

    Returns:
      A layer from ``(*space, in)`` to ``(*space, features)`` with parameters ``kernel`` and ``bias``.

    Raises:
      ValueError: a size below 1, groups that do not divide features or channels, a window that does not fit, inputs
        with other axes. TypeError: no whole numbers. KeyError: an unknown initializer, with the closest names.
    """
    window = _windows.windows(kernel_size, strides, padding, dilation, name="kernel_size", words=_WORDS)
    features, groups = _check.integer("features", features, low=1), _check.integer("groups", groups, low=1)
    if features % groups:
        raise ValueError(f"groups must divide the features, {features}; got {groups}")
    label = f"conv({features}, {window.sizes})"
    weights = Weights(initializer, bias_initializer, bias, param_dtype)

    def shapes(input_shape):
        if input_shape[-1] % groups:
            raise ValueError(f"{label} has {groups} groups, which must divide the channels; got {tuple(input_shape)}")
        return (input_shape[-1] // groups, features), groups

    return _convolution(label, "conv", name, window, weights, dtype, shapes)


@entry(
    "layer",
    equation="sum(x[s*i + d*k - p]*W[k]) + b",
    aliases=("depthwise convolution", "channelwise convolution"),
    sources=("Chollet 2016, arXiv:1610.02357",),
    conventions={
        "torch": "Conv2d(in, in*multiplier, groups=in): kernel (in*multiplier, 1, *window)",
        "keras": "DepthwiseConv2D: kernel (*window, in, depth_multiplier), which has these numbers in this order",
        "flax": "Conv(in*multiplier, feature_group_count=in): the same kernel",
    },
    see_also=("conv",),
)
@buildable
def depthwise_conv(
    kernel_size: int | Sequence[int],
    *,
    multiplier: int = 1,
    strides: int | Sequence[int] = 1,
    padding: Padding = "same",
    dilation: int | Sequence[int] = 1,
    initializer: str | Callable | None = None,
    bias_initializer: str | Callable | None = None,
    bias: bool = True,
    dtype: Any = None,
    param_dtype: Any = None,
    name: str | None = None,
) -> Model:
    """Depthwise convolution: every channel by kernels of its own; ``conv`` with as many groups as channels.

    Args:
      kernel_size: a size for each axis of space, which says how many there are; an int is one axis.
      multiplier: outputs of a channel; those of one channel stand side by side.
      strides: places from one window to the next, for all axes or each.
      padding: as of ``conv``.
      dilation: places from one weight of the kernel to the next.
      initializer: of the kernel ``(*kernel_size, 1, in·multiplier)``, a name or ``init(key, shape, dtype)``;
        xavier_uniform when None. n_in and n_out are those of one channel.
      bias_initializer: of the bias ``(in·multiplier,)``; zeros when None.
      bias: whether there is a bias.
      dtype: the floating type that inputs and parameters are cast to; the inputs' own when None.
      param_dtype: the type that parameters are made in; float32 when None.
      name: the layer's name in the parameters.

    Returns:
      A layer from ``(*space, in)`` to ``(*space, in·multiplier)`` with parameters ``kernel`` and ``bias``.

    Raises:
      ValueError: a size below 1, a window that does not fit, inputs with other axes. TypeError: no whole numbers.
        KeyError: an unknown initializer, with the closest names.
    """
    window = _windows.windows(kernel_size, strides, padding, dilation, name="kernel_size", words=_WORDS)
    multiplier = _check.integer("multiplier", multiplier, low=1)
    weights = Weights(initializer, bias_initializer, bias, param_dtype)

    def shapes(input_shape):
        return (1, input_shape[-1] * multiplier), input_shape[-1]

    return _convolution(f"depthwise_conv({window.sizes})", "depthwise_conv", name, window, weights, dtype, shapes)


def _convolution(
    label: str,
    kind: str,
    name: str | None,
    window: _windows.Windows,
    weights: Weights,
    dtype: Any,
    shapes: Callable[[Shape], tuple[Shape, int]],
) -> Model:
    """A layer that convolves; ``shapes`` gives the kernel's last two axes and the groups for an input's shape."""
    dtype = float_type("dtype", dtype)

    def init(key, input_shape):
        lengths = window.results(label, input_shape)
        ends, groups = shapes(tuple(input_shape))
        return weights.init(key, (*window.sizes, *ends), groups=groups), {}, (*lengths, ends[-1])

    def apply(params, state, inputs, *, key=None, train=False):
        x, kernel = computed(inputs, dtype), params["kernel"]
        groups = _groups(label, x.shape, window.rank, kernel.shape, shapes)
        window.results(label, x.shape[1:])
        pairs, ones = window.pairs(x.shape[1:-1]), (1,) * window.rank
        y = convolve(x, kernel.astype(x.dtype), window.strides, pairs, ones, window.dilation, groups)
        return with_bias(y, params), state

    return Model(init, apply, name=name or kind, named=name is not None, mixes_examples=False)


def _groups(label: str, inputs: Shape, rank: int, kernel: Shape, shapes: Callable) -> int:
    """The groups of a convolution; a ValueError where inputs are not what the kernel is made for."""
    if len(inputs) != rank + 2:
        raise ValueError(f"{label} takes batches of {_windows.axes(rank)}; got inputs of shape {inputs}")
    ends, groups = shapes(inputs[1:])
    if ends != kernel[-2:]:
        raise ValueError(f"{label} has a kernel of shape {kernel}; it does not fit inputs of shape {inputs}")
    return groups


@entry(
    "layer",
    equation="sum(x[(i + p - d*k)/s] @ W[k]) + b",
    aliases=("transposed convolution", "deconvolution", "fractionally strided convolution", "upsampling convolution"),
    sources=("Dumoulin and Visin 2016, arXiv:1603.07285", "Zeiler et al. 2010, doi:10.1109/CVPR.2010.5539957"),
    conventions={
        "torch": "ConvTranspose2d(padding=p, output_padding=o): padding=[(p, p - o)] for each axis here; kernel"
        " (in, out/groups, *window)",
        "keras": "Conv2DTranspose: kernel (*window, out, in), so that the last two axes change places; 'same' is the"
        " same, and so is 'valid' unless the window is smaller than the stride: then it is n*s long, zeros behind",
        "flax": "ConvTranspose: the kernel is flipped in space (transpose_kernel=False), (*window, in, out); 'SAME' and"
        " 'VALID' as of Keras",
        "jax": "lax.conv_transpose flips likewise; its explicit padding is that of the input widened by the stride,"
        " d*(k - 1) less what is cut here",
    },
    see_also=("conv",),
)
@buildable
def conv_transpose(
    features: int,
    kernel_size: int | Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "same",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    initializer: str | Callable | None = None,
    bias_initializer: str | Callable | None = None,
    bias: bool = True,
    dtype: Any = None,
    param_dtype: Any = None,
    name: str | None = None,
) -> Model:
    """Transposed convolution, the gradient of ``conv`` by its input: every place adds its window to the output.

    Args:
      features: number of outputs at a place.
      kernel_size: a size for each axis of space, which says how many there are; an int is one axis.
      strides: places of the output from one place of the input to the next, for all axes or each.
      padding: the padding of the ``conv`` that it transposes, which is cut off: "valid", nothing, the length is
        ``(n - 1)·stride + dilation·(size - 1) + 1``; "same", so much that it is ``n·stride``; or a number for both ends
        of all axes, or for each axis a number or a pair ``(low, high)``, where a negative one adds places.
      dilation: places from one weight of the kernel to the next.
      groups: inputs and outputs are cut into so many groups.
      initializer: of the kernel ``(*kernel_size, in/groups, features)``, a name or ``init(key, shape, dtype)``;
        xavier_uniform when None. n_in and n_out are those of one group at stride 1.
      bias_initializer: of the bias ``(features,)``; zeros when None.
      bias: whether there is a bias.
      dtype: the floating type that inputs and parameters are cast to; the inputs' own when None.
      param_dtype: the type that parameters are made in; float32 when None.
      name: the layer's name in the parameters.

    Returns:
      A layer from ``(*space, in)`` to ``(*space, features)`` with parameters ``kernel`` and ``bias``.

    Raises:
      ValueError: a size below 1, groups that do not divide features or channels, more cut off than there is, inputs
        with other axes. TypeError: no whole numbers. KeyError: an unknown initializer, with the closest names.
    """
    window = _windows.windows(kernel_size, strides, padding, dilation, name="kernel_size", words=_WORDS[:2], least=None)
    features, groups = _check.integer("features", features, low=1), _check.integer("groups", groups, low=1)
    if features % groups:
        raise ValueError(f"groups must divide the features, {features}; got {groups}")
    label = f"conv_transpose({features}, {window.sizes})"
    weights, dtype = Weights(initializer, bias_initializer, bias, param_dtype), float_type("dtype", dtype)

    def shapes(input_shape):
        if input_shape[-1] % groups:
            raise ValueError(f"{label} has {groups} groups, which must divide the channels; got {tuple(input_shape)}")
        return (input_shape[-1] // groups, features), groups

    def results(input_shape):
        lengths = _windows.spatial(label, input_shape, window.rank)
        found = tuple(
            (n - 1) * stride + span - low - high
            for n, stride, span, (low, high) in zip(lengths, window.strides, window.spans, _cut(window), strict=True)
        )
        if any(n < 1 for n in found):
            raise ValueError(f"{label} cuts all of it off at an input of shape {tuple(input_shape)}: {found}")
        return found

    def init(key, input_shape):
        lengths = results(input_shape)
        ends, _ = shapes(tuple(input_shape))
        return weights.init(key, (*window.sizes, *ends), groups=groups), {}, (*lengths, features)

    def apply(params, state, inputs, *, key=None, train=False):
        x, kernel = computed(inputs, dtype), params["kernel"]
        _groups(label, x.shape, window.rank, kernel.shape, shapes)
        results(x.shape[1:])
        flipped = jax.lax.rev(kernel.astype(x.dtype), range(window.rank))
        margins = [
            (span - 1 - low, span - 1 - high) for span, (low, high) in zip(window.spans, _cut(window), strict=True)
        ]
        ones = (1,) * window.rank
        return with_bias(convolve(x, flipped, ones, margins, window.strides, window.dilation, groups), params), state

    return Model(init, apply, name=name or "conv_transpose", named=name is not None, mixes_examples=False)


def _cut(window: _windows.Windows) -> _windows.Pairs:
    """What a transposed convolution leaves out before and behind."""
    if window.padding != "same":
        return window.pairs(())
    total = [span - stride for span, stride in zip(window.spans, window.strides, strict=True)]
    # A window smaller than the stride leaves places that nothing is added to, all of them behind.
    return tuple((max(t, 0) // 2, t - max(t, 0) // 2) for t in total)
