"""Union-find over views, with pairs that must stay apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.inference.objects.kernels import Edges

Pairs = NDArray[np.int64]


def grouped(groups: NDArray[np.int64], links: Pairs, apart: Pairs) -> NDArray[np.int64]:
    """The groups (view,) after joining `links` (pair, 2) in order; the earliest view stands for a group.

    `groups` holds the index of the view that stands for each view's group so far. A link is left out when its two
    groups hold a pair of `apart`.
    """
    return _joined(groups, links, adjacency(apart, len(groups)))


def adjacency(pairs: Pairs, count: int) -> Edges:
    """The partners of each of `count` views, rising."""
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
    return Edges(np.ascontiguousarray(ends[:, 1]), np.searchsorted(ends[:, 0], np.arange(count + 1)))


@compiled
def _joined(groups: NDArray[np.int64], links: Pairs, apart: Edges) -> NDArray[np.int64]:
    parent = groups.copy()
    following = np.arange(groups.shape[0])  # the members of a group, in a ring
    size = np.ones(groups.shape[0], np.int64)
    for i in range(groups.shape[0]):
        root = groups[i]
        if root != i:
            following[i], following[root] = following[root], i
            size[root] += 1
    for k in range(links.shape[0]):
        a, b = _root(parent, links[k, 0]), _root(parent, links[k, 1])
        if a == b:
            continue
        smaller, larger = (a, b) if size[a] < size[b] else (b, a)
        if _stay_apart(parent, following, apart, smaller, larger):
            continue
        root, other = min(a, b), max(a, b)
        parent[other] = root
        size[root] += size[other]
        following[a], following[b] = following[b], following[a]
    for i in range(groups.shape[0]):
        parent[i] = _root(parent, i)
    return parent


@compiled
def _root(parent: NDArray[np.int64], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled
def _stay_apart(
    parent: NDArray[np.int64], following: NDArray[np.int64], apart: Edges, smaller: int, larger: int
) -> bool:
    member = smaller
    while True:
        for e in range(apart.bounds[member], apart.bounds[member + 1]):
            if _root(parent, apart.partners[e]) == larger:
                return True
        member = following[member]
        if member == smaller:
            return False
