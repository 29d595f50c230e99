"""Reads config.yaml, checks every key, and fills chainer.global_config as the chapter does.

Each key stands once, in Config: its type, range, default, and whether results depend on it. The
programs and the tests load their configuration here.
"""

import os
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal, get_args

import chainer_compat

import chainer
import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from dataset.configured_table import table_of
from dataset.demo_data import ensure_configured_demo_data
from dataset.label_table import LabelTable
from files.errors import UserError
from files.paths import PROJECT, from_here, relative
from files.validation import validated
from files.value_types import Count, Number, PathText, is_path, one_of, range_of
from files.yaml_reader import read_yaml, set_value


class Mark(Enum):
    """Stands in the type of a key whose value does not by itself decide a result; see marked()."""

    PATH = "a file or folder: results depend on what it holds, not on where it lies"
    LENGTH = "how long a run lasts, and after how many epochs it stores a model"
    FREE = "no result depends on it, or by rounding alone"


_Positive = Annotated[Count, Field(ge=1)]
_Side = Annotated[StrictInt, Field(ge=1, le=1 << 15)]
_Factor = Annotated[Number, Field(gt=0, le=8)]
_FilePath = Annotated[PathText, Mark.PATH]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


# The layers of fcn_squeeze.FCN.
_Layer = Literal[
    "conv1", "fire2", "fire3", "fire4", "fire5", "fire6", "fire7", "fire8", "fire9",
    "score_pool1", "score_pool4", "score_pool9", "upsample_pool4", "upsample_pool9",
    "add_layer", "upsample_final",
]  # fmt: skip


class TrainingParams(_Section):
    """The defaults are the book's recipe; what it does not have is off."""

    learning_rate: Annotated[Number, Field(gt=0)] = 0.001
    schedule: Literal["constant", "poly"] = "constant"
    poly_power: Annotated[Number, Field(gt=0)] = 0.9
    warmup_iterations: Count = 0
    batch_size: _Positive = 20
    weight_decay: Annotated[Number, Field(ge=0)] = 0.0005
    epochs: Annotated[_Positive, Mark.LENGTH] = 99
    half_size_epochs: Count = 0
    restarts: Annotated[list[_Positive], Mark.LENGTH] = []
    patience: Annotated[Count, Mark.LENGTH] = 0
    snapshot_epochs: Annotated[_Positive, Mark.LENGTH] = 5
    class_weights: Annotated[Number, Field(ge=0, le=1)] = 0.0
    lovasz: Annotated[Number, Field(ge=0, le=100)] = 0.0
    freeze: list[_Layer] = []
    deep_supervision: Annotated[Number, Field(ge=0, le=100)] = 0.0
    init_deconvolutions: Literal["random", "bilinear"] = "random"
    weight_average: Annotated[Number, Field(ge=0, lt=1)] = 0.0

    @field_validator("restarts")
    @classmethod
    def _lie_within_the_run(cls, value: list[int], info: ValidationInfo) -> list[int]:
        ends = [*value, info.data.get("epochs", 10**9 + 1)]
        if ends != sorted(set(ends)):
            raise PydanticCustomError(
                "restarts",
                "should be epochs in rising order, all before training_params.epochs",
            )
        return value

    @field_validator("half_size_epochs")
    @classmethod
    def _ends_before_the_run(cls, value: int, info: ValidationInfo) -> int:
        if value >= info.data.get("epochs", value + 1):
            raise PydanticCustomError(
                "half_size_epochs",
                "should be less than training_params.epochs: the last epochs see the whole size",
            )
        return value

    @field_validator("freeze")
    @classmethod
    def _leaves_a_layer_to_train(cls, value: list[str]) -> list[str]:
        if set(value) == set(get_args(_Layer)):
            raise PydanticCustomError("freeze", "should leave a layer to train")
        return value


class AugmentationParams(_Section):
    """The defaults are the book's recipe; what it does not have is off."""

    do_augment: StrictBool = True
    do_flip: StrictBool = True
    flips: Literal["both", "left_right", "upside_down"] = "both"
    do_scale: StrictBool = False
    scale: Annotated[list[_Factor], Field(min_length=1)] = [0.25, 0.5]
    change_brightness: StrictBool = False
    change_contrast: StrictBool = False
    zoom: range_of(_Factor) = [1.0, 1.0]
    color_gain: range_of(Annotated[Number, Field(ge=0, le=8)]) = [1.0, 1.0]
    color_offset: Annotated[Number, Field(ge=0, le=255)] = 0.0
    gamma: range_of(_Factor) = [1.0, 1.0]
    saturation: range_of(Annotated[Number, Field(ge=0, le=8)]) = [1.0, 1.0]


