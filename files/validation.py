"""Checks what a file holds against a pydantic model, and tells what is wrong in sentences."""

import difflib
import reprlib
from collections.abc import Callable, Iterable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from files.errors import UserError, printable

# What pydantic says in the words of its own types, in those of a YAML file.
_WORDS = {
    "model_type": "should be a section: indented lines 'key: value' below it",
    "dict_type": "should be a section: indented lines 'key: value' below it",
    "string_type": "should be text",
    "string_too_short": "should not be empty",
    "int_type": "should be an integer",
    "float_parsing": "should be a number",
    "bool_type": "should be true or false",
    "too_short": "should be a list of {min_length} or more",
    "too_long": "should be a list of no more than {max_length}",
}
_MAX_PROBLEMS = 20  # of a file of another kind, all would fill the screen

Model = TypeVar("Model", bound=BaseModel)


def validated(
    model: type[Model],
    values: dict,
    path: str,
    places: dict[tuple, str],
    known: Iterable[str] = (),
) -> Model:
    """The values, checked and converted by a pydantic model.

    Args:
        model: says which keys there are, and what each may hold.
        values: what the file holds.
        path: the file, which is named where no place is known.
        places: the place of each key, as read_yaml() gives them.
        known: keys to choose from when a misspelt one is to be guessed; "section.key" in a
            section.

    Raises:
        UserError: a sentence for each thing that is wrong, with place, key and value.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False)[:_MAX_PROBLEMS]
    sentences = [
        f"{_place(p, places) or printable(path)}: {_sentence(p, known)}"
        for p in problems
    ]
    raise UserError("\n       ".join(dict.fromkeys(sentences)))


def _keys(problem: dict) -> tuple[str, ...]:
    """The keys, as text, that lead to what is wrong."""
    keys = problem["loc"]
    if problem["type"] == "invalid_key":  # a number, or a date: "datetime.date(...)"
        keys = (*keys[:-1], problem["input"])
    return tuple(map(_short, keys))


def _place(problem: dict, places: dict[tuple, str]) -> str | None:
    """The place of the longest part of the keys that was written: a list item has its list's."""
    keys = _keys(problem)
    parts = (keys[:length] for length in range(len(keys), 0, -1))
    return next((places[part] for part in parts if part in places), None)


def _sentence(problem: dict, known: Iterable[str]) -> str:
    key = printable(".".join(_keys(problem))[:80])
    if problem["type"] == "missing":
        return f"the key {key} is missing"
    if problem["type"] in ("extra_forbidden", "invalid_key"):
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
        return f"unknown key {key}" + (f"; did you mean {near[0]}?" if near else "")
    value = _short(problem["input"], reprlib.repr)
    return f"{key}: {value} is not allowed; it {_wanted(problem)}"


def _wanted(problem: dict) -> str:
    """What a value should be, beginning with a verb."""
    if problem["type"] == "list_type":
        value = printable(_short(problem["input"]))[:80]
        return f"should be a list: write [{value}]"
    if problem["type"] in _WORDS:
        return _WORDS[problem["type"]].format_map(problem.get("ctx", {}))
    return problem["msg"].removeprefix("Value error, ").removeprefix("Input ")


def _short(value: object, to_text: Callable[[object], str] = str) -> str:
    try:
        return to_text(value)
    except ValueError:  # Python writes out no number of more than 4,300 digits
        return "a number of thousands of digits"


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong, and where, in pydantic's words."""
    # Without the input: of JSON, pydantic would make objects of all of it, 50 times its size.
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]
