"""Describes how a model was trained, so that it is used in the same way; for training and predict.py.

The description is stored as JSON in the model's own file, beside the weights. Weights alone do not
tell the normaliser, the scale or the bypass: with another one the model runs, and is wrong.
"""

import json
from types import SimpleNamespace
from typing import Any

import chainer
import numpy as np
from pydantic import BaseModel, Field, ValidationError

from config import Config
from dataset.label_table import LabelTable
from files.errors import UserError
from files.validation import first_fault

# The configuration keys that a model must be used with as it was trained.
MODEL_KEYS = (
    "in_ch",
    "dilated",
    "bypass",
    "user_multiple",
    "image_scale",
    "normalizer",
)
# Those of them that say what the network's input is.
INPUT_KEYS = ("in_ch", "user_multiple", "image_scale", "normalizer")

_Class = tuple[str, tuple[int, int, int]]  # name, (r, g, b)


class _Description(BaseModel):
    settings: dict[str, Any]
    classes: list[_Class] = Field(min_length=1)
    # Fitted ones are from 0.05 to 20. Divided by 1e-40, scores would be infinite, probabilities NaN.
    temperature: float = Field(1.0, ge=0.01, le=100)


def describe_model(args: SimpleNamespace, temperature: float | None = None) -> str:
    """The description of a model in training, as JSON.

    Args:
        args: ``chainer.global_config.user_train_args``.
        temperature: what its scores are to be divided by before softmax, where it is known.
    """
    values = {**vars(args), "user_multiple": chainer.global_config.user_multiple}
    settings = {key: values[key] for key in MODEL_KEYS}
    description = {"settings": settings, "classes": _classes(args.label_table)}
    if temperature is not None:
        description["temperature"] = temperature
    return json.dumps(description, ensure_ascii=False)


def args_of_description(text: str, path: str) -> SimpleNamespace:
    """What a model needs to be used without any configuration, as a Segmenter takes it.

    Args:
        text: as describe_model() gave it.
        path: the model's file, for messages.

    Returns:
        SimpleNamespace: MODEL_KEYS, ``n_class``, ``temperature``, ``label_table`` (names and
        colours).

    Raises:
        UserError: the description is broken.
    """
    # Config checks the values. It requires the keys that name data, too: any text does for them.
    required = (k for k, field in Config.model_fields.items() if field.is_required())
    description, config = _checked(text, dict.fromkeys(required, path), path)
    names, colors = zip(*description.classes, strict=True)
    try:
        colors = np.array(colors, np.uint8)
    except OverflowError:
        raise _broken(path, "classes: a colour is not from 0 to 255") from None
    return SimpleNamespace(
        **{key: getattr(config, key) for key in MODEL_KEYS},
        n_class=len(names),
        temperature=description.temperature,
        label_table=LabelTable(path, names, colors),
    )


def stored_temperature(text: str | None) -> float:
    """The temperature of a description, of which adopt_description() has found no fault."""
    return 1.0 if text is None else _Description.model_validate_json(text).temperature


def adopt_description(text: str, config: Config, path: str) -> Config:
    """The configuration to use a model with: keys that it leaves out are the model's.

    Args:
        text: as describe_model() gave it.
        config: as load_config() gave it.
        path: the model's file, for messages.

    Raises:
        UserError: the description is broken, or the configuration contradicts it: names each
            key, both values, and what to do.
    """
    description, adopted = _checked(text, config.model_dump(exclude_unset=True), path)
    known = [key for key in MODEL_KEYS if key in description.settings]
    contradictions = [
        f"{key} is {_text(getattr(config, key))} in the configuration, but {path} was trained "
        f"with {_text(getattr(adopted, key))}; use --set {key}={_text(getattr(adopted, key))}"
        for key in known
        if key in config.model_fields_set
        and getattr(config, key) != getattr(adopted, key)
    ]
    table = chainer.global_config.user_test_args.label_table
    contradictions += filter(None, [_other_classes(description.classes, table, path)])
    if contradictions:
        raise UserError("\n       ".join(contradictions))
    return adopted


def trained_as(text: str, path: str) -> tuple[dict[str, Any], list[str]]:
    """The settings of MODEL_KEYS that a model was trained with, and the names of its classes.

    Args and Raises: as adopt_description()'s.
    """
    description = _described(text, path)
    return description.settings, [name for name, _ in description.classes]


def _described(text: str, path: str) -> _Description:
    try:
        return _Description.model_validate_json(text)
    except ValidationError as error:
        raise _broken(path, first_fault(error)) from None


def _checked(text: str, values: dict, path: str) -> tuple[_Description, Config]:
    """A description, and a configuration of some values in which the model's keys are its own."""
    description = _described(text, path)
    known = {k: v for k, v in description.settings.items() if k in MODEL_KEYS}
    try:
        return description, Config.model_validate({**values, **known})
    except ValidationError as error:
        raise _broken(path, first_fault(error)) from None


def _broken(path: str, reason: str) -> UserError:
    return UserError(
        f"{path}: its description is broken ({reason}); was it written by this project?"
    )


def _other_classes(trained: list[_Class], table: LabelTable, path: str) -> str | None:
    """In what the classes of a model differ from those of the table: number, or first name."""
    here = _classes(table)
    if trained == here:
        return None
    way_out = "set label_path to the table that it was trained with"
    if len(trained) != len(here):
        return (
            f"label_path: {table.path} has {len(here)} classes, but {path} was trained with "
            f"{len(trained)}; {way_out}"
        )
    pairs = enumerate(zip(trained, here, strict=True))
    number = next(i for i, (there, own) in pairs if there != own)
    (name, color), (other_name, other_color) = trained[number], here[number]
    return (
        f"label_path: class {number} is {other_name!r} {other_color} in {table.path}, but "
        f"{path} was trained with {name!r} {color}; {way_out}"
    )


def _classes(table: LabelTable) -> list[_Class]:
    colors = map(tuple, table.colors.tolist())
    return list(zip(table.names, colors, strict=True))


def _text(value: Any) -> str:
    """A value as it is written in config.yaml."""
    return value if isinstance(value, str) else json.dumps(value)
