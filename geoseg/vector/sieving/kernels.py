"""Kernels of a sieve's pass: patches of one class are found run by run, with what they border on.

A patch is a 4-connected component. Its label is that of its first run until it turns out to be one with another
(union-find, the lower label stays), or large enough: then it is joined to the label of its class, for of a large patch
nothing but the class matters to others. The labels below LARGE are these. Background has its class's label from the
start, and so has nodata, which no patch shares a side with.

What is known after a row is all that the next row needs, so the result cannot depend on how rows were grouped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.sieving.shares import CELL, FULL

LARGE = 256  # the first label of a patch that is not large (yet)
WORD = 8  # pixels in a machine word

# Columns of Patches.fields. FIRST is the topmost, then leftmost pixel, row * width + column. GOAL is what becomes of
# the patch: a class, a larger patch whose class it takes, UNKNOWN, or KEPT minus the class of a patch that none around
# is larger than.
PARENT, CLASS, SHARE, PIXELS, FIRST, GOAL = 0, 1, 2, 3, 4, 5
PATCH_FIELDS = 6
UNKNOWN, KEPT = -1, -2
PASSED_OVER = -1  # instead of the number of runs of the last row: all its patches are large

# Columns of Patches.sides and of Patches.runs.
ONE, OTHER, LENGTH = 0, 1, 2
ROW, START, STOP, LABEL = 0, 1, 2, 3

# Entries of Patches.counts: how many of each, the rows swept, the runs of the last row, and whether these were found.
LABELS, SIDES, RUNS, ROWS, LINE, FRESH = 0, 1, 2, 3, 4, 5
SIDES_A_PIXEL = 3  # at the most: with the run to the left, and two with the row above


class Patches(NamedTuple):
    """Patches whose class is not decided, with what they border on; arrays are replaced by longer ones.

    `fields` (label, field), `sides` (pair, 3) unit sides that two patches share, `runs` (run, 4) the pixels of patches
    that were not large when they were found. `starts` (2, width + 1), `values` and `labels` (2, width) are the runs of
    the last two rows, `last` (width,) the pixels of the last.
    """

    fields: NDArray[np.int64]
    sides: NDArray[np.int32]
    runs: NDArray[np.int32]
    counts: NDArray[np.int64]
    starts: NDArray[np.int32]
    values: NDArray[np.uint8]
    labels: NDArray[np.int32]
    last: NDArray[np.uint8]


class Rule(NamedTuple):
    """What is told of a pass: the values without patches (-1 where there is none), and what becomes of patches.

    `dropped` is the class of a patch that borders on nothing, `keep` whether one that is smaller than the least area,
    and larger than all around it, stays for another pass; `shift` is that of the shares.
    """

    background: int
    nodata: int
    dropped: int
    keep: bool
    shift: int


@compiled
def _find(fields: NDArray[np.int64], label: int) -> int:
    while fields[label, PARENT] != label:
        fields[label, PARENT] = fields[fields[label, PARENT], PARENT]
        label = int(fields[label, PARENT])
    return label


@compiled
def _union(fields: NDArray[np.int64], one: int, other: int) -> int:
    """The label of two patches that turned out to be one; both are roots."""
    keep, gone = min(one, other), max(one, other)
    if keep != gone:
        fields[gone, PARENT] = keep
        fields[keep, SHARE] = min(fields[keep, SHARE] + fields[gone, SHARE], FULL)
        fields[keep, PIXELS] += fields[gone, PIXELS]
        fields[keep, FIRST] = min(fields[keep, FIRST], fields[gone, FIRST])
    return keep


@compiled
def _new_patch(patches: Patches, class_id: int, first: int) -> int:
    label = int(patches.counts[LABELS])
    patches.counts[LABELS] += 1
    fields = patches.fields
    fields[label, PARENT] = label
    fields[label, CLASS] = class_id
    fields[label, SHARE] = fields[label, PIXELS] = 0
    fields[label, FIRST] = first
    fields[label, GOAL] = UNKNOWN
    return label


@compiled
def _border(patches: Patches, one: int, other: int, length: int) -> None:
    place = patches.counts[SIDES]
    patches.counts[SIDES] += 1
    patches.sides[place, ONE] = one
    patches.sides[place, OTHER] = other
    patches.sides[place, LENGTH] = length


@compiled
def _scan(
    pixels: NDArray[np.uint8], words: NDArray[np.uint64], starts: NDArray[np.int32], values: NDArray[np.uint8]
) -> int:
    """The number of runs of equal pixels in a row; `words` are as much of it as fills whole machine words."""
    width = pixels.size
    starts[0] = 0
    values[0] = value = pixels[0]
    repeated = np.uint64(value) * np.uint64(0x0101010101010101)
    count, x = 1, 1
    while x < width:
        while x % WORD == 0 and x // WORD < words.size and words[x // WORD] == repeated:
            x += WORD
        if x >= width:
            break
        if pixels[x] != value:
            starts[count] = x
            values[count] = value = pixels[x]
            repeated = np.uint64(value) * np.uint64(0x0101010101010101)
            count += 1
        x += 1
    starts[count] = width
    return count


@compiled
def _join_row(patches: Patches, rule: Rule, shares: NDArray[np.int64], small: bool) -> None:
    """Give the last row's runs their labels, and note what they border on; `small` is false where all are large."""
    counts, fields = patches.counts, patches.fields
    y = counts[ROWS]
    here, before = y % 2, (y + 1) % 2
    starts, values, labels = patches.starts[here], patches.values[here], patches.labels[here]
    starts_above, values_above, labels_above = patches.starts[before], patches.values[before], patches.labels[before]
    width = patches.last.size
    runs_above = counts[LINE] if y else 0
    above = 0
    for run in range(counts[FRESH]):
        value, start, stop = int(values[run]), starts[run], starts[run + 1]
        while above < runs_above and starts_above[above + 1] <= start:
            above += 1
        label = value
        if value != rule.background and value != rule.nodata:
            label = UNKNOWN if small else value
            place = above
            while place < runs_above and starts_above[place] < stop:
                if values_above[place] == value:
                    root = _find(fields, labels_above[place])
                    label = root if label == UNKNOWN else _union(fields, _find(fields, label), root)
                place += 1
            if label == UNKNOWN:
                label = _new_patch(patches, value, y * width + start)
            if label >= LARGE:
                length = stop - start
                fields[label, PIXELS] += length
                share = shares[(start + (length >> 1) + rule.shift) // CELL] * length
                fields[label, SHARE] = min(fields[label, SHARE] + share, FULL)
                if fields[label, SHARE] >= FULL:
                    fields[label, PARENT] = value
                    label = value
        labels[run] = label
        if value == rule.nodata:
            continue
        if run and values[run - 1] != rule.nodata and (label >= LARGE or labels[run - 1] >= LARGE):
            _border(patches, labels[run - 1], label, 1)
        place = above
        while place < runs_above and starts_above[place] < stop:
            if values_above[place] != value and values_above[place] != rule.nodata:
                other = labels_above[place]
                if other >= LARGE:
                    other = _find(fields, other)
                if label >= LARGE or other >= LARGE:
                    shared = min(stop, starts_above[place + 1]) - max(start, starts_above[place])
                    _border(patches, other, label, shared)
            place += 1
        if label >= LARGE:
            entry = patches.runs[counts[RUNS]]
            entry[ROW] = y
            entry[START] = start
            entry[STOP] = stop
            entry[LABEL] = label
            counts[RUNS] += 1


@compiled
def sweep(
    patches: Patches, rule: Rule, rows: NDArray[np.uint8], unsettled: NDArray[np.bool_], shares: NDArray[np.int64]
) -> int:
    """The number of rows swept before one found no room; `rows` (y, x) lie in whole words, `shares` is (y, cell).

    `unsettled` (y,) is false for rows that hold no small patch: next to one another they need not be looked at.
    """
    counts, width = patches.counts, patches.last.size
    words = rows.view(np.uint64)
    for row in range(rows.shape[0]):
        y = counts[ROWS]
        if counts[LABELS] + width > patches.fields.shape[0] or counts[RUNS] + width > patches.runs.shape[0]:
            return int(row)
        if counts[SIDES] + SIDES_A_PIXEL * width > patches.sides.shape[0]:
            return int(row)
        if unsettled[row] and counts[LINE] == PASSED_OVER:
            counts[LINE] = _scan(patches.last, words[row, :0], patches.starts[(y + 1) % 2], patches.values[(y + 1) % 2])
            for run in range(counts[LINE]):
                patches.labels[(y + 1) % 2, run] = patches.values[(y + 1) % 2, run]
        if unsettled[row] or counts[LINE] > 0:
            whole = words[row, : width // WORD]
            counts[FRESH] = _scan(rows[row, :width], whole, patches.starts[y % 2], patches.values[y % 2])
            _join_row(patches, rule, shares[row], unsettled[row])
        counts[LINE] = counts[FRESH] if unsettled[row] else PASSED_OVER
        patches.last[:] = rows[row, :width]
        counts[ROWS] += 1
    return int(rows.shape[0])
