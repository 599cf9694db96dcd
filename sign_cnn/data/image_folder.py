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
from sign_cnn.data.base import DataIdentity, Split
from sign_cnn.data.photos import group_photos, nearest_similarity
from sign_cnn.data.pictures import SPLITS, TEST, TRAIN, VAL, PictureDataModule, name_cache
from sign_cnn.errors import DataError
from sign_cnn.images import open_image

log = logging.getLogger(__name__)


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
            DataError: If there are fewer than two, or one has no training pictures.
        """
        train = sorted({name for split, name, _ in self._files if split == TRAIN})
        if len(train) < 2:
            problem = f"{self.config.root} has pictures of {len(train)} classes, not of two or more"
            raise DataError(f"{problem}: set data.root to a folder with a sub-folder per class")
        if unknown := sorted({name for _, name, _ in self._files} - set(train)):
            problem = f"has no training pictures of {', '.join(unknown)}"
            raise DataError(f"{self.config.root} {problem}: add some, or remove these folders")
        return train

    @cached_property
    def image_size(self) -> int:
        """Height and width in pixels: the setting, else the width of the first picture."""
        return self.config.image_size or open_image(self._files[0][2]).width

    @cached_property
    def identity(self) -> DataIdentity:
        fingerprint = str(self.parsed["fingerprint"])
        count = f"{len(self._files):,} pictures of {self.num_classes} classes"
        return DataIdentity(fingerprint, "image_folder", f"{count} in {self.config.root}")

    @cached_property
    def cache_file(self) -> Path:
        settings = self.class_names, repr(self.inputs), self.config.image_size
        files = (path for _, _, path in self._files)
        return name_cache(self.config.cache_dir, "image_folder", files, *settings)

    def parse(self) -> dict[str, Any]:
        """Read the pictures.

        Returns:
            See the base class.

        Raises:
            DataError: If a picture cannot be read, or one is not square or differs in size from the
                others and `image_size` is not set.
        """
        splits, names, paths = zip(*self._files, strict=True)
        folder, labels = np.array(splits), np.array([self.class_names.index(n) for n in names])
        log.info("reading and caching %d pictures", len(paths))
        inputs, size = np.empty((len(paths), *self.inputs.shape), np.uint8), self.image_size

        def read(row: int) -> None:
            image = open_image(paths[row])
            if image.size != (size, size) and not self.config.image_size:
                raise DataError(f"{paths[row]} is not {size}×{size} pixels: set data.image_size")
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

    def split_training(self) -> Split:
        """Divide the training rows; `auto` becomes what these pictures allow.

        Returns:
            Numbers of the training rows to train and to validate on.

        Raises:
            DataError: If `val_split` is `folder`, and there is no such folder.
        """
        in_val = self.train_rows.groups["folder"] == VAL
        if self.val_split == "auto":
            lookalikes, labels = self.train_rows.groups["lookalike"], self.train_rows.labels
            share = np.bincount(lookalikes)[lookalikes] / np.bincount(labels)[labels]
            apart = "lookalike" if share.max() < 0.5 else "photo"
            self.val_split = "folder" if in_val.any() else apart
            log.info("data.val_split=auto becomes %s for these pictures", self.val_split)
        if self.val_split != "folder":
            return super().split_training()
        if not in_val.any():
            raise DataError(f"data.val_split=folder: no pictures in {self.config.root}/val/<class>")
        return Split(np.flatnonzero(~in_val), np.flatnonzero(in_val))

    @cached_property
    def _files(self) -> list[tuple[int, str, Path]]:
        """Return the number of the split, the class and the path of each picture, in order."""
        root, found = Path(self.config.root), list[tuple[int, str, Path]]()
        for number, split in enumerate(SPLITS):
            found += [(number, *picture) for picture in _find_pictures(root / split)]
        if found and found[0][0] == TRAIN:
            return found
        return [(TRAIN, *picture) for picture in _find_pictures(root)]


def _find_pictures(place: Path) -> list[tuple[str, Path]]:
    """Return class and path of the visible pictures below each visible sub-folder, sorted."""
    found = []
    for folder, folders, names in os.walk(place, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        pictures = [name for name in names if name.lower().endswith(IMG_EXTENSIONS)]
        if parts := Path(folder).relative_to(place).parts:
            found += [(parts[0], Path(folder, n)) for n in pictures if not n.startswith(".")]
    return sorted(found)
