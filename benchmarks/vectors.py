"""Everything that is claimed of polygons, in one run: speed, exactness, squaring, memory, simplification.

    python benchmarks/vectors.py [--only speed exactness ...] [--labels FOLDER] [--peers] [--json figures.json]

The rasters are made by the script, equal on every machine; nothing is kept. Rasters made for other sizes than the
defaults say less: start and end weigh too much in small ones.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from children import machine
from peers.environment import VECTORS, installed, peer_python
from vector_tables import Table

PARTS = ("speed", "exactness", "squaring", "memory", "coverage")


def run(asked: argparse.Namespace) -> Iterator[Table]:
    """The tables, each as soon as it is there."""
    parts: dict[str, Callable[[argparse.Namespace], list[Table]]] = {
        "speed": _speed,
        "exactness": _exactness,
        "squaring": _squaring,
        "memory": _memory,
        "coverage": _coverage,
    }
    for name in asked.only:
        yield from parts[name](asked)


def _speed(asked: argparse.Namespace) -> list[Table]:
    from vector_speed import speed

    return speed(asked.size, asked.repetitions, asked.peer_python)


def _exactness(asked: argparse.Namespace) -> list[Table]:
    from vector_exactness import exactness

    return exactness(asked.masks, min(asked.size, asked.land_cover))


def _squaring(asked: argparse.Namespace) -> list[Table]:
    if asked.labels is None:
        return [Table("squaring", [], notes=["needs real footprints: --labels FOLDER"])]
    from vector_squaring import squaring_table

    return [squaring_table(asked.labels)]


def _memory(asked: argparse.Namespace) -> list[Table]:
    from vector_memory import MemoryTrial, memory

    trial = MemoryTrial(asked.width, asked.rows, asked.budget, asked.larger_budgets, asked.threads, asked.folder)
    return memory(trial)


def _coverage(asked: argparse.Namespace) -> list[Table]:
    from vector_coverage import coverage

    return coverage(min(asked.size, asked.land_cover), asked.repetitions)


def command_line() -> argparse.ArgumentParser:
    """What can be asked for."""
    from vector_memory import MemoryTrial

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="which parts (default: all)")
    parser.add_argument("--size", type=int, default=8192, help="rows and columns of the building mask")
    parser.add_argument("--land-cover", type=int, default=2048, help="rows and columns of land cover, --size at most")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--masks", type=int, default=200, help="random masks")
    parser.add_argument("--labels", type=Path, help="scenes NAME.tif with footprints NAME.geojson")
    memory, trial = parser.add_argument_group("memory"), MemoryTrial()
    memory.add_argument("--rows", nargs="+", type=int, default=trial.rows)
    memory.add_argument("--width", type=int, default=trial.width)
    memory.add_argument("--budget", type=int, default=trial.megabytes, help="the spool's, in MB")
    memory.add_argument(
        "--larger-budgets", nargs="*", type=int, default=trial.larger, help="tried on the last of --rows"
    )
    memory.add_argument("--threads", type=int, default=trial.threads)
    memory.add_argument("--folder", type=Path, default=trial.folder, help="where the spool puts its files")
    peers = parser.add_argument_group("peers that are no dependency of geoseg")
    peers.add_argument("--peers", action="store_true", help="install them into an environment of their own")
    peers.add_argument("--peer-python", type=Path, help="interpreter of an environment that has them already")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    return parser


def main() -> None:
    """Parse the command line, run, print."""
    asked = command_line().parse_args()
    if asked.peer_python is None and (asked.peers or installed(VECTORS)):
        asked.peer_python = peer_python(VECTORS)
    print(machine())
    tables = []
    for table in run(asked):
        table.show()
        tables.append(table)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(table) for table in tables], indent=1))


if __name__ == "__main__":
    main()
