"""Reads what runs left in their output folders, checked; for visualizer.py and report.py."""

import json
import math
import os
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    FailFast,
    Field,
    StrictBool,
    StrictInt,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError
from typing_extensions import Required, TypedDict

from files.errors import UserError
from files.text_file import read_text
from files.validation import first_fault
from files.yaml_reader import flatten, read_yaml

_MAX_BYTES = 1 << 26
_MAX_TEXTS = 1000
_MAX_DRAWN = 1e30  # larger numbers overflow where axes are scaled


def _drawable(value: float) -> float:
    return value if abs(value) < _MAX_DRAWN else math.nan


def _few(values: Any) -> Any:
    if isinstance(values, dict) and len(values) > _MAX_TEXTS:
        raise PydanticCustomError("too_long", "Too many values")
    return values


_Figure = Annotated[float, Field(strict=True), AfterValidator(_drawable)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1)] | None
# A list that ends at its first fault: pydantic keeps 1 KB for each, of millions.
_Item = TypeVar("_Item")
_Some = Annotated[list[_Item], FailFast()]
_Texts = Annotated[dict[str, str], BeforeValidator(_few)]
_Color = Annotated[StrictInt, Field(ge=0, le=255)]
_FIGURES = [
    f"{prefix}main/{figure}"
    for prefix in ("", "validation/")
    for figure in ("loss", "accuracy", "miou", "dice")
]
_BY_CLASS = [f"validation/main/{figure}_by_class" for figure in ("iou", "dice")]
_Epoch = TypedDict(
    "_Epoch",
    {
        "epoch": Required[Annotated[StrictInt, Field(ge=0, le=10**9)]],
        "elapsed_time": Required[Annotated[float, Field(ge=0, le=1e12)]],
        **dict.fromkeys(["lr", "main/cross_entropy", *_FIGURES], _Figure),
        **dict.fromkeys(_BY_CLASS, _Some[_Share]),
    },
    total=False,
)
_Log = Annotated[list[_Epoch], Field(min_length=1), FailFast()]
_Count = Annotated[StrictInt, Field(ge=0, lt=2**63)]


class _Overall(BaseModel):
    pixel_accuracy: _Share
    mean_iou: _Share
    mean_dice: _Share = None  # of runs before it was counted


class _Image(_Overall):
    name: str


class _Class(BaseModel):
    number: StrictInt = Field(alias="class")
    name: str
    color: tuple[_Color, _Color, _Color]
    iou: _Share
    dice: _Share = None
    recall: _Share
    precision: _Share
    pixels: _Count


class _Calibration(BaseModel):
    """What the report shows of calibration.calibration_figures()."""

    temperature: Annotated[float, Field(gt=0)]
    expected_calibration_error: _Share
    without_temperature: _Share


class _Scores(_Overall):
    """What the report shows of scores.json; scoring.Scores.as_dict() and predict.py make it."""

    model: str
    model_sha256: str
    averaged_with: _Texts = {}  # further model -> its SHA-256
    mirrored: StrictBool = False
    chosen_on: Annotated[StrictInt, Field(ge=0)] = 0
    scales: _Some[Annotated[float, Field(gt=0, le=8)]] = [1.0]
    time: str
    at_photo_size: _Overall
    classes: _Some[_Class]
    ignored: _Some[str]
    calibration: _Calibration | None = None
    confusion: _Some[_Some[_Count]] = []
    images: _Some[_Image]


class _Record(BaseModel):
    """What training/run_record.py stored about the start of a run."""

    date: str
    command: str
    versions: _Texts
    machine: str
    data: _Texts


def read_record(folder: str) -> dict | None:
    """When, where, with what and on what a run was started, from ``run.json``; None if unknown.

    Raises:
        UserError: the file is broken.
    """
    record = _read(os.path.join(folder, "run.json"), _Record, "the record of a run")
    return record and record.model_dump()


def read_log(folder: str) -> list[dict]:
    """The entries of a run's log, one an epoch.

    Returns:
        list of dict: "epoch" and "elapsed_time" are in each; NaN stands for figures that are
        not finite.

    Raises:
        UserError: there is no log, or it is broken.
    """
    path = os.path.join(folder, "log")
    log = _read(path, _Log, "a log of a training")
    if log is None:
        raise UserError(f"{folder}: no training has left its log there: {path}")
    return log


def read_scores(folder: str) -> dict | None:
    """What predict.py stored in ``predict/scores.json``; None if it has not been run yet.

    Raises:
        UserError: the file is broken.
    """
    path = os.path.join(folder, "predict", "scores.json")
    scores = _read(path, _Scores, "the scores of a model")
    return scores and scores.model_dump(by_alias=True)


def read_config_text(folder: str) -> str:
    """The configuration that a run used, as text.

    Raises:
        UserError: there is none, or it is no text.
    """
    path = os.path.join(folder, "config.yaml")
    return read_text(path, "configuration", _MAX_BYTES)


def read_config(folder: str) -> dict[str, object]:
    """The configuration that a run used, its sections flattened: {"a.b": value}.

    Raises:
        UserError: there is none, or it is broken.
    """
    return flatten(read_yaml(os.path.join(folder, "config.yaml"))[0])


def _read(path: str, kind: Any, what: str) -> Any:
    """A JSON file of a run as the type that it should hold; None if there is no file.

    Raises:
        UserError: it cannot be read, is no regular file (a FIFO would block), too large, or holds
            something else.
    """
    if not os.path.lexists(path):
        return None
    text = read_text(path, what, _MAX_BYTES)
    try:
        # Not validate_json(): each of its errors holds a copy of the whole input.
        return TypeAdapter(kind).validate_python(json.loads(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not {what}: no valid JSON: {error}") from None
    except ValueError as error:
        if not isinstance(error, ValidationError):
            raise UserError(
                f"{path}: not {what}: a number has too many digits"
            ) from None
        raise UserError(f"{path}: not {what}: {first_fault(error)}") from None


def series(log: list[dict], key: str) -> list[float]:
    """The values of a key, one an epoch; NaN where an entry has none."""
    values = (entry.get(key) for entry in log)
    return [float(v) if isinstance(v, int | float) else math.nan for v in values]


def best_entry(log: list[dict]) -> int:
    """Index of the epoch with the best validation mean IoU, the first of equals."""
    miou = series(log, "validation/main/miou")
    return max(range(len(log)), key=lambda i: (not math.isnan(miou[i]), miou[i]))
