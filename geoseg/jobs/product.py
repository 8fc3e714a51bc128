"""What a job makes of a raster of classes, and where on the ground it lies."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from odc.geo.geobox import GeoBox

from geoseg.core.classes import NODATA
from geoseg.core.tiling import Block
from geoseg.errors import SpecError
from geoseg.io.region import RegionMask
from geoseg.jobs.naming import Naming
from geoseg.jobs.objects import ObjectNaming, check_objects
from geoseg.jobs.parts import PostprocessSpec
from geoseg.tasks import EXACT, Postprocess, Task, get_postprocess
from geoseg.vector.ground import Ground

_LINES_ONLY = ("max_width_m", "spur_m", "gap_m", "min_length_m")
_POLYGONS_ONLY = ("small", "outline", "connectivity", "min_area_m2", "fill_holes_m2")
_DRAWN = ("simplify", "smooth", "square")  # outlines that follow pixels' edges no longer
FLAGS = {
    "min_area_m2": "--min-area",
    "fill_holes_m2": "--fill-holes",
    "simplify_m": "--simplify",
    "max_width_m": "--max-width",
    "spur_m": "--spurs",
    "gap_m": "--gaps",
    "min_length_m": "--min-length",
}
_PIXEL_FLOORS = ("min_area_px", "simplify_px")


@dataclass(frozen=True, slots=True)
class Product:
    """The part `block` of `grid` that becomes vectors, and how.

    `background` and `nodata` are the ids that become none; `things` are those whose objects are never cut but by
    `clip`, None for all. `threshold` is the score (0 to 1) from which a pixel is an object, where one decides.
    `area` is the region that was asked for, `region` the same with the margin in which classes are known; `complete`
    says that the scene's own edge alone can cut an object. `resolution` is in metres, None where it is not known.
    """

    grid: GeoBox
    block: Block
    naming: Naming
    postprocess: Postprocess
    resolution: float | None
    scored: bool
    background: int | None
    things: frozenset[int] | None = None
    nodata: int = NODATA
    threshold: float | None = None
    area: RegionMask | None = None
    region: RegionMask | None = None
    complete: bool = True
    clip: bool = False

    @property
    def ground(self) -> Ground:
        """The ground under the grid."""
        return Ground.of(self.grid.affine, self.grid.crs, self.resolution)

    def check(self) -> None:
        """Nothing where the postprocess fits. Raises SpecError, and ResolutionError where it needs metres."""
        wanted = self.postprocess
        if isinstance(self.naming, ObjectNaming):
            check_objects(wanted)
        if wanted.outline == "subpixel" and (self.threshold is None or not self.scored):
            raise SpecError(
                "--outline subpixel draws where the score of one class crosses its threshold; found classes; vectorize "
                "the raster of scores itself, with --threshold, or choose another --outline"
            )
        if wanted.shape == "lines" and self.nodata != NODATA:
            raise SpecError("--shape lines follows classes, found --instances; leave one of them out")
        if wanted.small == "merge" and wanted.min_area_m2 > 0 and self.nodata != NODATA:
            raise SpecError("--small merge makes neighbours of one class, found --instances; give --small drop")
        self.ground.check(self.lengths)

    @property
    def lengths(self) -> dict[str, float]:
        """The postprocess's values in metres and square metres, by the flag that sets each."""
        wanted = described(self.postprocess)
        return {FLAGS[name]: value for name, value in wanted.items() if name in FLAGS}


def resolved(spec: PostprocessSpec, task: Task | None, resolution: float | None) -> Postprocess:
    """The postprocess that a job asks for: the preset's, or the task's, with the job's own values in their place.

    Values that the job leaves open are at least as large as the preset's floors in pixels of `resolution` metres.
    Raises SpecError for values that do not go together, UnknownNameError for an unknown preset.
    """
    preset = get_postprocess(spec.preset) if spec.preset else task.postprocess if task else EXACT
    asked = {name: value for name, value in spec.model_dump(exclude={"preset"}).items() if value is not None}
    floors = {
        "min_area_m2": preset.min_area_px * (resolution or 0) ** 2,
        "simplify_m": preset.simplify_px * (resolution or 0),
    }
    raised = {name: max(getattr(preset, name), floor) for name, floor in floors.items()}
    found = replace(preset, **{**raised, **asked})
    if found.shape == "polygons" and "outline" not in asked and found.outline == "exact" and asked.get("simplify_m"):
        found = replace(found, outline="simplify")
    if found.outline in _DRAWN and found.simplify_m == 0:
        if asked.get("outline") in _DRAWN and "simplify_m" in asked:
            raise SpecError(f"--outline {found.outline} needs room to move: give --simplify a distance above 0")
        found = (
            replace(found, outline="exact") if "simplify_m" in asked else replace(found, simplify_m=resolution or 1.0)
        )
    _check_together(found, asked)
    return found


def _check_together(found: Postprocess, asked: dict[str, Any]) -> None:
    other, what = (_POLYGONS_ONLY, "polygons") if found.shape == "lines" else (_LINES_ONLY, "lines")
    lost = [name for name in other if name in asked]
    if lost:
        flag = FLAGS.get(lost[0], f"--{lost[0]}")
        raise SpecError(f"{flag} has a meaning for {what} only, found --shape {found.shape}; leave it out")
    if found.connectivity == 8 and found.outline == "square":
        raise SpecError("--outline square takes objects that share sides: give --connectivity 4, or another --outline")
    if found.connectivity == 8 and found.small == "merge":
        raise SpecError("--small merge takes objects that share sides: give --connectivity 4, or --small drop")


def described(wanted: Postprocess) -> dict[str, Any]:
    """The values that count for the shape, JSON-able."""
    unused = (*_POLYGONS_ONLY, *_PIXEL_FLOORS) if wanted.shape == "lines" else (*_LINES_ONLY, *_PIXEL_FLOORS)
    return {name: value for name, value in asdict(wanted).items() if name not in unused}
