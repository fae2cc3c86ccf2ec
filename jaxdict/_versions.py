"""What runs here: versions of Python, jax and the packages around them, and the devices."""

import importlib.metadata
import os
import platform
import sys

import jax

from jaxdict import __version__

_PACKAGES = (
    "jax", "jaxlib", "optax", "numpy", "safetensors", "rich", "pydantic", "typer", "matplotlib", "scikit-learn",
    "tensorboardX",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Versions by name, "not installed" where a package is missing; packages are asked, not imported."""
    found = {"jaxdict": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def system() -> dict[str, str]:
    """The machine: operating system, processor count, and the devices that jax uses."""
    devices = jax.devices()
    kinds = sorted({device.device_kind for device in devices})
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "devices": f"{len(devices)} × {', '.join(kinds)} ({jax.default_backend()})",
    }


def show_versions() -> None:
    """Print the versions and the machine, one a line: what a bug report needs."""
    rows = versions() | system()
    width = max(map(len, rows))
    sys.stdout.write("".join(f"{name:<{width}}  {value}\n" for name, value in rows.items()))
