"""Draw docs/images/augmentation.png, what every augmentation makes of ten digits.

python docs/augmentation.py [FILE]
"""

import sys
from pathlib import Path

from jaxdict.contact_sheet import contact_sheet

TARGET = Path(__file__).resolve().parent / "images" / "augmentation.png"


def main(arguments: list[str]) -> None:
    """Draw, and write the picture to the file named in ``arguments``, docs/images/augmentation.png without one."""
    (path,) = [Path(a) for a in arguments] or [TARGET]
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(path=path)
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
