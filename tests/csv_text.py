import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sign_cnn.config import SyntheticConfig
from sign_cnn.data.synthetic.pictures import make_pictures
from sign_cnn.letters import FILES, PHOTOS_FILE


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


def write_synthetic(root: Path, size: SyntheticConfig) -> Path:
    """Write synthetic hands as a set of CSVs, and their photos and sessions beside them."""
    pixels, table = make_pictures(size)
    parts = [table[table["split"] == split] for split in ("train", "test")]
    for name, rows in zip(FILES, parts, strict=True):
        content = np.column_stack([rows["label"], pixels[rows.index].reshape(len(rows), -1)])
        header = ["label", *(f"pixel{i}" for i in range(1, content.shape[1]))]
        pd.DataFrame(content, columns=header).to_csv(root / name, index=False)
    photos = [part.assign(row=range(len(part))).rename(columns={"split": "file"}) for part in parts]
    pd.concat(photos).to_csv(root / PHOTOS_FILE, index=False)
    return root


def zipped(members: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()
