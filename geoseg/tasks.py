"""What `--task` means: the default model and the postprocess of each thing that a user may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from geoseg.errors import ModelError, UnknownNameError

Shape = Literal["polygons", "lines"]
Outline = Literal["exact", "simplify", "smooth", "square", "subpixel"]
Small = Literal["drop", "merge"]


@dataclass(frozen=True, slots=True)
class Postprocess:
    """What turns a class raster into a product: areas in square metres, lengths in metres on the ground, 0 is off.

    `shape` chooses polygons or centrelines. Of polygons, those below `min_area_m2` are dropped, or merged into the
    neighbour with the longest shared edge; holes up to `fill_holes_m2` are filled; the `outline` stays exact, is
    simplified, smoothed, squared, or drawn through the pixels where the score crosses the threshold, each within
    `simplify_m`; with `connectivity` 8 pixels that touch at a corner are one object. Lines follow the middle of
    what is narrower than `max_width_m`; free ends shorter than `spur_m` go, gaps up to `gap_m` are bridged, and lines
    shorter than `min_length_m` are dropped. `min_area_px` and `simplify_px` are the least values in pixels: on a coarse
    grid, metres that are less than a pixel would do nothing.
    """

    shape: Shape = "polygons"
    small: Small = "drop"
    outline: Outline = "exact"
    connectivity: Literal[4, 8] = 4
    min_area_m2: float = 0.0
    min_area_px: float = 0.0
    fill_holes_m2: float = 0.0
    simplify_m: float = 0.0
    simplify_px: float = 0.0
    max_width_m: float = 40.0
    spur_m: float = 10.0
    gap_m: float = 10.0
    min_length_m: float = 20.0


EXACT = Postprocess()  # pixels' edges, nothing dropped


@dataclass(frozen=True, slots=True)
class Task:
    """A task: `model` is a packaged bundle's name or a hub's reference, None where there is none to be named.

    `published` is a command that pulls a model for it, with what is known of that model; "" where none is known.
    """

    name: str
    description: str
    model: str | None
    postprocess: Postprocess
    published: str = ""

    def default_model(self) -> str:
        """The model that is taken where none is named. Raises ModelError where there is none."""
        if self.model is None:
            pull = f". A published model: {self.published}" if self.published else ""
            raise ModelError(
                f"task {self.name!r}: no model comes with it; name one with --model (a bundle's path). Its "
                f"postprocess works on any class raster: geoseg vectorize classes.tif --postprocess {self.name}{pull}"
            )
        return self.model


_LOVEDA = (  # what this repository tells of itself, and what it does not, was seen in programs that use it
    "geoseg models pull hf:wu-pr-gw/segformer-b2-finetuned-with-LoveDA --task landcover --bands red,green,blue "
    "--resolution 0.3 --accept-license (its publisher states no licence; it learned from LoveDA: towns and villages in "
    "China, for academic use)"
)

_TASKS = (
    Task(
        "buildings",
        "roofs of buildings, from RGB drone and aerial imagery",
        "buildings",
        Postprocess(outline="square", min_area_m2=8.0, fill_holes_m2=6.0, simplify_m=1.0),
    ),
    Task(
        "roads",
        "centrelines of roads, with their width",
        None,
        Postprocess(shape="lines", max_width_m=40.0, spur_m=15.0, gap_m=20.0, min_length_m=30.0, simplify_m=1.0),
    ),
    Task(
        "water",
        "lakes, rivers and the sea",
        None,
        Postprocess(
            outline="smooth", min_area_m2=100.0, min_area_px=9.0, fill_holes_m2=100.0, simplify_m=1.0, simplify_px=1.0
        ),
        published=_LOVEDA,
    ),
    Task(
        "landcover",
        "classes that cover the ground without gaps",
        None,
        Postprocess(
            outline="smooth",
            small="merge",
            min_area_m2=50.0,
            min_area_px=16.0,
            fill_holes_m2=20.0,
            simplify_m=1.0,
            simplify_px=1.0,
        ),
        published=_LOVEDA,
    ),
    Task(
        "trees",
        "crowns of trees",
        "torchgeo:Unet_Weights.OAM_RGB_RESNET50_TCD",
        Postprocess(
            outline="smooth", min_area_m2=3.0, min_area_px=9.0, fill_holes_m2=2.0, simplify_m=0.3, simplify_px=1.0
        ),
    ),
    Task(
        "fields",
        "agricultural parcels, from Sentinel-2 at two dates",
        "torchgeo:Unet_Weights.SENTINEL2_3CLASS_FTW",
        Postprocess(
            outline="simplify", min_area_m2=500.0, min_area_px=9.0, fill_holes_m2=500.0, simplify_m=2.0, simplify_px=1.0
        ),
    ),
    Task(
        "clouds",
        "clouds and their shadows, from satellite imagery in reflectance",
        "clouds",
        Postprocess(
            outline="smooth", min_area_m2=400.0, min_area_px=16.0, fill_holes_m2=400.0, simplify_m=5.0, simplify_px=1.0
        ),
    ),
)
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _TASKS})


def get_task(name: str) -> Task:
    """The task of that name. Raises UnknownNameError with the near names."""
    if name not in TASKS:
        raise UnknownNameError("task", name, TASKS)
    return TASKS[name]


def get_postprocess(name: str) -> Postprocess:
    """The postprocess of a task, or the exact one for "none". Raises UnknownNameError with the near names."""
    if name == "none":
        return EXACT
    if name not in TASKS:
        raise UnknownNameError("postprocess", name, ["none", *TASKS])
    return TASKS[name].postprocess
