"""Reads config.yaml, checks every key, and fills chainer.global_config as the chapter does."""

import argparse
import difflib
import os
import reprlib
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import chainer_compat

import chainer
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from dataset.demo_data import ensure_configured_demo_data
from dataset.label_table import LabelTable, read_label_table
from files.errors import UserError
from files.yaml_reader import parse_yaml, read_yaml

_MAX_PROBLEMS = 20  # of a file that is no configuration, all would fill the screen

PATH_KEYS = (
    "image_dir_path",
    "train_image_pointer",
    "val_image_pointer",
    "test_image_pointer",
    "label_path",
    "output_path",
)


def _number(value: Any) -> Any:
    """A float as people write it: YAML 1.1 reads 1e-3 (no dot) as text."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "should be a number")
    return value


def _path(value: str) -> str:
    if not _is_path(value):
        raise PydanticCustomError("path", "should be a path")
    return value


def _is_path(value: str) -> bool:
    """Whether the operating system can take a text for a path."""
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
_Factor = Annotated[Number, Field(gt=0, le=8)]
FilePath = Annotated[StrictStr, Field(min_length=1), AfterValidator(_path)]


def _ascending(limits: list[float]) -> list[float]:
    if limits[0] > limits[1]:
        raise PydanticCustomError("range", "should be [smallest, largest]")
    return limits


def _range(number: Any) -> Any:
    """The type of a key that holds the two ends of a range."""
    ends = Annotated[list[number], Field(min_length=2, max_length=2)]
    return Annotated[ends, AfterValidator(_ascending)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TrainingParams(_Section):
    learning_rate: Annotated[Number, Field(gt=0)]
    batch_size: Annotated[StrictInt, Field(ge=1)]
    weight_decay: Annotated[Number, Field(ge=0)]
    epochs: Annotated[StrictInt, Field(ge=1)]
    snapshot_epochs: Annotated[StrictInt, Field(ge=1)]
    # What the book's recipe does not have, off unless it is asked for.
    schedule: Literal["constant", "poly"] = "constant"
    poly_power: Annotated[Number, Field(gt=0)] = 0.9
    warmup_iterations: Annotated[StrictInt, Field(ge=0)] = 0
    class_weights: Annotated[Number, Field(ge=0, le=1)] = 0.0
    lovasz: Annotated[Number, Field(ge=0, le=100)] = 0.0


class AugmentationParams(_Section):
    do_augment: StrictBool
    do_flip: StrictBool
    flips: Literal["both", "left_right", "upside_down"] = "both"
    do_scale: StrictBool
    scale: Annotated[list[_Factor], Field(min_length=1)]
    change_brightness: StrictBool
    change_contrast: StrictBool
    zoom: _range(_Factor) = [1.0, 1.0]
    color_gain: _range(Annotated[Number, Field(ge=0, le=8)]) = [1.0, 1.0]
    color_offset: Annotated[Number, Field(ge=0, le=255)] = 0.0


class Config(_Section):
    """The keys of config.yaml, each with its type and range; config.yaml explains them."""

    image_dir_path: FilePath
    train_image_pointer: FilePath
    val_image_pointer: FilePath
    test_image_pointer: FilePath
    label_path: FilePath
    ignore_labels: list[StrictStr] = []
    output_path: FilePath
    n_class: Annotated[StrictInt, Field(ge=1)] | None = None
    in_ch: Literal[1, 3] = 3
    dilated: StrictBool = True
    bypass: StrictBool = False
    user_multiple: Annotated[StrictInt, Field(ge=1)] = 16
    image_scale: Annotated[Number, Field(gt=0, le=1)] = 1.0
    normalizer: Literal["GCN", "LCN", "none"] = "GCN"
    gpu: Annotated[StrictInt, Field(ge=-1)] = -1
    dtype: Literal["float32", "mixed16"] = "float32"
    communicator: Literal["auto", "naive", "flat", "non_cuda_aware", "pure_nccl"] = (
        "auto"
    )
    seed: Annotated[StrictInt, Field(ge=0, lt=2**32)] = 0
    debug_mode: StrictBool = False
    loader_jobs: Annotated[StrictInt, Field(ge=0, le=256)] = 2
    cache_size: Annotated[StrictInt, Field(ge=0)] = 256
    training_params: TrainingParams
    augmentation_params: AugmentationParams

    @field_validator("user_multiple")
    @classmethod
    def _fits_the_network(cls, value: int, info: ValidationInfo) -> int:
        needed = 8 if info.data.get("dilated", True) else 16
        if value % needed:
            raise PydanticCustomError(
                "multiple",
                f"should be a multiple of {needed}, by which the network divides the size",
            )
        return value


KNOWN_KEYS = [
    *Config.model_fields,
    *(f"training_params.{key}" for key in TrainingParams.model_fields),
    *(f"augmentation_params.{key}" for key in AugmentationParams.model_fields),
]


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a program the options ``--config`` and ``--set``, load_config()'s arguments."""
    parser.add_argument(
        "--config", required=True, metavar="FILE", help="the YAML configuration"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="use another value for one key, for instance training_params.epochs=3; repeatable",
    )


def command(program: str, arguments: argparse.Namespace, *more: str) -> str:
    """What to type to start a program of this project with the same configuration.

    Args:
        program: its file.
        arguments: of the options of add_config_arguments().
        more: further options.
    """
    # uv sets UV for what it runs; outside of its environment, plain python finds no Chainer.
    start = ["uv", "run"] if "UV" in os.environ else ["python"]
    overrides = [word for pair in arguments.set for word in ("--set", pair)]
    return shlex.join(
        [*start, program, "--config", arguments.config, *overrides, *more]
    )


