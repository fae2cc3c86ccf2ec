"""Data: read it, check it where it enters, split and standardize it, and name it by a fingerprint.

Conventions of the room. Data are NumPy arrays on the host, examples along the first axis. Inputs are float32; class
labels are int32 indices into ``classes``, the sorted different labels of all parts; regression targets are float32.
Nothing here is pickled or unpickled, and the bundled sets are read without importing scikit-learn.
"""

from jaxdict.data.checks import check, count_examples, fingerprint
from jaxdict.data.dataset import (
    Dataset,
    Standardizer,
    Task,
    fit_standardizer,
    folds,
    split,
    split_indices,
    standardize,
)
from jaxdict.data.readers import load, load_csv, load_idx, load_npz, read_idx
from jaxdict.data.streaming import Stream, stream

__all__ = [
    "Dataset", "Standardizer", "Stream", "Task", "check", "count_examples", "fingerprint", "fit_standardizer", "folds",
    "load", "load_csv", "load_idx", "load_npz", "read_idx", "split", "split_indices", "standardize", "stream",
]  # fmt: skip
