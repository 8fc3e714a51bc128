"""The form of a STAC item with the Machine Learning Model extension, as far as it is read."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoseg.errors import ModelError

ROLE = "mlm:model"


class _Part(BaseModel):
    """Fields that are not named are let through as they are."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)


class _Link(_Part):
    href: str
    rel: str | None = None


class _Asset(_Part):
    href: str | None = None
    roles: list[str] | None = None
    bands: list[dict[str, Any]] | None = None
    eo_bands: list[dict[str, Any]] | None = Field(None, alias="eo:bands")
    raster_bands: list[dict[str, Any]] | None = Field(None, alias="raster:bands")


class _Input(_Part):
    bands: list[str | dict[str, Any]] | None = None


class _Properties(_Asset):
    license: str | None = None
    title: str | None = None
    description: str | None = None
    gsd: float | None = Field(None, gt=0, allow_inf_nan=False)
    name: str | None = Field(None, alias="mlm:name")
    inputs: list[_Input] | None = Field(None, alias="mlm:input")
    outputs: list[dict[str, Any]] | None = Field(None, alias="mlm:output")


class _Item(_Part):
    id: str | None = None
    properties: _Properties
    assets: dict[str, _Asset]
    links: list[_Link] | None = None


def check_item(values: Any, place: str) -> dict[str, Any]:
    """`values` again, once they have the form of a STAC item. Raises ModelError with what is wrong, and where."""
    if (
        not isinstance(values, dict)
        or values.get("type") != "Feature"
        or not isinstance(values.get("properties"), dict)
        or not isinstance(values.get("assets"), dict)
    ):
        raise ModelError(f"{place}: found no STAC item; expected one with the extension for models (mlm)")
    try:
        _Item.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise ModelError(
            f"{place}: found a STAC item that is not valid ({faults}); expected one with the extension for models "
            "(mlm): ask its publisher"
        ) from error
    return values


def model_asset(place: str, assets: dict[str, Any]) -> dict[str, Any]:
    """The asset with the role mlm:model and an address. Raises ModelError unless there is exactly one."""
    listed = {name: asset for name, asset in assets.items() if asset.get("href")}
    models: list[dict[str, Any]] = [asset for asset in listed.values() if ROLE in (asset.get("roles") or ())]
    if len(models) != 1:
        raise ModelError(
            f"{place}: found {len(models)} assets with the role {ROLE!r} ({', '.join(listed) or 'no assets'}); "
            "expected one"
        )
    return models[0]