def load_config(path: str | os.PathLike, overrides: list[str] = ()) -> Config:
    """Read a configuration and put it into ``chainer.global_config``.

    Afterwards ``chainer.global_config`` has the chapter's ``user_train_args``,
    ``user_test_args`` and ``user_multiple``, and ``user_val_args`` beside them. Where the
    configuration names the demo data and they are missing, they are made first.

    Args:
        path: the YAML file; relative paths in it are relative to its folder.
        overrides: ``key=value`` or ``section.key=value``, as given to ``--set``; the value is
            YAML, and stands in for the one in the file.

    Returns:
        Config: the checked settings, its paths absolute.

    Raises:
        UserError: names the file, line and key of everything that is wrong.
    """
    values, places = read_yaml(path)
    for override in overrides:
        _apply_override(values, places, override)
    _make_paths_absolute(values, Path(path).resolve().parent)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise UserError(_describe(path, places, error)) from None
    ensure_configured_demo_data(config.image_dir_path)
    set_global_config(config)
    return config


def _apply_override(values: dict, places: dict[tuple, str], override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise UserError(
            f"--set {override}: expected KEY=VALUE, as in training_params.epochs=3"
        )
    try:
        value, _ = parse_yaml(text)
    except UserError:
        raise UserError(f"--set {override}: {text!r} is no valid YAML value") from None
    *sections, key = dotted.split(".")
    target = values
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise UserError(
                f"--set {override}: {section} is a single value, not a section"
            )
    target[key] = value
    for length in range(1, len(sections) + 1):
        places.setdefault(tuple(sections[:length]), f"--set {override}")
    places[(*sections, key)] = f"--set {override}"


def _make_paths_absolute(values: dict, folder: Path) -> None:
    for key in PATH_KEYS:
        value = values.get(key)
        if isinstance(value, str) and value and _is_path(value):
            values[key] = os.path.normpath(folder / os.path.expanduser(values[key]))


def _describe(path, places: dict[tuple, str], error: ValidationError) -> str:
    """One sentence for each thing that is wrong, with file, line and key."""
    sentences = []
    for problem in error.errors(include_url=False)[:_MAX_PROBLEMS]:
        location = problem["loc"]
        # The longest part of the location that was written: a list item has its key's place.
        written = (
            places.get(location[:length]) for length in range(len(location), 0, -1)
        )
        place = next(filter(None, written), path)
        sentences.append(f"{place}: {_problem(problem)}")
    return "\n       ".join(dict.fromkeys(sentences))


def _problem(problem: dict) -> str:
    key = _dotted(problem["loc"])[:80]
    if problem["type"] == "missing":
        return f"the key {key} is missing"
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, KNOWN_KEYS, n=1, cutoff=0.4)
        return f"unknown key {key}" + (f"; did you mean {near[0]}?" if near else "")
    wanted = (
        problem["msg"]
        .removeprefix("Value error, ")
        .removeprefix("Input ")
        .removeprefix("List ")
    )
    return f"{key}: {reprlib.repr(problem['input'])} is not allowed; it {wanted}"


def _dotted(location: tuple) -> str:
    return ".".join(str(part) for part in location)


def set_global_config(config: Config) -> None:
    """Fill ``chainer.global_config`` as the chapter's settings.py does.

    Raises:
        UserError: the label table is missing or wrong, or n_class disagrees with it.
    """
    table = read_label_table(config.label_path, config.ignore_labels)
    if config.n_class not in (None, len(table)):
        raise UserError(
            f"n_class: {config.n_class} disagrees with {config.label_path}, which has "
            f"{len(table)} classes; remove the key or correct it"
        )
    settings = chainer.global_config
    settings.user_multiple = config.user_multiple
    settings.user_train_args = _args(config, table, "train_image_pointer", train=True)
    settings.user_val_args = _args(config, table, "val_image_pointer", train=False)
    settings.user_test_args = _args(config, table, "test_image_pointer", train=False)


def _args(
    config: Config, table: LabelTable, pointer_key: str, train: bool
) -> SimpleNamespace:
    """The settings of one list of images, under the chapter's names."""
    augmentation = config.augmentation_params.model_dump()
    do_augment = augmentation.pop("do_augment") and train
    return SimpleNamespace(
        **config.model_dump(
            include={
                "debug_mode",
                "gpu",
                "dtype",
                "communicator",
                "in_ch",
                "image_dir_path",
                "output_path",
                "label_path",
            }
            | {
                "image_scale",
                "normalizer",
                "seed",
                "dilated",
                "bypass",
                "cache_size",
                "loader_jobs",
            }
        ),
        train=train,
        n_class=len(table),
        label_table=table,
        image_pointer_key=pointer_key,
        image_pointer_path=getattr(config, pointer_key),
        model_path=os.path.join(config.output_path, "model", "fcn_{}.npz"),
        model_version="best",
        aug_params=SimpleNamespace(
            do_augment=do_augment, params=SimpleNamespace(**augmentation)
        ),
        training_params=SimpleNamespace(**config.training_params.model_dump()),
    )


def dump_config(config: Config, folder: str | os.PathLike) -> str:
    """The configuration as used, as YAML text to be stored in a folder; paths relative to it."""
    values = config.model_dump(exclude_none=True)
    for key in PATH_KEYS:
        values[key] = os.path.relpath(values[key], folder)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
