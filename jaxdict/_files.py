"""Files that are there as a whole or not at all."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> Path:
    """Write ``text`` beside ``path`` and move it over, so that a kill leaves the old file or the new one; the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    return path
