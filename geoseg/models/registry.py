"""The names of all architectures, and the one function that builds any of them."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from torch import nn

from geoseg.errors import MissingExtraError, ModelError, UnknownNameError

Kind = Literal["semantic", "instance", "panoptic"]
Builder = Callable[..., nn.Module]

_BUILD_FAULTS = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, ZeroDivisionError)
KINDS: tuple[Kind, ...] = ("semantic", "instance", "panoptic")
OWN = frozenset({"name", "encoder", "in_channels", "classes", "things", "encoder_weights", "bands"})  # no options
_PACKAGES = {"transformers": ("transformers", "scipy")}  # what an extra brings that architectures need
_HERE = __name__.rpartition(".")[0]
_LONGEST = 16  # entries of a list option
_MOST = 4096  # bands or classes
_LARGEST = 65536  # channels, rates and sizes: a larger number is an attack or a typing error


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network that can be built by name: its kind, its paper, and the options that its builder takes.

    `encoder` is the default one; None says that there is none to choose, or that the default follows from an option.
    `encoders` are those to choose from; empty stands for all of smp and timm. `licence` is the SPDX expression of the
    code that is assembled, as it is by default; `extra` the extra of geoseg that has to be installed, if any.
    """

    name: str
    kind: Kind
    paper: str
    encoder: str | None
    build: Builder
    licence: str = "MIT"
    extra: str | None = None
    encoders: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the keyword options, without encoder, in_channels, classes and things."""
        return tuple(p for p in inspect.signature(self.build).parameters if p not in OWN)

    @property
    def takes_encoder(self) -> bool:
        """Whether there is an encoder to choose."""
        return "encoder" in inspect.signature(self.build).parameters

    @property
    def description(self) -> str:
        """What the network is, in one line."""
        return (inspect.getdoc(self.build) or "").partition("\n")[0]


_REGISTERED: dict[str, Architecture] = {}


def register(
    name: str,
    *,
    kind: Kind,
    paper: str,
    encoder: str | None = None,
    encoders: Sequence[str] = (),
    licence: str = "MIT",
    extra: str | None = None,
) -> Callable[[Builder], Builder]:
    """A decorator that gives a builder its name.

    The builder takes keywords only: in_channels, classes, things (panoptic ones), encoder (when there is one to choose)
    and its options, each with a default. Raises ModelError when the name is taken.
    """

    def keep(build: Builder) -> Builder:
        if not build.__module__.startswith(f"{_HERE}."):  # geoseg's own are being imported already
            _with_builtin()
        if name in _REGISTERED:
            raise ModelError(
                f"the architecture name {name!r} is taken; expected a new one: register under another name"
            )
        _REGISTERED[name] = Architecture(name, kind, paper, encoder, build, licence, extra, tuple(encoders))
        return build

    return keep


def architectures() -> Mapping[str, Architecture]:
    """Every registered architecture by its name."""
    _with_builtin()
    return MappingProxyType(_REGISTERED)


def create_model(
    name: str,
    *,
    encoder: str | None = None,
    in_channels: int,
    classes: int,
    things: int = 0,
    encoder_weights: str | None = None,
    bands: Sequence[str] | None = None,
    **options: Any,
) -> nn.Module:
    """A new network with random weights for chips (batch, band, y, x) float32, normalised.

    Semantic ones give scores (batch, channel, y, x) float32 of `classes` channels. Instance ones find objects of
    `classes` kinds, panoptic ones of `things` kinds and scores of `classes` channels (see geoseg.models.answers).
    `encoder_weights` names weights for the encoder, fitted to `bands`; without them nothing is fetched from a network.
    Raises UnknownNameError for an unknown architecture or encoder, ModelError for options that do not fit, and
    MissingExtraError when the architecture needs a package that is not installed.
    """
    known = architectures()
    if name not in known:
        raise UnknownNameError("architecture", name, known)
    found = known[name]
    arguments = {**_counts(found, in_channels, classes, things), **_arguments(found, encoder, options)}
    _check_extra(found)
    network = _built(found, arguments)
    if encoder_weights is not None:
        from geoseg.models.pretrained import load_encoder

        load_encoder(network, encoder_weights, bands)
    return network


def _built(found: Architecture, arguments: Mapping[str, Any]) -> nn.Module:
    try:
        return found.build(**arguments)
    except _BUILD_FAULTS as error:
        given = ", ".join(f"{k}={v!r}" for k, v in arguments.items())
        raise ModelError(f"{found.name} cannot be built with {given}: {error}") from error


def _with_builtin() -> None:
    """Import the modules that register geoseg's own architectures (again and again: it is free)."""
    for kind in KINDS:
        if importlib.util.find_spec(f"{_HERE}.{kind}") is not None:
            importlib.import_module(f"{_HERE}.{kind}")


