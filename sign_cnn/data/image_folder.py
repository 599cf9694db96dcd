"""A folder of pictures with a sub-folder per class, as torchvision's `ImageFolder` has it."""

import hashlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torchvision.datasets.folder import IMG_EXTENSIONS

from sign_cnn.config import ImageFolderConfig
from sign_cnn.data.base import DataIdentity, Rows
from sign_cnn.data.cache import load_or_make, stamp
from sign_cnn.data.photos import METHOD_VERSION, group_photos, nearest_similarity
from sign_cnn.data.pictures import PictureDataModule
from sign_cnn.data.splits import Split
from sign_cnn.errors import DataError
from sign_cnn.images import open_image

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
VAL, TEST = 1, 2


class ImageFolderDataModule(PictureDataModule):
    """Pictures in `root/<class>/*`, or in `root/{train,val,test}/<class>/*`.

    All files below a class's folder are its pictures, at any depth; hidden files are left out. The
    parsed pictures are cached in one file, named after names, sizes and times of the files.
    """

    schema = ImageFolderConfig
    config: ImageFolderConfig

    @cached_property
    def class_names(self) -> list[str]:
        """Names of the folders in alphabetical order.

        Raises:
            DataError: If there is no such folder, or it has fewer than two classes.
        """
        train, *others = self._pictures.values()
        if len(train) < 2:
            problem = f"has pictures of {len(train)} classes, but it takes two or more"
            way_out = "set data.root to the folder that holds one sub-folder per class"
            raise DataError(f"{self.config.root} {problem}: {way_out}")
        if unknown := sorted(set().union(*others) - set(train)):
            problem = f"has classes without training pictures: {', '.join(unknown)}"
            raise DataError(f"{self.config.root} {problem}")
        return list(train)

    @cached_property
    def image_size(self) -> int:
        """Height and width in pixels: the setting, else that of the first picture."""
        if self.config.image_size:
            return self.config.image_size
        path, *_ = self._files[0]
        width, height = open_image(path).size
        if width != height:
            problem = f"has {width}×{height} pixels and is not square"
            raise DataError(f"{path} {problem}: set data.image_size")
        return width

    @cached_property
    def identity(self) -> DataIdentity:
        stored = load_or_make(self._cached, self._parse, ["fingerprint"])
        description = f"{len(self._files):,} pictures of {self.num_classes} classes"
        text = f"{description} in {self.config.root}"
        return DataIdentity(str(stored["fingerprint"]), "image_folder", text)

    def load(self) -> tuple[Rows, Rows]:
        """Read the pictures.

        Raises:
            DataError: If a picture cannot be read, or pictures differ in size and `image_size` is
                not set.
        """
        stored = load_or_make(self._cached, self._parse)
        groups = {name: stored[name] for name in ("folder", "photo", "lookalike")}
        more = {"photos": stored["photo"], "groups": groups, "similarity": stored["similarity"]}
        rows = Rows.make(stored["inputs"], stored["labels"], **more)
        end = np.searchsorted(groups["folder"], TEST)  # slices, which copy no pixels
        return rows.take(slice(end)), rows.take(slice(end, None))

    def split_training(self) -> Split:
        """Divide the training rows; `auto` becomes what these pictures allow."""
        in_val = self.train_rows.groups["folder"] == VAL
        if self.val_split == "auto":
            lookalikes, labels = self.train_rows.groups["lookalike"], self.train_rows.labels
            share = np.bincount(lookalikes)[lookalikes] / np.bincount(labels)[labels]
            apart = "lookalike" if share.max() < 0.5 else "photo"
            self.val_split = "folder" if in_val.any() else apart
            log.info("data.val_split=%s", self.val_split)
        if self.val_split != "folder":
            return super().split_training()
        if not in_val.any():
            place = Path(self.config.root, "val", "<class>")
            raise DataError(f"data.val_split=folder needs pictures in {place}")
        return Split(np.flatnonzero(~in_val), np.flatnonzero(in_val))

    @cached_property
    def _pictures(self) -> dict[str, dict[str, list[Path]]]:
        """Return the pictures of each split that there is, training first, by class."""
        root = Path(self.config.root)
        if not root.is_dir():
            way_out = "name one with data.root, with a sub-folder per class"
            raise DataError(f"there is no folder {root}: {way_out}")
        found = {split: _find_pictures(root / split) for split in SPLITS}
        if not found["train"]:
            return {"train": _find_pictures(root)}
        return {split: pictures for split, pictures in found.items() if pictures}

    @cached_property
    def _files(self) -> list[tuple[Path, int, int]]:
        """Return path, class and number of the split of each picture."""
        return [
            (path, self.class_names.index(name), SPLITS.index(split))
            for split, classes in self._pictures.items()
            for name, paths in classes.items()
            for path in paths
        ]

    @cached_property
    def _cached(self) -> Path:
        settings = self.class_names, self.inputs, self.config.image_size, METHOD_VERSION
        key = stamp((path for path, *_ in self._files), *settings)
        return Path(self.config.cache_dir, f"image_folder-{key}.npz")

    def _parse(self) -> dict[str, Any]:
        paths, labels, folder = map(np.array, zip(*self._files, strict=True))
        log.info("reading %d pictures, once", len(paths))
        inputs = np.empty((len(paths), *self.inputs.shape), np.uint8)

        def read(row: int) -> None:
            image = open_image(paths[row])
            if image.size != (self.image_size,) * 2 and not self.config.image_size:
                sizes = f"{image.width}×{image.height} pixels, and others {self.image_size}"
                raise DataError(f"{paths[row]} has {sizes}: set data.image_size to fit them all")
            inputs[row] = self.inputs.read(image, str(paths[row]))

        with ThreadPoolExecutor() as pool:  # Pillow decodes without holding Python's lock
            for _ in pool.map(read, range(len(paths))):
                pass
        stored = {"inputs": inputs, "labels": labels, "folder": folder}
        digest = hashlib.sha256(f"{self.class_names} {self.inputs}".encode())
        for array in stored.values():
            digest.update(array.data)
        end, similarity = np.searchsorted(folder, TEST), np.full(len(paths), np.nan, np.float32)
        test, train = ((inputs[part], labels[part]) for part in (slice(end, None), slice(end)))
        similarity[end:] = nearest_similarity(*test, *train)
        photo, lookalike = group_photos(inputs, labels, strays=False)
        found = {"photo": photo, "lookalike": lookalike, "similarity": similarity}
        return stored | found | {"fingerprint": digest.hexdigest()}


def _find_pictures(place: Path) -> dict[str, list[Path]]:
    """Return the visible pictures below each visible sub-folder that has some, all sorted."""
    found: dict[str, list[Path]] = {}
    for folder, folders, names in os.walk(place, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        pictures = [name for name in names if name.lower().endswith(IMG_EXTENSIONS)]
        if pictures and (parts := Path(folder).relative_to(place).parts):
            paths = [Path(folder, name) for name in pictures if not name.startswith(".")]
            found.setdefault(parts[0], []).extend(paths)
    return {name: sorted(found[name]) for name in sorted(found) if found[name]}
