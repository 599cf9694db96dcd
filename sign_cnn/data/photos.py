"""Which rows show the same photo.

The CSVs hold about 20 near-identical variants of each photo (resampled, pixelated, brighter or
darker, turned by 3 degrees), and do not say which belong together. Splits and intervals by photo
need that, so it is read from the pixels.

**Similarity** of two rows is the cosine of their pictures after the mean is removed, so that
brightness and contrast do not matter. Photos are grown within each class, from the most similar
pair of rows downwards (single linkage):

- Above `threshold`, two groups of rows always join.
- Below it, they join only if one of them is a stray, which has less than two thirds of the rows
  that a photo usually has (the group of the median row when all above `VARIANT_SIMILARITY` is
  joined; 21 rows in both official files): two groups with more cannot be one photo. A stray stays
  alone if even its most similar row is below `VARIANT_SIMILARITY`.

`docs/data.md` says why it takes two rules.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

METHOD_VERSION = 2
"""Raise it with every change that alters what is found: cached groups are then found anew."""
PHOTO_THRESHOLD = 0.999  # rows more similar than this are variants of one photo
VARIANT_SIMILARITY = 0.94  # least similarity of a variant to the nearest one of its photo
LOOKALIKE_THRESHOLD = 0.90  # rows more similar show look-alike photos
MAX_SIZE = 32  # pixels; larger pictures are compared at a smaller size
BLOCK = 2048  # rows that are compared with all others at once

Images = NDArray[np.uint8]
Numbers = NDArray[np.int64]


def group_photos(
    images: Images, labels: NDArray[np.integer], strays: bool = True
) -> tuple[Numbers, Numbers]:
    """Number the photo that each row shows, and the group of look-alike photos it belongs to.

    Args:
        images: uint8 (N, …, S, S), 0..255, grey or colour. One of a single grey is never similar to
            another.
        labels: Class of each row, (N,).
        strays: Whether strays join a photo, as the variants of Sign Language MNIST need it.

    Returns:
        Photos and look-alikes, int64 (N,) each, numbered from 0 in the order of first rows. Rows of
        two classes never have the same number, and look-alikes are whole photos.
    """
    # Imported here because it takes a second, and is not needed once the groups are cached.
    from scipy.cluster.hierarchy import DisjointSet

    links = _strongest_links(images, labels)
    near = links[:, links[2] > VARIANT_SIMILARITY]
    stray_below = 0.0
    if strays:
        variants = _join(near, len(labels))
        stray_below = float(2 / 3 * np.median(np.bincount(variants)[variants]))
    # The forest is enough: a link outside it closes a ring of stronger ones, and where one of those
    # was refused, neither side was a stray any more.
    groups = DisjointSet(range(len(labels)))
    first, second = near[:2].astype(np.int64).tolist()
    for i, j, always in zip(first, second, near[2] > PHOTO_THRESHOLD, strict=True):
        if always or min(groups.subset_size(i), groups.subset_size(j)) < stray_below:
            groups.merge(i, j)
    photos = pd.factorize(np.array([groups[row] for row in range(len(labels))], np.int64))[0]
    return photos, _join(links, len(labels))


def nearest_similarity(
    images: Images,
    labels: NDArray[np.integer],
    others: Images,
    other_labels: NDArray[np.integer],
) -> NDArray[np.float32]:
    """Return the similarity of each picture to the nearest of the others of its class.

    Args:
        images: uint8 (N, …, S, S), 0..255.
        labels: Class of each of them, (N,).
        others: uint8 (M, …, S, S), 0..255.
        other_labels: Class of each of them, (M,).

    Returns:
        float32 (N,), -1..1; -1 where there is no other of the class.
    """
    nearest = np.full(len(labels), -1, np.float32)
    for label in np.intersect1d(labels, other_labels):
        rows = np.flatnonzero(labels == label)
        others_of_class = _directions(others[other_labels == label])
        nearest[rows] = (_directions(images[rows]) @ others_of_class.T).max(axis=1)
    return nearest


def _directions(images: NDArray[Any]) -> NDArray[np.float32]:
    """Turn pictures into unit vectors, whose products are similarities.

    Args:
        images: uint8 (N, …, S, S), 0..255.

    Returns:
        float32 (N, values); the vector of a picture of a single grey is 0.
    """
    step = -(-images.shape[-1] // MAX_SIZE)
    if step > 1:  # sums of blocks; rows and columns that fill no block are left out
        size, parts = images.shape[-1] // step, np.array_split(images, len(images) // BLOCK + 1)
        add = np.kron(np.eye(size, dtype=np.float32), np.ones((step, 1), np.float32))
        cut = (part[..., : size * step, : size * step].astype(np.float32) for part in parts)
        images = np.concatenate([add.T @ (part @ add) for part in cut])
    pixels = images.reshape(len(images), -1).astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    pixels /= np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-6)
    return pixels


def _join(links: NDArray[np.float64], num_rows: int) -> Numbers:
    """Return the group of each row, numbered by first rows; links join the rows of a group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((links[2], links[:2].astype(np.int64)), shape=(num_rows, num_rows))
    return pd.factorize(connected_components(graph, directed=False)[1].astype(np.int64))[0]


def _strongest_links(images: Images, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the pairs of rows that single linkage can use, most similar first.

    They are each class's spanning forest above `LOOKALIKE_THRESHOLD`, as float64 (3, pairs): one
    row, the other row, their similarity.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    forests = [np.empty((3, 0))]
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        pixels, forest = _directions(images[rows]), np.empty((3, 0))
        for start in range(0, len(rows), BLOCK):
            cosine = pixels[start : start + BLOCK] @ pixels[start:].T
            i, j = np.nonzero(np.triu(cosine > LOOKALIKE_THRESHOLD, k=1))
            # 2 - cosine: a sparse graph would take the distance 0 of two equal pictures for no
            # link.
            links = np.stack([i + start, j + start, 2.0 - cosine[i, j].astype(np.float64)])
            first, second, distance = np.concatenate([forest, links], axis=1)
            ends = first.astype(np.int64), second.astype(np.int64)
            graph = coo_array((distance, ends), shape=(len(rows), len(rows))).tocsr()
            tree = minimum_spanning_tree(graph).tocoo()
            forest = np.stack([tree.row, tree.col, tree.data])
        pairs = forest[:2].astype(np.int64)
        forests.append(np.stack([*rows[pairs], 2.0 - forest[2]]))
    found = np.concatenate(forests, axis=1)
    return found[:, np.argsort(-found[2], kind="stable")]
