"""Cards and reports of models, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from geoseg_cli.tables import facts, listing, show, show_checks
from geoseg_cli.words import phrase

if TYPE_CHECKING:
    from geoseg.core.card import ModelCard
    from geoseg.models.zoo import Available


def show_models(models: Sequence[Available]) -> None:
    """Print one line a model; `geoseg models show` tells the rest."""
    headings = ("model", "version", "from", "task", "kind", "resolution", "licence")
    rows = [
        (m.reference, m.card.version, m.origin, m.card.task, m.card.kind, _range(m.card), m.card.license)
        for m in models
    ]  # fmt: skip
    listing(headings, rows)


def show_architectures(architectures: Sequence[Mapping[str, Any]]) -> None:
    """Print one line an architecture, after an empty one; docs/models.md and --json tell the rest."""
    show("")
    headings = ("architecture", "kind", "parameters", "GFLOPs", "extra", "licence")
    rows = [
        (
            a["name"],
            a["kind"],
            _count(a["parameters"]),
            f"{a['flops'] / 1e9:,.1f}",
            a["extra"] or "-",
            _short(a["licence"]),
        )
        for a in architectures
    ]
    listing(headings, rows, right=(2, 3))
    show("\nGFLOPs are those of a chip of 3 bands and 512 x 512 pixels; a multiply-add counts as two.")


def _short(licence: str) -> str:
    """An SPDX expression as people say it."""
    return licence.replace(" AND ", ", ").replace("LicenseRef-NVIDIA-Source-Code-License", "NVIDIA (non-commercial)")


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M" if parameters >= 1e5 else str(parameters)


def show_card(card: ModelCard) -> None:
    """Print everything that a card says."""
    metrics = [f"{m.name} {m.value:.4g} ({m.data})" for m in card.metrics]
    rows = [
        ("task", card.task),
        ("description", card.description),
        ("bands", ", ".join(card.bands)),
        ("resolution", f"{card.resolution:g} m; accepted: {_range(card)}"),
        ("values", f"{card.dtype}, {card.value_range[0]:g} to {card.value_range[1]:g}"),
        ("mean, std", f"{phrase(card.mean)}; {phrase(card.std)}"),
        ("classes", "\n".join(f"{c.id} {c.name} {c.colour} {c.kind}" for c in card.classes.classes)),
        ("decision", _decision(card)),
        ("tiles", f"{card.tile_size} pixels, overlap {card.overlap}"),
        ("architecture", f"{card.architecture} {phrase(card.arguments)}"),
        ("licence", card.license),
        ("attribution", card.attribution),
        ("training data", "\n".join(card.training_data)),
        ("metrics", "\n".join(metrics)),
        ("limits", card.limits),
        ("source", card.source),
    ]
    facts([(name, text or "-") for name, text in rows], title=f"{card.name} {card.version}")


def show_verification(report: Mapping[str, Any]) -> None:
    """Print each check of a bundle."""
    title = f"{report['name']} {report['version']}" if report["name"] else "no model"
    facts([("model", title), ("file", report["path"])])
    show_checks([(check["passed"], f"{check['name']}: {check['detail']}") for check in report["checks"]])


def _range(card: ModelCard) -> str:
    low, high = card.resolution_range
    return f"{low:g} to {high:g} m"


def _classes(card: ModelCard) -> str:
    return ", ".join(c.name for c in card.classes.foreground)


def _decision(card: ModelCard) -> str:
    if card.threshold is None:
        return f"{card.activation}; the best class wins"
    return f"{card.activation}; an object from a score of {card.threshold:g}"
