import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def csv_text(labels: Sequence[int] = (0, 1) * 4, size: int = 8, seed: int = 0) -> str:
    """Return random pictures of `size`² pixels, one row per raw label."""
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), size**2))
    header = ["label", *(f"pixel{i}" for i in range(1, size**2 + 1))]
    rows = [header, *([label, *row] for label, row in zip(labels, pixels.tolist(), strict=True))]
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


TEXT = csv_text()


def write_pair(
    root: Path, train: str | bytes = TEXT, test: str | bytes = TEXT, suffix: str = ".csv"
) -> Path:
    """Write both files of a set into one folder."""
    root.mkdir(parents=True, exist_ok=True)
    for split, content in (("train", train), ("test", test)):
        content = content.encode() if isinstance(content, str) else content
        (root / f"sign_mnist_{split}{suffix}").write_bytes(content)
    return root


def zipped(members: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()
