"""How a model is trained: the parts of a recipe, without what they are carried out by."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from geoseg.core.card import Finite, Positive
from geoseg.core.classes import ClassInfo

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Range = tuple[Finite, Finite]
Count = Annotated[int, Field(ge=1)]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class SeparatorOptions(_Options):
    """Where objects end, as a class of its own.

    "boundary" is their rim, inside, `width_m` metres wide and at least a pixel; "contact" the pixels within `width_m`
    of two different objects; "both" is either.
    """

    kind: Literal["none", "boundary", "contact", "both"] = "none"
    width_m: Positive = 0.5


class ModelOptions(_Options):
    """What is trained. With `base`, a model's name or file, everything that is not given is that model's own.

    `encoder_weights` is "imagenet", a `torchgeo:` member, a file, or "none". `arguments` are the architecture's own
    options. `classes` has the background first; None takes them from the base, or from the labels. `bands`, `dtype`,
    `value_range`, `mean` and `std` are as in a card; None takes the base's, the encoder's, or what the scenes hold.
    """

    base: str | None = None
    architecture: str | None = None
    encoder: str | None = None
    encoder_weights: str | None = None
    accept_license: bool = False
    arguments: dict[str, Any] = Field(default_factory=dict)
    classes: Annotated[tuple[ClassInfo, ...], Field(min_length=2)] | None = None
    separator: SeparatorOptions | None = None
    bands: tuple[str, ...] | None = None
    dtype: Literal["uint8", "uint16", "int16", "float32"] | None = None
    value_range: Range | None = None
    mean: tuple[Finite, ...] | None = None
    std: tuple[Positive, ...] | None = None
    resolution: Positive | None = None
    resolution_range: tuple[Positive, Positive] | None = None
    tile_size: Count | None = None
    overlap: Annotated[int, Field(ge=0)] | None = None


class AboutOptions(_Options):
    """What the card of the trained model says; None leaves it to the base's card, or to what is known of the run."""

    name: str | None = None
    version: str = "0.1.0"
    task: str | None = None
    description: str | None = None
    license: str | None = None
    attribution: str | None = None
    training_data: tuple[str, ...] | None = None
    limits: str | None = None


class DataOptions(_Options):
    """Which windows are drawn: `crop_size` pixels a side, at resolutions between `resolutions` metres per pixel.

    None takes the model's own resolution, 0.7 to 1.4 times. `balance` is the share of windows that are drawn around a
    pixel of a class, each class as often as another; the others lie anywhere on labelled ground. `validation` is the
    share of each scene that is kept from training, in square blocks of `block_m` metres (None: an eighth of the scene's
    shorter side, at least a crop, and no larger than the share asks for), with `gap_m` metres around them (None:
    a tenth of a crop) that are used for neither.
    """

    crop_size: Annotated[int, Field(ge=32, le=4096)] = 256
    resolutions: tuple[Positive, Positive] | None = None
    balance: Share = 0.5
    validation: Annotated[float, Field(ge=0, le=0.5)] = 0.15
    block_m: Positive | None = None
    gap_m: Amount | None = None
    readers: Count = 2

    @model_validator(mode="after")
    def _rising(self) -> DataOptions:
        if self.resolutions and self.resolutions[0] > self.resolutions[1]:
            raise ValueError(f"resolutions {self.resolutions} are not in rising order")
        return self


class AugmentationOptions(_Options):
    """How windows are changed, on the batch. Each is the probability that a window is changed so; 0 switches it off.

    Values lie between 0 and 1 (the card's value range). `gamma`, `contrast`, `saturation` and `gain` are the largest
    change, as a factor's logarithm; `shift` and `noise` are parts of the value range; `blur` is the largest standard
    deviation in pixels, `haze` the largest share of haze. `mix` is the largest change of a band into the mean of the
    others, `hue` the largest turn of colours in degrees (RGB only); `tint` recolours single objects. What would break
    the physics of multi-band data (hue, saturation, tint, jpeg) is done to red, green and blue alone.
    """

    flips: bool = True
    quarter_turns: bool = True
    colour: Share = 0.8
    gamma: Amount = 0.35
    contrast: Amount = 0.3
    saturation: Amount = 0.5
    gain: Amount = 0.15
    shift: Amount = 0.08
    hue: Amount = 0.0
    grey: Share = 0.0
    mix: Amount = 0.0
    tint: Share = 0.0
    shadow: Share = 0.0
    haze: tuple[Share, Amount] = (0.15, 0.35)
    noise: tuple[Share, Amount] = (0.2, 0.03)
    blur: tuple[Share, Amount] = (0.25, 1.2)
    jpeg: tuple[Share, int] = (0.25, 35)
    copy_paste: Share = 0.0
    cutmix: Share = 0.0


