"""One typed configuration: a YAML file, and overrides from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sosd_ros.labels import LabelSet
from sosd_ros.network import TASKS, DepthForm, Padding, Variant, check_form, has_units, tasks_of
from sosd_ros.network.backbone import check_name

from . import strategies
from .strategies.base import Options


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the file, the key and the value."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Section):
    """One of several sets of images to learn from; a step draws from those that teach its task.

    Attributes:
        name: the data set, or the one whose layout the folder has; ``own``: a folder that
            ``training.record`` wrote.
        root: its folder; where a data set of this name is expected if not given.
        split: as ``data.split``.
        part: [k, n]: of its images only every n-th, from the k-th on, counted from 0.
        tasks: what it teaches, and so has the files of; both if not given, of camvid semantic.
        labels: which of its classes, by name or id, is which of those that are learned; the others
            are unlabelled. If not given, both must have the same classes.
        camera: [fx, fy, width, height] in pixels, if it is not the data set's own; of a folder of
            your own what stands in it, which a training fills in when it begins.
        share: how often it is drawn from, relative to the others that a mini-batch draws from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    name: Literal["nyuv2", "cityscapes", "camvid", "own"] = "nyuv2"
    root: Path | None = None
    split: Literal["train", "fit"] = "train"
    part: tuple[NonNegativeInt, PositiveInt] = (0, 1)
    tasks: tuple[Literal["depth", "semantic"], ...] | None = None
    labels: dict[str, str] | None = None
    camera: tuple[PositiveFloat, PositiveFloat, PositiveInt, PositiveInt] | None = None
    share: PositiveFloat = 1.0

    @field_validator("part")
    @classmethod
    def _is_a_part(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] >= value[1]:
            raise ValueError(f"expected k below n, as [0, {value[1]}]")
        return value

    @field_validator("tasks")
    @classmethod
    def _teaches_what_it_has(
        cls, value: tuple[str, ...] | None, info: ValidationInfo
    ) -> tuple[str, ...] | None:
        if value == ():
            raise ValueError(
                "images without any truth teach only by a teacher's answers; write these with "
                "`python -m training.teach`, and let data.photographs name them"
            )
        if info.data.get("name") == "camvid" and "depth" in (value or ()):
            raise ValueError("camvid has no depth; leave it out")
        return value

    @field_validator("camera")
    @classmethod
    def _is_the_images_alone(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("name") == "cityscapes":
            raise ValueError("the disparity of cityscapes is that of its own camera; leave it out")
        return value

    @model_validator(mode="after")
    def _is_somewhere(self) -> Source:
        if self.name == "own" and self.root is None:
            raise ValueError("a folder of your own needs its root")
        return self

    @property
    def taught(self) -> tuple[str, ...]:
        """The tasks that it teaches."""
        return self.tasks or (("semantic",) if self.name == "camvid" else TASKS)


class Folder(_Section):
    """What a folder of your own says of itself.

    Attributes:
        camera: [fx, fy, width, height] in pixels.
        classes: those that are learned; the folder's own labels count by their names.
        tasks: of which it has the truth.
    """

    camera: tuple[PositiveFloat, PositiveFloat, PositiveInt, PositiveInt]
    classes: LabelSet
    tasks: tuple[Literal["depth", "semantic"], ...]


# Which data sets have an option.
_OWNERS = {
    "classes": {"nyuv2"},
    "disparity_divisor": {"cityscapes"},
    "own": {"own"},
    "photographs": {"nyuv2", "own"},
    "raw_depth": {"nyuv2"},
    "split": {"nyuv2", "own"},
}


class Data(_Section):
    """What is learned from, and how the network sees it.

    Attributes:
        name: the data set that is measured on, whose classes and depth are learned; and what is
            learned from, unless there are sources. ``own``: a folder of ``training.record``.
        own: what that folder says, which a training fills in when it begins.
        size: (height, width) at which the network sees it.
        licence: of what is learned from, for the weights file; the data set's own if empty.
        workers: processes that read samples, each process of a training.
        split: of NYU Depth v2: ``train``, all training samples, measured on val; or ``fit``, four
            fifths of their scenes, measured on the fifth that is held back. Of a folder of your
            own, ``fit`` is measured on the early half of val, which leaves the late one untouched.
        classes: of NYU Depth v2: 40 classes, or their 13 groups.
        raw_depth: of NYU Depth v2: the sensor's own depth, instead of the in-painted one.
        disparity_divisor: of Cityscapes: disparity is that of the full-size images, over this.
        scales: what augmentation scales images by; the paper's for the data set if empty.
        chance: with which each transform happens but for the flip, whose chance is 0.5. The paper's
            sentence can also be read as 0.5 for all of them.
        rotation: beyond the paper: images turn by up to so many degrees.
        tint: beyond the paper: each colour is multiplied by up to 1 plus or minus this.
        gamma: beyond the paper: by how much at most the logarithm of gamma differs from 0.
        blur: beyond the paper: the greatest deviation of a Gaussian blur, in pixels.
        noise: beyond the paper: the greatest deviation of noise, of values from 0 to 255.
        cutmix: beyond the paper: chance that a part of a sample comes from another one.
        crop: (height, width) of the part of a sample that the network sees in training, drawn
            anywhere in it; all of it if empty. A quarter of it takes a quarter of the time.
        truth_stride: the losses see every such pixel in rows and columns.
        sources: what is learned from in its place, if not all of it teaches both tasks.
        draw: what a mini-batch is drawn from: the sources that teach a task of its step, or all,
            so that batch norms see the same mixture in all steps.
        photographs: a folder that ``training.teach`` wrote.
        photographs_share: of each mini-batch, that comes from there.
    """

    name: Literal["nyuv2", "cityscapes", "camvid", "own"] = "nyuv2"
    own: Folder | None = None
    size: tuple[PositiveInt, PositiveInt] = (480, 640)
    licence: str | None = None
    workers: int = Field(2, ge=0)
    split: Literal["train", "fit"] = "train"
    classes: Literal[13, 40] | None = None
    raw_depth: bool = False
    disparity_divisor: PositiveFloat = 1.0
    scales: tuple[PositiveFloat, ...] | None = Field(None, min_length=1)
    chance: float = Field(1.0, ge=0, le=1)
    rotation: float = Field(0.0, ge=0, le=90)
    tint: float = Field(0.0, ge=0, lt=1)
    gamma: float = Field(0.0, ge=0, lt=1)
    blur: NonNegativeFloat = 0.0
    noise: NonNegativeFloat = 0.0
    cutmix: float = Field(0.0, ge=0, le=1)
    crop: tuple[PositiveInt, PositiveInt] | None = None
    truth_stride: PositiveInt = 1
    sources: tuple[Source, ...] = ()
    draw: Literal["task", "all"] = "task"
    photographs: Path | None = None
    photographs_share: float = Field(0.5, gt=0, lt=1)

    @property
    def validation(self) -> str:
        """The split that is measured on: what ``split`` leaves untouched."""
        held_back = "early" if self.name == "own" else "held_back"
        return {"train": "val", "fit": held_back}[self.split]

    @property
    def seen(self) -> tuple[int, int]:
        """(height, width) of what the network sees of a sample in training."""
        return self.crop or self.size

    @property
    def taught(self) -> tuple[str, ...]:
        """The tasks that it teaches."""
        if self.photographs is not None:
            return TASKS
        if self.sources:
            return tuple({task for source in self.sources for task in source.taught})
        if self.name == "own":
            return self.own.tasks if self.own else TASKS
        return Source(name=self.name).taught

    @model_validator(mode="after")
    def _sizes_fit(self) -> Data:
        for name, size in (("size", self.size), ("crop", self.seen)):
            if any(side % self.truth_stride for side in size):
                raise ValueError(
                    f"truth_stride {self.truth_stride} does not divide {name} {[*size]}; choose a "
                    "divisor of both sides"
                )
        if any(part > whole for part, whole in zip(self.seen, self.size, strict=True)):
            raise ValueError(f"crop {[*self.seen]} is larger than size {[*self.size]}")
        return self

    @model_validator(mode="after")
    def _options_fit_the_data_set(self) -> Data:
        there = {self.name, *(source.name for source in self.sources)}
        for option, owners in _OWNERS.items():
            changed = getattr(self, option) != type(self).model_fields[option].default
            if changed and not owners & there:
                raise ValueError(f"{self.name} has no option {option}")
        return self


class Network(_Section):
    """What is built, see ``sosd_ros.network.SOSDNet``, and what it starts from.

    Attributes:
        variant: which tasks it has, and whether units tie them together.
        backbone: one of timm's, by its name; with a tag, such as ``resnet50.a1_in1k``, for certain
            weights.
        pretrained: start the backbone from timm's weights, which timm downloads; or from this
            ``.safetensors`` file of them.
        output_stride: of the backbone's deepest features: 32, or less by dilated convolutions.
        rates: dilation of the context module's branches.
        drop_path: chance of leaving out a block of the backbone in training.
        dropout: of the features before the last convolutions, in training.
        taps: beyond the paper: strides at which the decoder sees the backbone's features.
        padding: beyond the paper: what convolutions see beyond the border.
        depth_form: beyond the paper: whether the network answers depth or its logarithm.
        spread: beyond the paper: whether it says how uncertain depth is.
        init: what the layers behind the backbone start from, see ``networks.initial``.
        units: the paper's, or others to compare with, see ``networks.units``.
        start: a weights file or checkpoint of a network of this kind, to start all of it from.
        frozen_stride: the backbone is held as it starts up to its features at this stride.
        frozen_norms: batch norms keep the statistics that they start with.
        area_shift: what the batch norms of the semantic-to-depth unit's two areas add at the start.
            At 0 an area is cut off at half of all positions, and a cue learns where neither is.
    """

    variant: Variant = "esosd"
    backbone: str = "xception65"
    pretrained: bool | Path = True
    output_stride: Literal[8, 16, 32] = 32
    rates: tuple[PositiveInt, ...] = (3, 6, 9)
    drop_path: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    taps: tuple[PositiveInt, ...] = (8, 32)
    padding: Padding = "zeros"
    depth_form: DepthForm = "linear"
    spread: bool = False
    init: Literal["variance01", "sigma01", "default"] = "variance01"
    units: Literal["paper", "detached", "logarithmic", "told"] = "paper"
    start: Path | None = None
    frozen_stride: Literal[2, 4] | None = None
    frozen_norms: bool = False
    area_shift: NonNegativeFloat = 0.0

    @model_validator(mode="before")
    @classmethod
    def _older_name(cls, values: Any) -> Any:
        """``pretrained`` was ``imagenet``, as configurations and checkpoints still have it."""
        if not isinstance(values, dict) or "imagenet" not in values:
            return values
        others = {name: value for name, value in values.items() if name != "imagenet"}
        return {"pretrained": values["imagenet"]} | others

    @field_validator("pretrained")
    @classmethod
    def _is_no_pickle(cls, value: bool | Path) -> bool | Path:
        if isinstance(value, Path) and value.suffix != ".safetensors":
            raise ValueError("expected true, false or the path of a .safetensors file")
        return value

    @field_validator("backbone")
    @classmethod
    def _is_a_backbone(cls, value: str) -> str:
        check_name(value)
        return value

    @model_validator(mode="after")
    def _can_be_built(self) -> Network:
        check_form(
            *(self.variant, self.taps, self.padding, self.depth_form, self.spread),
            self.output_stride,
        )
        return self

    # A validator sees the fields before its own. So where two settings exclude each other, the
    # later one is refused, and the message has its line in the file.
    @field_validator("frozen_stride")
    @classmethod
    def _holds_what_was_learned(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and not info.data.get("pretrained", True) and info.data.get("start") is None:
            raise ValueError(
                "with network.pretrained=false and no network.start, the layers to be held would "
                "be random for ever; leave frozen_stride out, or start from weights"
            )
        return value

    @field_validator("area_shift", "units")
    @classmethod
    def _changes_units_that_are_there(cls, value: Any, info: ValidationInfo) -> Any:
        variant = info.data.get("variant")
        if value not in (0, "paper") and variant and not has_units(variant):
            raise ValueError(f"a network of variant {variant!r} has no units; leave it out")
        if value and info.field_name == "area_shift" and info.data.get("units") == "told":
            raise ValueError("network.units=told has no areas to shift; leave it out")
        return value


class Optimiser(_Section):
    """Adam, with the learning rate constant or falling to zero by the polynomial rule.

    Attributes:
        learning_rate: of the backbone.
        schedule: how it goes on.
        poly_power: of the polynomial rule.
        warm_up: share of the training in which the learning rate rises to what it is.
        head_factor: learning rate of what is behind the backbone, relative to the backbone's.
        weight_decay: decoupled from the gradient (AdamW), not of biases and norms.
        clip: the greatest norm of the gradient over all parameters; none if empty.
    """

    learning_rate: PositiveFloat = 1e-4
    warm_up: float = Field(0.0, ge=0, lt=1)
    schedule: Literal["constant", "poly"] = "constant"
    poly_power: PositiveFloat = 0.9
    head_factor: PositiveFloat = 1.0
    weight_decay: NonNegativeFloat = 0.0
    clip: PositiveFloat | None = None


class Loss(_Section):
    """What is added to eq. 6 and 7, nothing by default; and what depth of photographs is worth.

    Attributes:
        log_depth: weight of the mean |log d - log truth|, which weighs errors by the distance.
        squared_depth: weight of the mean (d - truth)^2, whose best answer is the mean of what may
            be true and not its median.
        scale_invariant: weight of the scale-invariant error of log depth (Eigen et al., 2014).
        scale_invariance: how much of it one factor for each image may take away.
        gradient: weight of how far differences of log depth between near pixels err.
        spread: weight of the likelihood that the spread gives to the truth, if there is a spread.
        scale_free: the depth of photographs, whose camera is unknown, counts up to one factor an
            image.
    """

    log_depth: NonNegativeFloat = 0.0
    squared_depth: NonNegativeFloat = 0.0
    scale_invariant: NonNegativeFloat = 0.0
    scale_invariance: float = Field(0.85, ge=0, le=1)
    gradient: NonNegativeFloat = 0.0
    spread: NonNegativeFloat = 0.2
    scale_free: bool = True


class Config(_Section):
    """A training run. The defaults are the paper's settings for NYU Depth v2.

    Attributes:
        strategy: a module of ``training.strategies`` by its name, with that module's options.
        epochs: how often all images are seen; of sources, as many images as all have together.
        batch_size: images in a mini-batch, over all processes and all of its parts.
        accumulate: parts that a process computes one after the other, to save memory.
        precision: of the forward and the backward pass; parameters stay float32.
        channels_last: the layout in memory, which is quicker on most devices.
        compile: make one program of a step by torch.compile.
        sync_batch_norm: batch norms see the mini-batches of all processes.
        ema: decay of the moving average of parameters and batch norm statistics, which is then what
            is measured and exported.
        evaluate_every: epochs between two measurements; the last epoch is always measured.
        patience: the training ends when so many measurements in a row were no better than the best.
        keep: how many of the last epochs' checkpoints stay, besides ``last.pt``.
        best: the metric by which ``best.pt`` is chosen; the variant's first if empty.
        seed: of all that is drawn: initial values, order and augmentation.
    """

    data: Data = Data()
    network: Network = Network()
    optimiser: Optimiser = Optimiser()
    loss: Loss = Loss()
    strategy: SerializeAsAny[Options] = Field(
        default_factory=lambda: strategies.options(strategies.DEFAULT), validate_default=True
    )
    epochs: PositiveInt = 60
    batch_size: PositiveInt = 16
    accumulate: PositiveInt = 1
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    channels_last: bool = True
    compile: bool = False
    sync_batch_norm: bool = False
    ema: float | None = Field(None, gt=0, lt=1)
    evaluate_every: PositiveInt = 5
    patience: PositiveInt | None = None
    keep: NonNegativeInt = 0
    best: str | None = None
    seed: int = 0

    @field_validator("network")
    @classmethod
    def _has_a_teacher_of_each_task(cls, value: Network, info: ValidationInfo) -> Network:
        data = info.data.get("data")
        if data is None:
            return value
        tasks = {*tasks_of(value.variant)}
        if missing := tasks.difference(data.taught):
            raise ValueError(
                f"variant {value.variant!r} learns {' and '.join(sorted(missing))}, which no "
                "source teaches; add one to data.sources, or choose another variant"
            )
        for number, source in enumerate(data.sources):
            if tasks.isdisjoint(source.taught):
                raise ValueError(
                    f"variant {value.variant!r} learns nothing from data.sources.{number}, which "
                    f"teaches {' and '.join(sorted(source.taught))}; leave it out"
                )
        return value

    @field_validator("strategy", mode="before")
    @classmethod
    def _named_strategy(cls, value: object) -> Options:
        return strategies.options(value)

    @field_validator("strategy")
    @classmethod
    def _has_its_tasks(cls, value: Options, info: ValidationInfo) -> Options:
        network = info.data.get("network")
        both = strategies.kind(value.name).needs_both_tasks
        if both and network and len(tasks_of(network.variant)) < 2:
            raise ValueError(
                f"strategy {value.name} needs two tasks, but variant {network.variant!r} has one; "
                "use strategy joint"
            )
        return value

    @field_validator("accumulate", "precision", "compile")
    @classmethod
    def _leaves_gradients_to_be_weighed(cls, value: Any, info: ValidationInfo) -> Any:
        strategy = info.data.get("strategy")
        if strategy is None or not strategies.kind(strategy.name).weighs_gradients:
            return value
        if info.field_name == "accumulate" and value > 1:
            raise ValueError(
                f"strategy {strategy.name} weighs the gradients of the whole mini-batch, which "
                f"accumulate {value} takes apart; set accumulate=1"
            )
        if info.field_name == "compile" and value:
            raise ValueError(
                f"strategy {strategy.name} takes gradients inside of what torch.compile makes "
                "one step of; set compile=false"
            )
        if value == "float16":
            raise ValueError(
                f"strategy {strategy.name} weighs gradients, which float16 cannot hold unless "
                "they are scaled; set precision=bfloat16 or float32"
            )
        return value


def load(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and apply overrides such as ``optimiser.learning_rate=3e-4``.

    A file with ``base: OTHER.yaml``, a path as seen from it, has the settings of that one but for
    those that it states.

    Raises:
        ConfigError: naming file and line, or the override, with key, value and what was expected.
    """
    values, places = _read(path, ())
    for override in overrides:
        key = _apply(values, override)
        places[key] = f"--set {override}"
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = [_problem(details, places, path) for details in error.errors()]
        raise ConfigError("\n".join(problems)) from error


def dump(config: Config) -> str:
    """The resolved configuration as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _read(path: Path, above: tuple[Path, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings of a file and its bases, and the place of every key by its dotted name.

    Args:
        above: the files that lead to this one, each the base of the one before.
    """
    called = f"{path} (the base of {above[-1]})" if above else path
    if path.resolve() in (other.resolve() for other in above):
        raise ConfigError(f"configuration {called} is its own base; take one of the lines out")
    try:
        values, lines = _parse(path, path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read configuration {called}: {error}") from error
    places = {key: f"{path}, line {line}" for key, line in lines.items()}
    base = values.pop("base", None)
    if base is None:
        return values, places
    if not isinstance(base, str):
        raise ConfigError(f"{places['base']}: base = {base!r}: expected the name of a file")
    below, places_below = _read(path.parent / base, (*above, path))
    return _merged(below, values), places_below | places


def _merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes``, which may be of a part of a section."""
    merged = dict(base)
    for key, value in changes.items():
        of_base = base.get(key)
        both = isinstance(value, dict) and isinstance(of_base, dict)
        merged[key] = _merged(of_base, value) if both and of_base is not None else value
    return merged


def _parse(path: Path, text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The values, and the line of every key by its dotted name."""
    root = yaml.compose(text, yaml.SafeLoader)
    if root is None:
        return {}, {}
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"configuration {path} is not of the form key: value")
    lines: dict[str, int] = {}
    for key, line in _keys(root):
        if key in lines:
            raise ConfigError(f"{path}, line {line}: {key} is already set in line {lines[key]}")
        lines[key] = line
    return yaml.safe_load(text), lines


def _keys(mapping: yaml.MappingNode, prefix: str = "") -> Iterator[tuple[str, int]]:
    for key, value in mapping.value:
        yield f"{prefix}{key.value}", key.start_mark.line + 1
        if isinstance(value, yaml.MappingNode):
            yield from _keys(value, f"{prefix}{key.value}.")


def _problem(details: Any, places: Mapping[str, str], path: Path) -> str:
    """One of pydantic's problems as a sentence that says where it is."""
    keys = [str(part) for part in details["loc"]]
    # The file has no line for what is missing, nor for an item of a list: take what holds it.
    near = (".".join(keys[:length]) for length in range(len(keys), 0, -1))
    place = next((places[key] for key in near if key in places), str(path))
    message = details["msg"].removeprefix("Value error, ")
    return f"{place}: {'.'.join(keys)} = {details['input']!r}: {message}"


def _apply(values: dict[str, Any], override: str) -> str:
    """Change ``values``; the key that was set."""
    key, separator, text = override.partition("=")
    if not separator:
        raise ConfigError(f"override {override!r} is not of the form section.key=value")
    *sections, last = key.split(".")
    for section in sections:
        # A strategy may be given by its name alone.
        if section == "strategy" and isinstance(values.get(section), str):
            values[section] = {"name": values[section]}
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"override {override!r}: {section} is a value, not a section")
    try:
        # YAML reads "3e-4" as text; pydantic makes the number of it.
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r} is not YAML: {error}") from error
    return key
