"""Models in repositories of Hugging Face: `hf:owner/repository[@revision][:file]`.

Files are downloaded by huggingface_hub, which knows tokens, mirrors (HF_ENDPOINT) and the hub's own storage, into a
folder of the cache; their checksums are those that the hub keeps for large files.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from geoseg.errors import ModelError, UnknownNameError
from geoseg.models.digest import sha256_of
from geoseg.models.hub.cache import folder
from geoseg.models.hub.licences import licence_of
from geoseg.models.hub.offers import Obtained, Offer, Report
from geoseg.models.hub.references import SCHEMES, Reference

_FORM = re.compile(r"([\w.-]+/[\w.-]+)(?:@([^:@]+))?(?::(.+))?")
_BESIDE = ("config.json", "preprocessor_config.json")
_INDEX = "model.safetensors.index.json"
_PREFERRED = ("model.safetensors", _INDEX)
_ENDINGS = (
    (".safetensors",),
    (".onnx",),
    (".pt2", ".torchscript"),
    (".pth", ".pt", ".ckpt", ".bin"),
)  # safe ones first


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one commit: its files with the checksums that the hub keeps (None for small ones)."""

    name: str
    commit: str
    files: Mapping[str, str | None]
    licence: Any

    def page(self) -> str:
        """The address of the page that tells of it."""
        return f"{_endpoint()}/{self.name}/tree/{self.commit}"


def offer(reference: Reference) -> Offer:
    """What a repository offers. Asks the hub. Raises ModelError or UnknownNameError when there is no such model."""
    form = _FORM.fullmatch(reference.rest)
    if form is None:
        raise ModelError(f"{reference.text}: found a reference that cannot be read; expected {SCHEMES['hf']}")
    found = _look_up(reference, form[1], form[2])
    chosen = _chosen(reference, found, form[3])
    pin = reference.sha256
    kept = found.files[chosen]
    if pin and kept and PurePosixPath(chosen).name != _INDEX and pin != kept.lower():
        raise ModelError(
            f"{reference.text}: found the checksum {kept} of {chosen} on the hub, expected {pin}; nothing was "
            "downloaded: check the checksum and the revision"
        )
    name = form[1].partition("/")[2]
    licence = licence_of(found.licence)
    return Offer(
        reference=reference.text,
        name=name if form[3] is None else f"{name}-{PurePosixPath(form[3]).stem}",
        origin=found.page(),
        licence=licence,
        obtain=partial(_obtain, reference, found, chosen, pin),
        facts={"attribution": form[1], "source": found.page()},
    )


def _look_up(reference: Reference, name: str, revision: str | None) -> Repository:
    from huggingface_hub import HfApi

    try:
        info = HfApi(endpoint=_endpoint()).model_info(name, revision=revision, files_metadata=True, timeout=30)
    except _faults() as error:
        raise _failed(reference, error) from error
    data = info.card_data
    licence = getattr(data, "license", None) if data else None
    if licence in (None, "other") and data is not None:
        licence = getattr(data, "license_name", None) or licence
    files = {s.rfilename: getattr(s.lfs, "sha256", None) if s.lfs else None for s in info.siblings or ()}
    return Repository(name, str(info.sha), files, licence)


def _chosen(reference: Reference, found: Repository, file: str | None) -> str:
    """The file with the weights: the one that is named, or the only one of the safest kind."""
    if file is not None:
        if file not in found.files:
            raise UnknownNameError(f"file of {found.name}", file, found.files)
        return file
    for name in _PREFERRED:
        if name in found.files:
            return name
    for endings in _ENDINGS:
        weights = [name for name in found.files if name.lower().endswith(endings)]
        if len(weights) == 1:
            return weights[0]
        if weights:
            raise ModelError(
                f"{reference.text}: found {len(weights)} files of weights; expected one: choose it with "
                f"{', '.join(f'hf:{found.name}:{w}' for w in sorted(weights)[:6])}"
            )
    listed = ", ".join(sorted(found.files)[:8]) or "no files"
    raise ModelError(f"{reference.text}: found no weights ({listed}); expected model.safetensors and config.json")


