"""Kernels that decide what becomes of small patches, as soon as nothing below the last row swept can change it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.vector.sieving.kernels import (
    CLASS,
    FIRST,
    GOAL,
    KEPT,
    LABEL,
    LABELS,
    LARGE,
    LENGTH,
    LINE,
    ONE,
    OTHER,
    PARENT,
    PIXELS,
    ROW,
    ROWS,
    RUNS,
    SIDES,
    START,
    STOP,
    UNKNOWN,
    Patches,
    Rule,
)

# What is known of a patch while goals are sought.
CLOSED, OPEN, BLOCKED = 0, 1, 2


@compiled
def _roots(patches: Patches) -> NDArray[np.int32]:
    """The root of each label, shape (label,); a parent is never above its child."""
    count = patches.counts[LABELS]
    roots = np.empty(count, np.int32)
    for label in range(count):
        parent = patches.fields[label, PARENT]
        roots[label] = label if parent == label else roots[parent]
    return roots


@compiled
def _states(patches: Patches, roots: NDArray[np.int32], last: bool) -> NDArray[np.uint8]:
    """Which patches may go on below the last row, and which border on one that may, shape (label,)."""
    counts, fields, sides = patches.counts, patches.fields, patches.sides
    states = np.full(roots.size, CLOSED, np.uint8)
    if last:
        return states
    for run in range(counts[LINE]):
        root = roots[patches.labels[(counts[ROWS] + 1) % 2, run]]
        if root >= LARGE:
            states[root] = OPEN
    for place in range(counts[SIDES]):
        one, other = roots[sides[place, ONE]], roots[sides[place, OTHER]]
        if states[one] == OPEN and states[other] == CLOSED and fields[other, GOAL] == UNKNOWN:
            states[other] = BLOCKED
        elif states[other] == OPEN and states[one] == CLOSED and fields[one, GOAL] == UNKNOWN:
            states[one] = BLOCKED
    return states


@compiled
def _outranks(fields: NDArray[np.int64], one: int, other: int, background: int) -> bool:
    """Whether a patch, or class of large patches, comes before another one with as long a side."""
    if one < LARGE and other < LARGE:
        return other == background or (one != background and one < other)
    if one < LARGE or other < LARGE:
        return one < LARGE
    if fields[one, PIXELS] != fields[other, PIXELS]:
        return bool(fields[one, PIXELS] > fields[other, PIXELS])
    return bool(fields[one, FIRST] < fields[other, FIRST])


@compiled
def _choose(patches: Patches, roots: NDArray[np.int32], states: NDArray[np.uint8], rule: Rule) -> None:  # noqa: C901
    """Give each closed patch, around which all are closed or large, its goal."""
    counts, fields, sides = patches.counts, patches.fields, patches.sides
    count = roots.size
    starts = np.zeros(count + 1, np.int64)
    for place in range(counts[SIDES]):
        for end in (ONE, OTHER):
            root = roots[sides[place, end]]
            if root >= LARGE and states[root] == CLOSED and fields[root, GOAL] == UNKNOWN:
                starts[root + 1] += 1
    for label in range(count):
        starts[label + 1] += starts[label]
    around = np.empty(starts[count], np.int32)
    lengths = np.empty(starts[count], np.int32)
    filled = starts[:count].copy()
    for place in range(counts[SIDES]):
        one, other = roots[sides[place, ONE]], roots[sides[place, OTHER]]
        for _ in range(2):
            if one >= LARGE and states[one] == CLOSED and fields[one, GOAL] == UNKNOWN:
                around[filled[one]] = other
                lengths[filled[one]] = sides[place, LENGTH]
                filled[one] += 1
            one, other = other, one
    shared = np.zeros(count, np.int64)
    for label in range(LARGE, count):
        if roots[label] != label or states[label] != CLOSED or fields[label, GOAL] != UNKNOWN:
            continue
        first, last = starts[label], starts[label + 1]
        for place in range(first, last):
            shared[around[place]] += lengths[place]
        goal, most = UNKNOWN, 0
        for place in range(first, last):
            other = around[place]
            length = shared[other]
            shared[other] = 0
            if length < max(most, 1) or not _outranks(fields, other, label, rule.background):
                continue
            if length > most or _outranks(fields, other, goal, rule.background):
                goal, most = other, length
        if goal == UNKNOWN:
            goal = KEPT - fields[label, CLASS] if rule.keep and first < last else rule.dropped
        fields[label, GOAL] = goal


@compiled
def _follow(fields: NDArray[np.int64], roots: NDArray[np.int32]) -> None:
    """Replace goals that are patches by what these have for a goal, as far as it is known."""
    for label in range(LARGE, roots.size):
        if roots[label] != label or fields[label, GOAL] < LARGE:
            continue
        end = label
        while fields[end, GOAL] >= LARGE:
            end = int(fields[end, GOAL])
        goal = fields[end, GOAL] if fields[end, GOAL] != UNKNOWN else end
        step = label
        while step != end:
            following = int(fields[step, GOAL])
            fields[step, GOAL] = goal
            step = following


@compiled
def _paint(patches: Patches, roots: NDArray[np.int32], held: NDArray[np.uint8], unsettled: NDArray[np.bool_]) -> None:
    """Give the pixels of decided patches their class in the rows held, the last of which was swept last; keep the rest.

    Rows with patches that stay for another pass are marked as unsettled.
    """
    counts, runs = patches.counts, patches.runs
    top = counts[ROWS] - held.shape[0]
    kept = 0
    for place in range(counts[RUNS]):
        root = roots[runs[place, LABEL]]
        if root < LARGE:
            continue
        goal = patches.fields[root, GOAL]
        row = runs[place, ROW] - top
        if goal == UNKNOWN or goal >= LARGE:
            runs[kept] = runs[place]
            kept += 1
            continue
        class_id = goal
        if goal <= KEPT:
            class_id = KEPT - goal
            unsettled[row] = True
        for x in range(runs[place, START], runs[place, STOP]):
            held[row, x] = class_id
    counts[RUNS] = kept


@compiled
def _forget(patches: Patches, roots: NDArray[np.int32]) -> None:  # noqa: C901 - one renumbering
    """Renumber the patches that are not decided, and those around them, so that other numbers are free."""
    counts, fields, sides, runs = patches.counts, patches.fields, patches.sides, patches.runs
    numbers = np.full(roots.size, UNKNOWN, np.int32)
    for label in range(LARGE):
        numbers[label] = label
    for place in range(counts[RUNS]):
        numbers[roots[runs[place, LABEL]]] = LARGE
    kept = 0
    for place in range(counts[SIDES]):
        one, other = roots[sides[place, ONE]], roots[sides[place, OTHER]]
        if (one >= LARGE and fields[one, GOAL] == UNKNOWN) or (other >= LARGE and fields[other, GOAL] == UNKNOWN):
            numbers[one] = max(numbers[one], min(one, LARGE))
            numbers[other] = max(numbers[other], min(other, LARGE))
            sides[kept, ONE] = one
            sides[kept, OTHER] = other
            sides[kept, LENGTH] = sides[place, LENGTH]
            kept += 1
    counts[SIDES] = kept
    count = LARGE
    for label in range(LARGE, roots.size):
        if numbers[label] != UNKNOWN:
            numbers[label] = count
            count += 1
    for place in range(kept):
        sides[place, ONE] = numbers[sides[place, ONE]]
        sides[place, OTHER] = numbers[sides[place, OTHER]]
    for place in range(counts[RUNS]):
        runs[place, LABEL] = numbers[roots[runs[place, LABEL]]]
    line = patches.labels[(counts[ROWS] + 1) % 2]
    for run in range(counts[LINE]):
        line[run] = numbers[roots[line[run]]]
    for label in range(LARGE, roots.size):
        number = numbers[label]
        if number != UNKNOWN:
            fields[number] = fields[label]
            fields[number, PARENT] = number
            if fields[number, GOAL] >= LARGE:
                fields[number, GOAL] = numbers[fields[number, GOAL]]
    counts[LABELS] = count


@compiled
def settle(patches: Patches, rule: Rule, held: NDArray[np.uint8], unsettled: NDArray[np.bool_], last: bool) -> int:
    """The number of rows held that are final; patches that nothing below can change are decided, and painted.

    `last` says that no row follows.
    """
    roots = _roots(patches)
    states = _states(patches, roots, last)
    _choose(patches, roots, states, rule)
    _follow(patches.fields, roots)
    _paint(patches, roots, held, unsettled)
    _forget(patches, roots)
    if patches.counts[RUNS] == 0:
        return int(held.shape[0])
    return int(patches.runs[0, ROW] - (patches.counts[ROWS] - held.shape[0]))
