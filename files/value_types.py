"""Types of values in a YAML file, as people write them; config.py declares its keys with them."""

import os
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

# More folders than any path has; os.makedirs() recurses into each.
_MAX_FOLDERS = 200


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 (no dot) as text: a float may be text, but no bool, date or list."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise PydanticCustomError("number", "should be a number")
    return value


def _integer(value: Any) -> Any:
    if type(value) is not int:
        raise PydanticCustomError("integer", "should be an integer")
    return value


def is_path(value: str) -> bool:
    """Whether the operating system can take a text for a path."""
    try:
        return (
            b"\0" not in os.fsencode(value)
            and sum(map(value.count, "/\\")) < _MAX_FOLDERS
        )
    except UnicodeEncodeError:
        return False


def _path(value: str) -> str:
    if not is_path(value):
        raise PydanticCustomError("path", "should be a path")
    return value


def _ascending(limits: list[float]) -> list[float]:
    if limits[0] > limits[1]:
        raise PydanticCustomError("range", "should be [smallest, largest]")
    return limits


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
# More than any run needs; a number of hundreds of digits would end the computation in an error.
Count = Annotated[StrictInt, Field(ge=0, le=10**9)]
PathText = Annotated[StrictStr, Field(min_length=1), AfterValidator(_path)]


def one_of(*numbers: int) -> Any:
    """The type of a key that holds one of some integers; Literal would take true and 1.0 for 1."""
    return Annotated[Literal[numbers], BeforeValidator(_integer)]


def range_of(number: Any) -> Any:
    """The type of a key that holds the two ends of a range."""
    ends = Annotated[list[number], Field(min_length=2, max_length=2)]
    return Annotated[ends, AfterValidator(_ascending)]
