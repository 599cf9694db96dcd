"""Which rows show the same photo.

The CSVs hold about 20 near-identical variants of each photo (resampled, pixelated, brighter or darker, turned by 3
degrees) and no word of which belong together. Splits and intervals by photo need it, so it is read from the pixels.

**Similarity** of two rows is the cosine of their images after the mean is removed; brightness and contrast do not
matter to it. Photos are grown within each letter, from the most similar pair of rows downwards (single linkage):

- Above `threshold`, two groups of rows always join.
- Below it, they join only if one of them is a stray, which has less than two thirds of the rows that a photo usually
  has (the group of the median row when all above `VARIANT_SIMILARITY` is joined; 21 rows in both official files): two
  groups with more cannot be one photo. A stray stays alone if even its most similar row is below `VARIANT_SIMILARITY`.

`docs/data.md` says why it takes two rules, with the numbers by threshold.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

METHOD_VERSION = (
    2  # raise it with every change that alters what is found, so that cached groups are found anew
)
PHOTO_THRESHOLD = 0.999  # rows more similar than this are variants of one photo
LOOKALIKE_THRESHOLD = (
    0.90  # rows more similar show look-alike photos; at .86 one group is more than a fold can hold
)
VARIANT_SIMILARITY = (
    0.94  # the least similarity of a variant to the nearest other variant of its photo
)


def group_photos(
    images: NDArray[np.uint8], labels: NDArray[np.integer], threshold: float = PHOTO_THRESHOLD
) -> NDArray[np.int64]:
    """Number the photo that each row shows: int64 (N,), 0..G-1 in the order of first rows; never one for two labels.

    Args:
        images: uint8 (N, height, width), 0..255; one of a flat grey is never similar to anything.
        labels: (N,), one number per letter.
        threshold: Cosine similarity in (0, 1) above which two groups of rows always join; lower it for look-alikes.
    """
    from scipy.cluster.hierarchy import (
        DisjointSet,
    )  # a second; not needed once the groups are cached
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    num_rows = len(labels)
    links = _strongest_links(images, labels, min(threshold, VARIANT_SIMILARITY))
    first, second = links[:2].astype(np.int64)
    near = links[2] > VARIANT_SIMILARITY
    graph = coo_array(
        (np.ones(near.sum()), (first[near], second[near])), shape=(num_rows, num_rows)
    )
    _, variants = connected_components(graph, directed=False)
    stray_below = 2 / 3 * np.median(np.bincount(variants)[variants])

    # The forest is enough: a link outside it closes a ring of stronger ones, and where one of those was refused,
    # neither side was a stray any more.
    groups = DisjointSet(range(num_rows))
    for i, j, always in zip(
        first.tolist(), second.tolist(), (links[2] > threshold).tolist(), strict=True
    ):
        if always or min(groups.subset_size(i), groups.subset_size(j)) < stray_below:
            groups.merge(i, j)
    return pd.factorize(np.array([groups[row] for row in range(num_rows)]))[0]


def nearest_similarity(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    others: NDArray[np.uint8],
    other_labels: NDArray[np.integer],
) -> NDArray[np.float32]:
    """Similarity of each image to the nearest of the others with its label: (N,), -1..1; -1 if none."""
    nearest = np.full(len(labels), -1, np.float32)
    for label in np.intersect1d(labels, other_labels):
        rows = np.flatnonzero(labels == label)
        nearest[rows] = (
            _directions(images[rows]) @ _directions(others[other_labels == label]).T
        ).max(axis=1)
    return nearest


def _directions(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Unit vectors float32 (N, pixels) whose products are similarities; that of a flat image is zero."""
    pixels = images.reshape(len(images), -1).astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    pixels /= np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-6)
    return pixels


def _strongest_links(
    images: NDArray[np.uint8], labels: NDArray[np.integer], floor: float
) -> NDArray[np.float64]:
    """Pairs of rows that single linkage can use, most similar first: each letter's spanning forest above `floor`.

    float64 (3, pairs): one row, the other row, their similarity.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    pixels = _directions(images)
    forests: list[NDArray[np.float64]] = [np.empty((3, 0))]
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        cosine = pixels[rows] @ pixels[rows].T
        i, j = np.nonzero(np.triu(cosine > floor, k=1))
        # 2 - cosine: a sparse graph would take the distance 0 of two equal images for no link.
        graph = coo_array((2.0 - cosine[i, j].astype(np.float64), (i, j)), shape=cosine.shape)
        forest = minimum_spanning_tree(graph.tocsr()).tocoo()
        forests.append(np.stack([rows[forest.row], rows[forest.col], 2.0 - forest.data]))
    links = np.concatenate(forests, axis=1)
    return links[:, np.argsort(-links[2], kind="stable")]
