"""Describes how a model was trained, so that it is used in the same way; for training and predict.py.

The description is stored as JSON in the model's own file, beside the weights. Weights alone do not
tell the normaliser, the scale or the bypass: with another one the model runs, and is wrong.
"""

import json
from types import SimpleNamespace
from typing import Any

import chainer_compat

import chainer
from pydantic import BaseModel, ValidationError

from config import Config
from dataset.label_table import LabelTable
from files.errors import UserError

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
    classes: list[_Class]


def describe_model(args: SimpleNamespace) -> str:
    """The description of a model in training, as JSON.

    Args:
        args: ``chainer.global_config.user_train_args``.
    """
    values = {**vars(args), "user_multiple": chainer.global_config.user_multiple}
    settings = {key: values[key] for key in MODEL_KEYS}
    classes = _classes(args.label_table)
    return json.dumps({"settings": settings, "classes": classes}, ensure_ascii=False)


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
    try:
        description = _Description.model_validate_json(text)
        known = {k: v for k, v in description.settings.items() if k in MODEL_KEYS}
        adopted = Config.model_validate(
            {**config.model_dump(exclude_unset=True), **known}
        )
    except ValidationError as error:
        raise _broken(path, error) from None
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
    try:
        description = _Description.model_validate_json(text)
    except ValidationError as error:
        raise _broken(path, error) from None
    return description.settings, [name for name, _ in description.classes]


def _broken(path: str, error: ValidationError) -> UserError:
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return UserError(
        f"{path}: its description is broken ({place}: {first['msg']}); was it written by "
        "this project?"
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
    number = next(
        i
        for i, pair in enumerate(zip(trained, here, strict=True))
        if pair[0] != pair[1]
    )
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
