"""Writes models.md, the page of the models, from the registry's figures (zoo.json) and the packaged models' cards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from geoseg.core.card import ModelCard
from geoseg.models.packaged import packaged
from geoseg.models.published import UNSTATED
from geoseg.models.zoo import zoo

PAGE = Path(__file__).with_name("models.md")
RUNS = Path(__file__).with_name("runs")  # written by recipes/package.py and curves.py
Row = Mapping[str, Any]

INTRODUCTION = """\
# Models

<!-- Written by `python docs/models_page.py`: change that, or the cards and the registry, and run it again. -->

`geoseg models list` shows the models and the architectures that this page describes; `--json` gives them to programs.

Any architecture is built by name, for any number of bands, with random weights:

```python
from geoseg.models import create_model

network = create_model("attention-unet", encoder="resnet50", in_channels=4, classes=6)
network = create_model("multiscale", base="segformer", encoder="mit_b2", in_channels=13, classes=10)
```

Where an architecture takes an encoder, it is one of segmentation-models-pytorch (`resnet34`, `mit_b2`), or, with `tu-`
before the name, of timm (`tu-convnext_tiny`), unless the table names it alone.
"""

_COUNTED = """\
Parameters, and 1e9 multiply-adds (two floating-point operations each) for one chip of {bands} bands and {size[0]} ×
{size[1]} pixels with {classes} classes and the default encoder. Convolutions, matrix products and attention count. How
much Mask R-CNN and Panoptic FPN compute depends on what they find: here they look at an empty chip with random weights.
The licence is that of the code that is assembled, the default encoder included; weights have licences of their own.
NVIDIA's licence of segmentation-models-pytorch's encoders `mit_b0` to `mit_b5` does not allow commercial use."""

KINDS = {
    "semantic": ("Semantic", "A class for every pixel."),
    "instance": ("Instance", "Objects, each with a mask of its own."),
    "panoptic": ("Panoptic", "Objects, and the stuff around them."),
}


def page() -> str:
    """The page's Markdown."""
    content = zoo()
    sections = (
        [INTRODUCTION],
        _packaged(packaged()),
        _architectures(content["architectures"], content["chip"]),
        _published(content["published"]),
    )
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def _packaged(cards: Sequence[ModelCard]) -> Iterator[str]:
    yield from ("## Packaged models", "", "These come with geoseg and need no network.", "")
    headings = ("model", "task", "kind", "bands", "resolution", "architecture", "licence")
    yield from _table(headings, (_card(card) for card in cards))
    for card in cards:
        yield from (f"### {card.name}", "", f"{card.description} {card.limits}".strip(), "")
        yield from _table(("metric", "value", "on"), ((m.name, f"{m.value:.3g}", m.data) for m in card.metrics))
        yield from _run(card.name)


def _run(name: str) -> Iterator[str]:
    """How a model's training went, where its log is kept."""
    if not (RUNS / f"{name}.csv").exists():
        return
    yield f"Made by `geoseg train recipes/{name}.toml`; the [log](runs/{name}.csv) of the run, drawn:"
    yield from ("", f"![Loss, and IoU on ground kept from training, over the steps](runs/{name}.svg)", "")


def _card(card: ModelCard) -> tuple[str, ...]:
    low, high = card.resolution_range
    name, resolution = f"`{card.name}` {card.version}", f"{low:g} to {high:g} m"
    return name, card.task, card.kind, ", ".join(card.bands), resolution, f"`{card.architecture}`", card.license


def _architectures(rows: Sequence[Row], chip: Row) -> Iterator[str]:
    yield from ("## Architectures", "", _COUNTED.format(**chip), "")
    headings = ("name", "what it is", "paper", "default encoder", "parameters", "multiply-adds", "licence", "extra")
    for kind, (title, about) in KINDS.items():
        yield from (f"### {title}", "", about, "")
        yield from _table(headings, (_architecture(row) for row in rows if row["kind"] == kind))


def _architecture(row: Row) -> tuple[str, ...]:
    encoder = f"`{row['encoder']}`" if row["encoder"] else "-"
    figures = _millions(row["parameters"]), _billions(row["multiply_adds"])
    extra = f"`{row['extra']}`" if row["extra"] else "-"
    return f"`{row['name']}`", row["description"], _link(row["paper"]), encoder, *figures, row["licence"], extra


def _published(rows: Sequence[Row]) -> Iterator[str]:
    yield from (
        "## Figures of papers beside ours",
        "",
        "The networks of the papers, built here with the same encoder and the same number of classes. Papers round,",
        "and what they call FLOPs are multiply-adds. Where our figure is far from the paper's, the note says why.",
        "",
    )
    headings = ("network", "built as", "parameters, paper", "ours", "multiply-adds, paper", "ours", "source", "note")
    yield from _table(headings, (_comparison(row) for row in rows))
    listed = "; ".join(f"`{name}`: {reason}" for name, reason in UNSTATED.items())
    yield from (f"Without a row: {listed}.", "")


def _comparison(row: Row) -> tuple[str, ...]:
    stated, ours = row["stated_multiply_adds"], row["multiply_adds"]
    chip = "" if ours is None else f" at {row['size'][0]} × {row['size'][1]}"
    counts = (_millions(row["stated_parameters"]), _millions(row["parameters"]), _billions(stated), _billions(ours))
    return (
        row["name"],
        f"`{row['architecture']}`{_arguments(row['arguments'])}",
        *counts,
        row["source"] + chip,
        row["note"],
    )


def _arguments(arguments: Row) -> str:
    return "".join(f", {name} {value}" for name, value in arguments.items())


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e5 else str(count)


def _billions(count: int | None) -> str:
    if count is None:
        return "-"
    return f"{count / 1e9:.1f}" if count >= 1e8 else f"{count / 1e9:.4f}"


def _link(paper: str) -> str:
    """A citation that leads to its paper: `Name et al. 2020, arXiv:2001.00001` or `..., doi:10.1/2`."""
    found = re.fullmatch(r"(.*), (arXiv|doi):(\S+)", paper)
    if found is None:
        return paper or "-"
    address = "https://arxiv.org/abs/" if found[2] == "arXiv" else "https://doi.org/"
    return f"[{found[1]}]({address}{found[3]})"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
