"""The names of all architectures, and the one function that builds any of them."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from torch import nn

from geoseg.errors import ModelError, UnknownNameError

Kind = Literal["semantic"]
Builder = Callable[..., nn.Module]

_BUILD_FAULTS = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, ZeroDivisionError)
_OWN = frozenset({"encoder", "in_channels", "classes"})
_LONGEST = 16  # entries of a list option
_MOST = 4096  # bands or classes
_LARGEST = 65536  # channels, rates and sizes: a larger number is an attack or a typing error


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network that can be built by name: its kind, its paper, and the options that its builder takes.

    `encoder` is the default one; None says that there is no encoder to choose.
    """

    name: str
    kind: Kind
    paper: str
    encoder: str | None
    build: Builder

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the keyword options, without encoder, in_channels and classes."""
        return tuple(p for p in inspect.signature(self.build).parameters if p not in _OWN)

    @property
    def description(self) -> str:
        """What the network is, in one line."""
        return (inspect.getdoc(self.build) or "").partition("\n")[0]


_REGISTERED: dict[str, Architecture] = {}


def register(name: str, *, kind: Kind, paper: str, encoder: str | None = None) -> Callable[[Builder], Builder]:
    """A decorator that gives a builder its name.

    The builder takes keywords only: in_channels, classes, encoder (when there is one to choose) and its options, each
    with a default. Raises ModelError when the name is taken.
    """
    _with_builtin()

    def keep(build: Builder) -> Builder:
        if name in _REGISTERED:
            raise ModelError(
                f"the architecture name {name!r} is taken; expected a new one: register under another name"
            )
        _REGISTERED[name] = Architecture(name, kind, paper, encoder, build)
        return build

    return keep


def architectures() -> Mapping[str, Architecture]:
    """Every registered architecture by its name."""
    _with_builtin()
    return MappingProxyType(_REGISTERED)


def create_model(name: str, *, encoder: str | None = None, in_channels: int, classes: int, **options: Any) -> nn.Module:
    """A new network with random weights that maps (batch, band, y, x) to (batch, channel, y, x), both float32.

    Nothing is fetched from a network. Raises UnknownNameError for an unknown architecture or encoder, and ModelError
    for options that do not fit.
    """
    known = architectures()
    if name not in known:
        raise UnknownNameError("architecture", name, known)
    found = known[name]
    _check_count("in_channels", in_channels)
    _check_count("classes", classes)
    arguments = {key: _plain(name, key, value) for key, value in options.items()}
    _check_options(found, arguments)
    if found.encoder is not None:
        arguments["encoder"] = _known_encoder(found.encoder if encoder is None else encoder)
    elif encoder is not None:
        raise ModelError(f"{name}: found encoder {encoder!r}, but this architecture has none to choose; leave it out")
    try:
        return found.build(in_channels=in_channels, classes=classes, **arguments)
    except _BUILD_FAULTS as error:
        given = ", ".join(f"{k}={v!r}" for k, v in arguments.items())
        raise ModelError(f"{name} cannot be built with {given or 'its defaults'}: {error}") from error


def _with_builtin() -> None:
    """Import the modules that register geoseg's own architectures (again and again: it is free)."""
    importlib.import_module("geoseg.models.semantic")


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
    """`value` when it is a number, a word, None or a short list of those (then as a tuple), as JSON carries them."""
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


def _known_encoder(name: Any) -> str:
    """`name` when smp or timm (`tu-` before it) knows it. Names that would make timm fetch files are refused."""
    from segmentation_models_pytorch.encoders import get_encoder_names
    from timm import is_model, list_models

    if not isinstance(name, str):
        raise ModelError(f"found encoder {name!r}; expected a name such as 'resnet34' or 'tu-convnext_tiny'")
    own = get_encoder_names()
    if name in own or (name.startswith("tu-") and ":" not in name and "/" not in name and is_model(name[3:])):
        return name
    near = difflib.get_close_matches(name.removeprefix("tu-"), list_models(), n=4, cutoff=0.6)
    raise UnknownNameError("encoder", name, [*own, *(f"tu-{n}" for n in near)])
