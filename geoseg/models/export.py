"""Bundles written as files that other programs run: ONNX, OpenVINO IR, torch.export's .pt2; the card goes inside.

Each file is opened again and compared with torch before it takes its place.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from geoseg.errors import ModelError, OutputError, UnknownNameError, WriteError
from geoseg.models.backends.converted import example, onnx_bytes, openvino_model
from geoseg.models.backends.eager import simplified, without_doubled_maps
from geoseg.models.backends.folding import fold
from geoseg.models.bundle import LoadedModel, load_model
from geoseg.models.containers import onnx_file, openvino_file
from geoseg.models.header import CARD_KEY
from geoseg.models.placing import put, scratch
from geoseg.models.scored import Scored, deepness_metadata, scored_card

LARGEST_DIFFERENCE = 1e-3  # of scores from 0 to 1
LEAST_AGREEMENT = 0.999
_FAULTS = (RuntimeError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError, IndexError)
_ENDINGS = MappingProxyType({"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2"})
FORMS = tuple(_ENDINGS)


@dataclass(frozen=True, slots=True)
class Export:
    """A file that was written: the largest difference of its scores from torch's, the share of equal labels.

    `checked` counts the chips, `pixels` says whether they were real ones.
    """

    path: Path
    difference: float
    agreement: float
    checked: int
    pixels: bool

    def describe(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {**asdict(self), "path": str(self.path)}


def export_model(
    reference: str | Path, destination: str | Path, form: str, *, chips: Tensor | None = None, any_size: bool = False
) -> Export:
    """Write the model as "onnx", "openvino" or "pt2", for any number of chips of the card's size.

    Its answers are compared with torch's on noise, and on `chips` (batch, band, y, x), normalised, where given.
    With `any_size` chips of all sizes that the network takes are allowed, not the card's alone (Deepness needs one).
    ONNX files give scores, the activation included, as the QGIS plugin Deepness wants them; the card inside says so.
    Raises ModelError when the model is no bundle of a semantic network, cannot be converted, or answers otherwise than
    torch; MissingExtraError, OutputError and WriteError. Then nothing is written, and older files stay as they were.
    """
    if form not in _ENDINGS:
        raise UnknownNameError("format", form, _ENDINGS)
    target = Path(destination)
    if target.suffix.lower() != _ENDINGS[form]:
        raise OutputError(f"{target}: found the ending {target.suffix!r}; expected {_ENDINGS[form]!r} for {form}")
    loaded = load_model(reference)
    _check_kind(loaded)
    try:
        with scratch(target) as folder:
            made = folder / target.name
            _WRITERS[form](loaded, made, any_size)
            report = _compared(loaded, made, target, chips, any_size)
            ready = [*([made.with_suffix(".bin")] if form == "openvino" else []), made]
            put([(part, target.with_name(part.name)) for part in ready])
    except OSError as error:
        raise WriteError(f"{target}: the model cannot be written ({error.strerror or error})") from error
    return report


def _check_kind(loaded: LoadedModel) -> None:
    if loaded.backend != "torch":
        raise ModelError(f"{loaded.path}: found a file of the kind {loaded.backend}; expected a bundle (.safetensors)")
    if loaded.card.kind != "semantic":
        raise ModelError(
            f"{loaded.path}: found a model of the kind {loaded.card.kind!r}; only semantic models are exported, since "
            "finding objects is more than a graph: use the bundle"
        )


def _write_onnx(loaded: LoadedModel, path: Path, any_size: bool) -> None:
    card = scored_card(loaded.card)
    network = Scored(simplified(loaded.module, loaded.card, fold), loaded.card)
    whole = path.with_name(f"bare-{path.name}")
    whole.write_bytes(onnx_bytes(network, loaded.card, any_size))
    entries = {CARD_KEY: card.model_dump_json(), **deepness_metadata(card)}
    onnx_file.with_metadata(whole, entries, path)


def _write_openvino(loaded: LoadedModel, path: Path, any_size: bool) -> None:
    package = openvino_file.runtime()
    network = simplified(loaded.module, loaded.card, without_doubled_maps)
    bare = path.with_name(f"bare-{path.name}")
    package.save_model(openvino_model(network, loaded.card, any_size), bare, compress_to_fp16=False)
    openvino_file.with_card(bare, loaded.card.model_dump_json(), path)


def _write_pt2(loaded: LoadedModel, path: Path, any_size: bool) -> None:
    free = {0: torch.export.Dim("batch")}
    if any_size:
        free |= dict.fromkeys((2, 3), torch.export.Dim.AUTO)
    network = simplified(loaded.module, loaded.card, fold)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(network, (example(loaded.card),), dynamic_shapes=(free,), strict=False)
            torch.export.save(program, path, extra_files={CARD_KEY: loaded.card.model_dump_json()})
    except _FAULTS as error:
        raise ModelError(
            f"model {loaded.card.name}: torch.export fails ({str(error)[:300]}); choose another format"
        ) from error


_WRITERS: Mapping[str, Callable[[LoadedModel, Path, bool], None]] = MappingProxyType(
    {"onnx": _write_onnx, "openvino": _write_openvino, "pt2": _write_pt2}
)


def _compared(loaded: LoadedModel, made: Path, target: Path, chips: Tensor | None, any_size: bool) -> Export:
    """What the file at `made` answers beside torch. Raises ModelError when that is too different."""
    written, card = load_model(made), loaded.card
    batches = [example(card), example(card)[:1]]
    if any_size:
        batches.append(torch.cat([example(card), example(card)[:, :, : card.divisor]], 2))
    if chips is not None:
        batches.append(chips.float())
    difference, equal, count = 0.0, 0, 0
    with torch.inference_mode():
        for batch in batches:
            expected = Scored(loaded.module, card)(batch)
            found = Scored(written.module, written.card)(batch)
            difference = max(difference, float((found - expected).abs().max()))
            equal += int((found.argmax(1) == expected.argmax(1)).sum())
            count += found.argmax(1).numel()
    report = Export(target, difference, equal / count, sum(len(batch) for batch in batches), chips is not None)
    if not (difference <= LARGEST_DIFFERENCE and report.agreement >= LEAST_AGREEMENT):
        raise ModelError(
            f"model {card.name}: the exported network answers otherwise than torch: scores differ by up to "
            f"{difference:.2g} (expected {LARGEST_DIFFERENCE:g} at the most), {report.agreement:.3%} of the labels are "
            f"equal (expected {LEAST_AGREEMENT:.1%}); nothing was written: choose another format"
        )
    return report