def _check_extra(found: Architecture) -> None:
    """Raise MissingExtraError when a package is missing that the architecture needs."""
    if found.extra is None:
        return
    for package in _PACKAGES.get(found.extra, (found.extra,)):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(found.extra, package, f"the architecture {found.name}")


def _counts(found: Architecture, in_channels: int, classes: int, things: int) -> dict[str, Any]:
    """What the builder is told of bands and classes. Raises ModelError when a number makes no sense."""
    counts = {"in_channels": in_channels, "classes": classes}
    if found.kind == "panoptic":
        if not things:
            raise ModelError(
                f"{found.name} is panoptic: found things=0; give the number of things, and as classes the number of "
                "those that are stuff"
            )
        counts["things"] = things
    elif things:
        raise ModelError(f"{found.name}: found things={things!r}, but this architecture is {found.kind}; leave it out")
    for what, value in counts.items():
        _check_count(what, value)
    return counts


def _arguments(found: Architecture, encoder: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The builder's options, and its encoder where it has one to choose. Raises as `create_model` does."""
    arguments = {key: _plain(found.name, key, value) for key, value in options.items()}
    _check_options(found, arguments)
    if encoder is not None and not found.takes_encoder:
        raise ModelError(
            f"{found.name}: found encoder {encoder!r}, but this architecture has none to choose; leave it out"
        )
    chosen = found.encoder if encoder is None else encoder
    return arguments if chosen is None else {**arguments, "encoder": _known_encoder(chosen, found.encoders)}


def _check_count(what: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
        raise ModelError(f"found {what}={value!r}; expected a whole number from 1 to {_MOST}")


def _check_options(found: Architecture, given: Mapping[str, Any]) -> None:
    for key in given:
        if key not in found.options:
            near = difflib.get_close_matches(key, found.options, n=3, cutoff=0.5)
            listed = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(found.options) or 'none'}"
            raise ModelError(f"{found.name} has no option {key!r}: {listed}")


def _plain(name: str, key: str, value: Any) -> Any:
    """`value` when it is a number, a word, None, a short list of those (then as a tuple), or such values by name."""
    if isinstance(value, Mapping) and len(value) <= _LONGEST and all(isinstance(inner, str) for inner in value):
        return {inner: _listed(name, f"{key}.{inner}", v) for inner, v in value.items()}
    return _listed(name, key, value)


def _listed(name: str, key: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)) and len(value) <= _LONGEST:
        return tuple(_scalar(name, key, v) for v in value)
    return _scalar(name, key, value)


def _scalar(name: str, key: str, value: Any) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, (int, float)) and abs(value) <= _LARGEST:
        return value
    raise ModelError(
        f"{name}: found {key}={str(value)[:80]!r}; expected a word, a number up to {_LARGEST} or a list of at most "
        f"{_LONGEST} of them"
    )


def _known_encoder(name: Any, own: Sequence[str]) -> str:
    """`name` when it is one of the architecture's `own`, else when smp or timm (`tu-` before it) knows it.

    Names that would make timm fetch files are refused.
    """
    if not isinstance(name, str):
        raise ModelError(f"found encoder {name!r}; expected a name such as 'resnet34' or 'tu-convnext_tiny'")
    if own:
        for written in (name, f"tu-{name}"):
            if written in own:
                return written
        raise UnknownNameError("encoder", name, own)
    from segmentation_models_pytorch.encoders import get_encoder_names
    from timm import is_model, list_models

    known = get_encoder_names()
    if name in known or (name.startswith("tu-") and ":" not in name and "/" not in name and is_model(name[3:])):
        return name
    near = difflib.get_close_matches(name.removeprefix("tu-"), list_models(), n=4, cutoff=0.6)
    raise UnknownNameError("encoder", name, [*known, *(f"tu-{n}" for n in near)])