class Config(_Section):
    """The keys of config.yaml, which explains them."""

    image_dir_path: _FilePath
    train_image_pointer: _FilePath
    val_image_pointer: _FilePath
    test_image_pointer: Annotated[_FilePath, Mark.FREE]
    label_path: Annotated[_FilePath | None, Mark.PATH] = None
    ignore_labels: list[StrictStr] = []
    ignore_index: Annotated[StrictInt, Field(ge=-1, le=(1 << 16) - 1)] = 255
    label_values: Literal["class_numbers", "grey_levels", "nearest_colors"] = (
        "class_numbers"
    )
    background_label: StrictStr | None = None
    init_weights: Annotated[_FilePath | None, Mark.PATH] = None
    # Free because it must agree with the table of classes, which is compared.
    n_class: Annotated[_Positive | None, Mark.FREE] = None
    in_ch: one_of(1, 3) = 3
    image_scale: Annotated[Number, Field(gt=0, le=1)] = 1.0
    dilated: StrictBool = True
    user_multiple: _Side = 16
    crop_size: Annotated[list[_Side], Field(min_length=2, max_length=2)] | None = None
    normalizer: Literal["GCN", "LCN", "none"] = "GCN"
    bypass: StrictBool = False
    training_params: TrainingParams = TrainingParams()
    augmentation_params: AugmentationParams = AugmentationParams()
    output_path: Annotated[_FilePath, Mark.FREE]
    gpu: Annotated[StrictInt, Field(ge=-1, le=1 << 15), Mark.FREE] = -1
    dtype: Literal["float32", "mixed16"] = "float32"
    communicator: Annotated[
        Literal["auto", "naive", "flat", "non_cuda_aware", "pure_nccl"], Mark.FREE
    ] = "auto"
    seed: Annotated[StrictInt, Field(ge=0, lt=2**32)] = 0
    loader_jobs: Annotated[StrictInt, Field(ge=0, le=256), Mark.FREE] = 2
    cache_size: Annotated[StrictInt, Field(ge=0, le=1 << 30), Mark.FREE] = 256
    debug_mode: Annotated[StrictBool, Mark.FREE] = False

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

    @field_validator("crop_size")
    @classmethod
    def _is_of_multiples(cls, value: list[int] | None, info: ValidationInfo):
        multiple = info.data.get("user_multiple", 1)
        if value and any(side % multiple for side in value):
            raise PydanticCustomError(
                "crop_size",
                f"should be [height, width], both multiples of user_multiple ({multiple})",
            )
        return value


def _keys(model: type[BaseModel], section: str = "") -> dict[str, FieldInfo]:
    """All keys, those of a section as "section.key"."""
    keys = {}
    for name, field in model.model_fields.items():
        keys[section + name] = field
        if isinstance(field.annotation, type) and issubclass(
            field.annotation, _Section
        ):
            keys |= _keys(field.annotation, f"{section}{name}.")
    return keys


KEYS = _keys(Config)


def marked(mark: Mark) -> set[str]:
    """The keys that have a mark, those of a section as "section.key"."""
    return {key for key, field in KEYS.items() if mark in field.metadata}


def load_config(path: str | os.PathLike, overrides: list[str] = ()) -> Config:
    """Read a configuration and put it into ``chainer.global_config``.

    Afterwards ``chainer.global_config`` has the chapter's ``user_train_args``,
    ``user_test_args`` and ``user_multiple``, and ``user_val_args`` beside them. Where the
    configuration names the demo data and they are missing, they are made first.

    Args, Returns and Raises: as read_config().
    """
    config = read_config(path, overrides)
    ensure_configured_demo_data(config.image_dir_path)
    try:
        set_global_config(config)
    except UserError as error:
        raise UserError(f"{error}{_where_to_get(config.image_dir_path)}") from None
    return config


def _where_to_get(folder: str) -> str:
    """For data that are not part of this project: where it says how to get them."""
    for name in ("CamSeq01", "CamVid"):
        if name.lower() in folder.lower() and not os.path.isdir(folder):
            guide = from_here(os.path.join(PROJECT, "docs", f"{name.lower()}.md"))
            place = from_here(folder)
            return f"\n       {name} is not in {place}; {guide} says how to get it"
    return ""


def read_config(path: str | os.PathLike, overrides: list[str] = ()) -> Config:
    """Read and check a configuration.

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
        set_value(values, places, override)
    folder = Path(path).resolve().parent
    for key in marked(Mark.PATH):
        value = values.get(key)
        if isinstance(value, str) and value and is_path(value):
            values[key] = os.path.normpath(folder / os.path.expanduser(value))
    return validated(Config, values, path, places, KEYS)


def set_global_config(config: Config) -> None:
    """Fill ``chainer.global_config`` as the chapter's settings.py does.

    Raises:
        UserError: the label table is missing or wrong, or another key disagrees with it.
    """
    table = table_of(config)
    settings = chainer.global_config
    settings.user_multiple = config.user_multiple
    settings.user_train_args = _args(config, table, "train_image_pointer", train=True)
    settings.user_val_args = _args(config, table, "val_image_pointer", train=False)
    settings.user_test_args = _args(config, table, "test_image_pointer", train=False)


def _args(
    config: Config, table: LabelTable, pointer_key: str, train: bool
) -> SimpleNamespace:
    """All keys, as what the chapter's programs expect for one list of images."""
    values = config.model_dump()
    augmentation = values.pop("augmentation_params")
    do_augment = augmentation.pop("do_augment") and train
    return SimpleNamespace(
        **values
        | {
            "train": train,
            "n_class": len(table),
            "label_table": table,
            "image_pointer_key": pointer_key,
            "image_pointer_path": values[pointer_key],
            "model_path": os.path.join(config.output_path, "model", "fcn_{}.npz"),
            "model_version": "best",
            "aug_params": SimpleNamespace(
                do_augment=do_augment, params=SimpleNamespace(**augmentation)
            ),
            "training_params": SimpleNamespace(**values["training_params"]),
        }
    )


def dump_config(config: Config, folder: str | os.PathLike) -> str:
    """The configuration as used, as YAML text to be stored in a folder; paths relative to it."""
    values = config.model_dump(exclude_none=True)
    for key in marked(Mark.PATH) & set(values):
        values[key] = relative(values[key], folder)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
