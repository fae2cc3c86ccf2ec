"""What every test runs under: no silent rank promotion, warnings as errors, compiled programs kept between runs."""

import gc
from pathlib import Path

import jax
import pytest

# Thousands of compiled programs are alive by the end, which every collection would walk through; they fit into memory.
gc.disable()

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".jax_cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # what one worker compiled serves the other
jax.config.update("jax_include_full_tracebacks_in_locations", False)  # lowering is quicker without


@pytest.fixture(scope="session")
def digits():
    """The bundled digits: inputs (1797, 64) in [0, 1], labels (1797,)."""
    from jaxdict import data

    return data.load("digits")
