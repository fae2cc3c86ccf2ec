"""Record stacks of PyTorch and Keras layers for the suite: weights, inputs, outputs in tests/recorded/stacks.npz.

    .venv-bench/bin/python benchmarks/record_stacks.py

Names are ``framework/stack/in``, ``…/out`` and ``…/weights/name``.
"""

import os
import platform

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import torch
from torch import nn

import _timing

RECORDED = _timing.HERE.parent / "tests" / "recorded" / "stacks.npz"
RNG = np.random.default_rng(0)

TORCH = {
    "dense": (
        nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3, bias=False)),
        (5,),
    ),
    "images": (
        nn.Sequential(
            nn.Conv2d(2, 4, (3, 2)), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.BatchNorm1d(24),
            nn.Linear(24, 3),
        ),
        (2, 6, 8),
    ),
    "signals": (
        nn.Sequential(nn.Conv1d(2, 4, 3, groups=2), nn.Tanh(), nn.Flatten(), nn.Linear(16, 2)),
        (2, 6),
    ),
    "transposed": (
        nn.Sequential(nn.ConvTranspose2d(4, 6, (2, 3), groups=2), nn.Flatten(), nn.Linear(120, 2)),
        (4, 3, 3),
    ),
}  # fmt: skip
KERAS = {
    "dense": (
        [
            keras.layers.Dense(7), keras.layers.BatchNormalization(), keras.layers.ReLU(),
            keras.layers.Dense(3, use_bias=False),
        ],
        (5,),
    ),
    "images": (
        [
            keras.layers.Conv2D(4, (3, 2)), keras.layers.BatchNormalization(), keras.layers.ReLU(),
            keras.layers.MaxPooling2D(2), keras.layers.Flatten(), keras.layers.Dense(3),
        ],
        (6, 8, 2),
    ),
    "transposed": (
        [
            keras.layers.DepthwiseConv2D((2, 2), depth_multiplier=2), keras.layers.Conv2DTranspose(3, (2, 3)),
            keras.layers.Flatten(), keras.layers.Dense(2),
        ],
        (4, 4, 2),
    ),
}  # fmt: skip


def spread(shape: tuple[int, ...], name: str) -> np.ndarray:
    """Weights away from where training starts them; variances positive."""
    draws = RNG.normal(0.1, 0.5, shape)
    return (np.abs(draws) + 0.5 if "var" in name else draws).astype(np.float32)


def main() -> None:
    found: dict[str, np.ndarray] = {}
    for name, (module, shape) in TORCH.items():
        state = {n: torch.as_tensor(spread(tuple(v.shape), n)) for n, v in module.state_dict().items() if v.ndim}
        module.load_state_dict(state, strict=False)
        module.eval()
        x = RNG.normal(0.2, 1, (3, *shape)).astype(np.float32)
        with torch.no_grad():
            out = module(torch.as_tensor(x)).numpy()
        found |= {f"torch/{name}/in": x, f"torch/{name}/out": out}
        found |= {f"torch/{name}/weights/{n}": v.numpy() for n, v in module.state_dict().items()}
    for name, (layers, shape) in KERAS.items():
        model = keras.Sequential([keras.layers.Input(shape), *layers])
        model.set_weights([spread(w.shape, w.path) for w in model.weights])
        x = RNG.normal(0.2, 1, (3, *shape)).astype(np.float32)
        found |= {f"keras/{name}/in": x, f"keras/{name}/out": np.asarray(model(x, training=False))}
        found |= {f"keras/{name}/weights/{i}:{w.path}": np.asarray(w) for i, w in enumerate(model.weights)}
    versions = (
        f"torch {torch.__version__}, keras {keras.__version__} on {keras.backend.backend()}, numpy {np.__version__}"
    )
    found["provenance"] = np.array(f"benchmarks/record_stacks.py; {versions}, Python {platform.python_version()}")
    np.savez_compressed(RECORDED, allow_pickle=False, **found)
    print(found["provenance"], {n: a.shape for n, a in found.items()})


if __name__ == "__main__":
    main()
