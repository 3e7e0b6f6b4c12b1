"""Check a built wheel: its size, what must be in it and what must not. Usage: check_wheel.py FOLDER"""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

MOST_BYTES = 12_000_000
MOST_WEIGHT_BYTES = 9_500_000
FOLDERS = ("vidorch/", "vidorch_local/", "vidorch_providers/", "vidorch-")
NEEDED = (
    r"vidorch/py\.typed",
    r"vidorch_local/py\.typed",
    r"vidorch_providers/py\.typed",
    r"vidorch/catalog/data/\w+\.toml",
    r"vidorch_local/mini/.+\.(npz|safetensors|onnx|bin)",
    r"vidorch-[^/]+\.dist-info/licenses/LICENSE",
    r"vidorch-[^/]+\.dist-info/entry_points\.txt",
)
BANNED = (
    r"(^|/)mini_training/",
    r"(^|/)tests?/",
    r"(^|/)benchmarks/",
    r"__pycache__",
    r"\.pyc$",
    r"\.(mp4|pt|ckpt)$",
)


def faults(wheel: Path) -> list[str]:
    """What is wrong with a wheel, in words; empty when nothing is."""
    found = []
    size = wheel.stat().st_size
    if size > MOST_BYTES:
        found.append(f"it has {size:,} bytes, more than {MOST_BYTES:,}")
    with zipfile.ZipFile(wheel) as archive:
        members = {member.filename: member.file_size for member in archive.infolist()}
    weights = sum(n for name, n in members.items() if re.fullmatch(NEEDED[4], name))
    if weights > MOST_WEIGHT_BYTES:
        found.append(f"its weights have {weights:,} bytes, more than {MOST_WEIGHT_BYTES:,}")
    found += [
        f"nothing in it is {needed}"
        for needed in NEEDED
        if not any(re.fullmatch(needed, name) for name in members)
    ]
    found += [f"{name} does not belong in it" for name in members if not name.startswith(FOLDERS)]
    found += [
        f"{name} does not belong in it" for name in members if any(re.search(one, name) for one in BANNED)
    ]
    print(f"{wheel.name}: {size:,} bytes, {len(members)} files, weights {weights:,} bytes")
    return found


def main() -> int:
    """Exit code 1 when there is not exactly one wheel in the folder, or something is wrong with it."""
    wheels = sorted(Path(sys.argv[1]).glob("*.whl"))
    if len(wheels) != 1:
        print(f"One wheel was expected in {sys.argv[1]}, not {len(wheels)}.")
        return 1
    problems = faults(wheels[0])
    for problem in problems:
        print(f"  {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
