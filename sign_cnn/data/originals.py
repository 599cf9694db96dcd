"""Which rows show the same photograph.

The CSVs hold about 20 near-identical variants of each photograph (resampled, pixelated, brighter or darker, turned by
3 degrees) and no word of which belong together. Splits and intervals by photograph need it, so it is read from the
pixels.

**Similarity** of two rows is the cosine of their images after the mean is removed; brightness and contrast do not
matter to it. Photographs are grown within each letter, from the most similar pair of rows downwards (single linkage):

- Above `threshold`, two groups of rows always join.
- Below it, they join only if one of them is a stray, which has less than two thirds of the rows that a photograph
  usually has: two groups with more cannot be one photograph. So a stray goes to the group of its most similar row;
  it stays alone if even that is below `VARIANT_SIMILARITY`.

What a photograph usually has is measured: the size of the group of the median row when everything above
`VARIANT_SIMILARITY` is joined; 21 rows in both official files.

**Why two rules.** In the official training file, similarities have a valley near .986 (1,800 pairs per .001, against
2,900 at .982 and 20,000 above .995), but it does not separate cleanly: 543 rows reach less than .995 of any other row
of their photograph (the least .943), while 18 photographs have a look-alike above .995. Sizes tell which cut is right,
since almost every photograph has 18 to 22 rows; two in one have about 42:

| threshold | groups | 18 to 22 rows | fewer | more | largest |
|---|---|---|---|---|---|
| .99, strays left alone | 1,347 | 1,273 | 47 | 27 | 62 |
| .99   | 1,304 | 1,276 | 1 | 27 | 62 |
| .995  | 1,323 | 1,312 | 1 | 10 | 42 |
| .998  | 1,329 | 1,323 | 1 |  5 | 42 |
| .999  | 1,332 | 1,327 | 2 |  3 | 25 |
| .9995 | 1,332 | 1,327 | 2 |  3 | 25 |

The test file gives 348 photographs at .999, 347 of them with 18 to 22 rows.

**Bursts** are look-alike photographs, taken a moment apart: `BURST_THRESHOLD` keeps them together. Pairs joined at .90
show the same hand before the same background, and the 1,332 photographs become 968 bursts, the largest 15 % of its
letter; at .86 that is 26 %, more than a fold of five can hold. Lowering the threshold only joins groups, so that no
burst divides a photograph.
"""

import numpy as np
from numpy.typing import NDArray

METHOD_VERSION = 1
"""Raised with every change that alters what is found, so that photographs found before are found anew."""

ORIGINAL_THRESHOLD = 0.999
"""Rows more similar than this are variants of one photograph."""

BURST_THRESHOLD = 0.90
"""Rows more similar than this are shots of one burst."""

VARIANT_SIMILARITY = 0.94
"""The least similarity of a variant to the nearest other variant of its photograph."""


def find_originals(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], threshold: float = ORIGINAL_THRESHOLD
) -> NDArray[np.int64]:
    """The photograph that each row shows, never one photograph for two labels.

    Rows that are alone in showing their photograph get one each; images of one flat grey are never similar to anything.

    Args:
        images: uint8 (N, height, width), 0..255.
        labels: uint8 (N,), class indices.
        threshold: Cosine similarity above which two groups of rows always join; lower it for bursts.

    Returns:
        int64 (N,), photographs 0..G-1 in the order of their first rows.

    Raises:
        ValueError: if the shapes do not match or the threshold is not in (0, 1).
    """
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(f"images must be (N, height, width) with labels (N,), got {images.shape} and {labels.shape}")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold is a cosine similarity between 0 and 1, got {threshold}")
    first, second, similarity = _strongest_links(images, labels, min(threshold, VARIANT_SIMILARITY))
    stray_below = _usual_rows(first, second, similarity, len(labels)) * 2 / 3
    return _grow(first, second, (similarity > threshold).tolist(), stray_below, len(labels))


def _strongest_links(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], floor: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of rows that single linkage can use, most similar first: each letter's spanning forest above `floor`."""
    # Here, since what was found before does not need the second that scipy takes to import; the same below.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    pixels = images.reshape(len(images), np.prod(images.shape[1:])).astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    pixels /= np.maximum(np.linalg.norm(pixels, axis=1, keepdims=True), 1e-6)  # a flat image stays zero
    firsts, seconds, similarities = [], [], []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        cosine = pixels[rows] @ pixels[rows].T
        i, j = np.nonzero(np.triu(cosine > floor, k=1))
        # 2 - cosine: a sparse graph would take the distance 0 of two equal images for no link.
        graph = coo_array((2.0 - cosine[i, j].astype(np.float64), (i, j)), shape=cosine.shape)
        forest = minimum_spanning_tree(graph.tocsr()).tocoo()
        firsts.append(rows[forest.row])
        seconds.append(rows[forest.col])
        similarities.append(2.0 - forest.data)
    if not firsts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    similarity = np.concatenate(similarities)
    order = np.argsort(-similarity, kind="stable")
    return np.concatenate(firsts)[order], np.concatenate(seconds)[order], similarity[order]


def _usual_rows(
    first: NDArray[np.int64], second: NDArray[np.int64], similarity: NDArray[np.float64], num_rows: int
) -> float:
    """How many rows a photograph usually has: the size of the median row's group above `VARIANT_SIMILARITY`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    near = similarity > VARIANT_SIMILARITY
    graph = coo_array((np.ones(near.sum()), (first[near], second[near])), shape=(num_rows, num_rows))
    _, group = connected_components(graph, directed=False)
    return float(np.median(np.bincount(group)[group])) if num_rows else 0.0


def _grow(
    first: NDArray[np.int64], second: NDArray[np.int64], always: list[bool], stray_below: float, num_rows: int
) -> NDArray[np.int64]:
    """Join groups link by link; returns group ids in the order of their first rows.

    The spanning forest is enough: a link outside it closes a ring of stronger ones, and where one of those was refused,
    neither side was a stray any more.
    """
    parent = list(range(num_rows))
    size = [1] * num_rows

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for i, j, joins in zip(first.tolist(), second.tolist(), always, strict=True):
        a, b = sorted((root(i), root(j)))
        if joins or min(size[a], size[b]) < stray_below:
            parent[b] = a  # the smaller row number stays the root, so roots sort like first rows
            size[a] += size[b]
    return np.unique(np.array([root(row) for row in range(num_rows)], dtype=np.int64), return_inverse=True)[1]