class LossTerm(_Options):
    """One term of the loss, with its weight. `edge` weighs pixels near edges so much more, within `edge_m` metres.

    `alpha` and `beta` are Tversky's weights of false positives and false negatives, `gamma` the focal exponent,
    `hardest` the share of pixels that count with online hard examples.
    """

    name: Literal["cross-entropy", "focal", "dice", "tversky", "lovasz"]
    weight: Positive = 1.0
    edge: Amount = 0.0
    edge_m: Positive = 2.0
    alpha: Share = 0.5
    beta: Share = 0.5
    gamma: Amount = 2.0
    hardest: Annotated[float, Field(gt=0, le=1)] = 1.0


class LossOptions(_Options):
    """The terms of the loss, for semantic models; networks that find objects have their own.

    `class_weights` is "none", "balanced" (measured from the labels, tempered by a square root), or one for each class
    by name. `label_smoothing` is the share of the truth that is spread over all classes.
    """

    terms: Annotated[tuple[LossTerm, ...], Field(min_length=1)] = (
        LossTerm(name="cross-entropy"),
        LossTerm(name="dice", weight=0.5),
    )
    class_weights: Literal["none", "balanced"] | dict[str, Positive] = "none"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.02


class LoopOptions(_Options):
    """How long, and how: `steps` of `batch_size` windows.

    With `minutes` as many as fit into them: the schedule follows the clock then, and no run is like another to the bit.
    `learning_rate` is AdamW's for the head and decoder, times `encoder_factor` for the encoder; "find" searches it.
    The rate rises over `warmup` of the steps and falls as a cosine to `floor` of it. `frozen` is the share of the steps
    in which the encoder keeps still; `freeze_norms` keeps the statistics of batch norms. The average of the weights
    (`ema`, its decay; 0 is off), which looks back on no more than `look_back` of the steps done, is what is validated
    every `validate_every` steps and kept; without improvement `patience` times in a row the run ends. `accumulate`
    batches make one step.
    """

    steps: Count = 2000
    minutes: Positive | None = None
    batch_size: Count = 8
    accumulate: Count = 1
    learning_rate: Positive | Literal["find"] = 1e-3
    encoder_factor: Positive = 1.0
    weight_decay: Amount = 0.02
    clip: Amount = 1.0
    warmup: Share = 0.03
    floor: Share = 0.0
    frozen: Share = 0.0
    freeze_norms: bool = False
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998
    look_back: Annotated[float, Field(gt=0, le=1)] = 0.1
    validate_every: Count = 250
    patience: Count | None = None
    checkpoint_every: Count = 50
    pictures_every: Annotated[int, Field(ge=0)] = 1
    keep: Literal["best", "last"] = "best"
    seed: int = 0
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    devices: Count = 1
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    logger: tuple[Literal["csv", "tensorboard", "mlflow", "wandb"], ...] = ("csv",)


class DistillationOptions(_Options):
    """A bigger model to learn from: `weight` of its part in the loss, its scores softened by `temperature`."""

    teacher: str
    weight: Share = 0.5
    temperature: Positive = 2.0


class AdaptationOptions(_Options):
    """Scenes without labels that the model gets used to, from the share `start` of the steps on.

    The average of the weights labels them; labels below `confidence` do not count, and `weight` is their part in the
    loss.
    """

    images: Annotated[tuple[str, ...], Field(min_length=1)]
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    weight: Share = 0.5
    start: Share = 0.3


class Training(_Options):
    """Everything that a run of training follows, but scenes and files."""

    model: ModelOptions = ModelOptions()
    about: AboutOptions = AboutOptions()
    data: DataOptions = DataOptions()
    augmentation: AugmentationOptions = AugmentationOptions()
    loss: LossOptions = LossOptions()
    loop: LoopOptions = LoopOptions()
    distillation: DistillationOptions | None = None
    adaptation: AdaptationOptions | None = None
