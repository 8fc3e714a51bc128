"""Which tensor of a file is which of a network: by name, else by order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from geoseg.errors import ModelError
from geoseg.models.pretrained.encoder import Encoder

Shapes = Mapping[str, tuple[int, ...]]

_COUNTERS = "num_batches_tracked"  # batch normalisation counts batches in training; nothing depends on it here
_UNUSED = re.compile(r"^(head|fc|fc_norm|norm|classifier)\.")  # a classifier's last layers: encoders do not use them
_NUMBERED = re.compile(r"^([a-z]+)_(\d+)\.")  # timm's feature extractors say layers_0 for layers.0
_STAGE = re.compile(r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.(?:layer\.(\d+)|shortcut)\.(convolution|normalization)\.")
_STEM = {"embedder.embedder.convolution.": "conv1.", "embedder.embedder.normalization.": "bn1."}


def partners(encoder: Encoder, tensors: Mapping[str, Tensor], origin: str, ordered: bool) -> dict[str, str]:
    """The name among `tensors` of each of the encoder's, as `matched` finds it."""
    expected = {name: tuple(tensor.shape) for name, tensor in encoder.module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return matched(expected, found, encoder.first, origin, ordered=ordered)


def matched(expected: Shapes, found: Shapes, first: str, origin: str, *, ordered: bool = True) -> dict[str, str]:
    """The name in the file of each of the network's tensors.

    Names are compared without prefixes that all of them share; where they differ, tensors count in their order, if the
    file is `ordered` and shapes agree from the first to the last. Tensors of the file that the encoder lacks are left
    out, as are a classifier's last layers. The tensor `first` may differ in its number of bands. Raises ModelError.
    """
    prefix = common_prefix(list(expected))
    wanted = {canonical(name.removeprefix(prefix)): shape for name, shape in expected.items()}
    start = canonical(first.removeprefix(prefix))
    names = _by_name(wanted, found, start, origin) or (_by_order(wanted, found, start) if ordered else None)
    if names is None:
        raise _unlike(wanted, found, start, origin)
    return {name: names[short] for name in expected if (short := canonical(name.removeprefix(prefix))) in names}


def canonical(name: str) -> str:
    """The name that a tensor has in timm's whole network: not in an extractor of its features, nor in transformers."""
    for stem, plain in _STEM.items():
        if name.startswith(stem):
            return plain + name.removeprefix(stem)
    return _NUMBERED.sub(r"\1.\2.", _STAGE.sub(_in_resnet, name))


def _in_resnet(found: re.Match[str]) -> str:
    """The usual name of a layer in a ResNet of transformers."""
    stage, block, layer, kind = found.groups()
    if layer is None:
        return f"layer{int(stage) + 1}.{block}.downsample.{int(kind == 'normalization')}."
    return f"layer{int(stage) + 1}.{block}.{'conv' if kind == 'convolution' else 'bn'}{int(layer) + 1}."


def common_prefix(names: Sequence[str]) -> str:
    """The parts, with the last dot, that all names begin with."""
    prefix = ""
    while True:
        parts = {name[len(prefix) :].partition(".")[:2] for name in names}
        if len(parts) != 1:
            return prefix
        part, dot = parts.pop()
        if not dot:
            return prefix
        prefix += f"{part}."


def _needed(name: str) -> bool:
    return not name.endswith(_COUNTERS) and not _UNUSED.match(name)


def _fits(name: str, wanted: tuple[int, ...], found: tuple[int, ...], start: str) -> bool:
    if name == start:
        return len(wanted) == len(found) and wanted[:1] + wanted[2:] == found[:1] + found[2:]
    return wanted == found


def _by_name(wanted: Shapes, found: Shapes, start: str, origin: str) -> dict[str, str] | None:
    """Names that agree behind some prefix of the file's; None where a needed one has no partner."""
    for prefix in sorted({name[: -len(start)] for name in found if _ends(name, start)}, key=len):
        short = {canonical(name.removeprefix(prefix)): name for name in found if name.startswith(prefix)}
        if all(name in short for name in wanted if _needed(name)):
            unlike = [n for n in wanted if n in short and not _fits(n, wanted[n], found[short[n]], start)]
            unlike = [name for name in unlike if _needed(name)]
            if unlike:
                raise _other_shapes(unlike, {n: (found[short[n]], wanted[n]) for n in unlike}, origin)
            return {n: short[n] for n in wanted if n in short and _fits(n, wanted[n], found[short[n]], start)}
    return None


def _ends(name: str, start: str) -> bool:
    return name == start or name.endswith(f".{start}")


def _by_order(wanted: Shapes, found: Shapes, start: str) -> dict[str, str] | None:
    ours = [name for name in wanted if _needed(name)]
    theirs = [name for name in found if not name.endswith(_COUNTERS)]
    if len(theirs) < len(ours) or not all(
        _fits(a, wanted[a], found[b], start) for a, b in zip(ours, theirs, strict=False)
    ):
        return None
    return dict(zip(ours, theirs, strict=False))


def _other_shapes(
    unlike: list[str], shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]], origin: str
) -> ModelError:
    listed = "; ".join(
        f"{name}: found {list(shapes[name][0])}, expected {list(shapes[name][1])}" for name in unlike[:4]
    )
    return ModelError(
        f"{origin}: {len(unlike)} tensors have another shape than the encoder's ({listed}); choose weights of this "
        "encoder, or the encoder of these weights"
    )


def _unlike(wanted: Shapes, found: Shapes, start: str, origin: str) -> ModelError:
    ours = [name for name in wanted if _needed(name)]
    theirs = [name for name in found if not name.endswith(_COUNTERS)]
    pairs = zip(ours, theirs, strict=False)
    differing = [
        f"{a} {list(wanted[a])} in the encoder, {b} {list(found[b])} in the file"
        for a, b in pairs
        if not _fits(a, wanted[a], found[b], start)
    ]
    first = (
        f"the first that differ in order: {'; '.join(differing[:3])}"
        if differing
        else "the file ends before the encoder"
    )
    return ModelError(
        f"{origin}: found {len(theirs)} tensors, which are not the encoder's {len(ours)}, neither by name nor by "
        f"order; {first}; choose weights of this encoder, or the encoder of these weights"
    )