def _obtain(reference: Reference, found: Repository, chosen: str, pin: str | None, report: Report | None) -> Obtained:
    """Download the weights and what describes them: the very file that was checked, or the folder of several parts."""
    parent = str(PurePosixPath(chosen).parent)
    beside = [name if parent == "." else f"{parent}/{name}" for name in _BESIDE]
    path = _download(reference, found, chosen, report)
    sums = {chosen: _checked(reference, path, found.files[chosen])}
    for name in beside:
        if name in found.files:
            _download(reference, found, name, None)
    parted = PurePosixPath(chosen).name == _INDEX
    for shard in _shards(path, found, parent) if parted else ():
        sums[shard] = _checked(reference, _download(reference, found, shard, report), found.files[shard])
    checksum = _of_all(sums) if parted else sums[chosen]
    if pin is not None and checksum != pin:
        raise ModelError(f"{reference.text}: found the checksum {checksum}, expected {pin}; check it and the revision")
    vouched = pin is not None or found.files[chosen] is not None
    drop = None if vouched else partial(_remove, path)
    return Obtained(path.parent if parted else path, path, checksum, drop=drop)


def _of_all(sums: Mapping[str, str]) -> str:
    """One checksum for weights in several files: that of what sha256sum prints of them, by name."""
    lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return hashlib.sha256(lines.encode()).hexdigest()


def _shards(index: Path, found: Repository, parent: str) -> Sequence[str]:
    """The files that an index of weights names, as far as the repository has them."""
    import json

    try:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{found.name}: found an index of weights that cannot be read ({error}); expected JSON") from (
            error
        )
    prefix = "" if parent == "." else f"{parent}/"
    return sorted(prefix + str(name) for name in named if prefix + str(name) in found.files)


def _download(reference: Reference, found: Repository, name: str, report: Report | None) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import tqdm

    class Told(tqdm):
        """The hub's bar, told to `report` and never drawn."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]
            self.total = kwargs.get("total")
            self.done = int(kwargs.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            self.done += int(n or 0)
            if report is not None:
                report(self.done, self.total)

    try:
        return Path(
            hf_hub_download(
                found.name,
                name,
                revision=found.commit,
                cache_dir=folder() / "huggingface",
                endpoint=_endpoint(),
                tqdm_class=Told,
            )
        )
    except _faults() as error:
        raise _failed(reference, error) from error


def _checked(reference: Reference, path: Path, expected: str | None) -> str:
    """The file's checksum. Raises ModelError, and removes the file, when it is another than the hub says."""
    found = sha256_of(path)
    if expected is not None and found != expected.lower():
        _remove(path)
        raise ModelError(
            f"{reference.text}: found the checksum {found}, expected {expected}; the download was removed: try again"
        )
    return found


def _remove(path: Path) -> None:
    """Remove a file that the hub's cache keeps, and the link to it."""
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _faults() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises: its own errors, and those of whatever it speaks HTTP with."""
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    return (OSError, ValueError, EntryNotFoundError, *(b for b in HfHubHTTPError.__bases__ if b is not OSError))


def _failed(reference: Reference, error: Exception) -> ModelError:
    """What a failure of the hub means to the user."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    said = str(error).strip().partition("\n")[0][:200]
    if isinstance(error, GatedRepoError):
        remedy = "its owner wants your consent: accept the terms on its page, and set HF_TOKEN (or run  hf auth login)"
    elif isinstance(error, RepositoryNotFoundError):
        remedy = (
            "there is no such repository, or it is private: check the name, or set HF_TOKEN (or run  hf auth login)"
        )
    elif isinstance(error, RevisionNotFoundError):
        remedy = "there is no such revision: check what stands behind @"
    elif isinstance(error, EntryNotFoundError) and not isinstance(error, FileNotFoundError):
        remedy = "there is no such file in it: check what stands behind the colon"
    else:
        remedy = "check the connection (HTTPS_PROXY, HF_ENDPOINT), or pull it where there is a network and copy "
        remedy += f"the folder {folder()} from there"
    return ModelError(f"{reference.text}: cannot be had from {_endpoint()} ({said}); {remedy}")
