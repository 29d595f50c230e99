"""Reads YAML files of settings: plain values only, at most 1 MiB, with the place of every key.

config.py reads the configurations with it, evaluation.run_log those that runs have stored.
"""

import os

import yaml

from files.errors import UserError, printable
from files.text_file import read_text

_MAX_BYTES = 1 << 20


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader without two features that settings do not need.

    Aliases: a few lines of them can stand for billions of values. Tags: ``!!bool zz`` is an
    error inside PyYAML.
    """

    def compose_node(self, parent, index):
        event = self.peek_event()
        if self.check_event(yaml.AliasEvent):
            self._refuse("aliases (*name) are not used here", event)
        if event.tag is not None:
            self._refuse("tags (!name) are not used here", event)
        return super().compose_node(parent, index)

    @staticmethod
    def _refuse(problem: str, event: yaml.Event) -> None:
        raise yaml.composer.ComposerError(None, None, problem, event.start_mark)


def parse_yaml(text: str | bytes) -> tuple[object, yaml.Node | None]:
    """The value of a YAML text, and its node, which knows the lines.

    Raises:
        UserError: what is wrong, and where in the text.
    """
    try:
        loader = _PlainLoader(text)
        node = loader.get_single_node()
        return (None if node is None else loader.construct_document(node)), node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = printable(error.problem)
        raise UserError(f"{where}: no valid YAML: {problem}") from None
    # ValueError: a date or a number that cannot be; RecursionError: ten thousand brackets.
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        first_line = printable(str(error).partition("\n")[0])
        raise UserError(f": no valid YAML: {first_line}") from None


def read_yaml(path: str | os.PathLike) -> tuple[dict, dict[tuple, str]]:
    """The mapping in a YAML file, and for each of its keys the place it stands in.

    Raises:
        UserError: the file cannot be read, is larger than 1 MiB, is no valid YAML, or sets a
            key twice.
    """
    name = printable(path)
    text = read_text(path, "configuration", _MAX_BYTES)
    try:
        values, node = parse_yaml(text)
    except UserError as error:
        raise UserError(f"{name}{error}") from None
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise UserError(
            f"{name}: expected lines 'key: value', as in the config.yaml of this project"
        )
    return values, _key_places(name, node)


def _key_places(name: str, node: yaml.MappingNode, section: tuple = ()) -> dict:
    """Where each key stands; refuses one that stands twice (YAML would take the last)."""
    places: dict[tuple, str] = {}
    loader = _PlainLoader("")
    for key_node, value_node in node.value:
        # As the values have it: null is None, yes is True, 0x10 is 16.
        key = (*section, str(loader.construct_object(key_node, deep=True)))
        place = f"{name}, line {key_node.start_mark.line + 1}"
        if key in places:
            dotted = printable(".".join(key)[:80])
            raise UserError(
                f"{place}: {dotted} is set a second time (first: {places[key]})"
            )
        places[key] = place
        if isinstance(value_node, yaml.MappingNode) and not section:
            places.update(_key_places(name, value_node, key))
    return places


def set_value(values: dict, places: dict[tuple, str], assignment: str) -> None:
    """Put another value into what read_yaml() returned.

    Args:
        values: changed in place.
        places: changed in place, so that errors name the assignment.
        assignment: ``key=value`` or ``section.key=value``, as given to ``--set``; the value is
            YAML.

    Raises:
        UserError: it is no such assignment.
    """
    here = f"--set {printable(assignment)}"
    dotted, equals, text = assignment.partition("=")
    if not equals or not dotted:
        raise UserError(f"{here}: expected KEY=VALUE, as in training_params.epochs=3")
    try:
        value, _ = parse_yaml(text)
    except UserError:
        raise UserError(f"{here}: {text!r} is no valid YAML value") from None
    *sections, key = dotted.split(".")
    target = values
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            name = printable(section)
            raise UserError(f"{here}: {name} is a single value, not a section")
    target[key] = value
    for length in range(1, len(sections) + 1):
        places.setdefault(tuple(sections[:length]), here)
    places[(*sections, key)] = here


def flatten(values: dict, section: str = "") -> dict[str, object]:
    """The values of nested dictionaries under dotted keys: {"training_params.epochs": 20, ...}."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{section}{key}."))
        else:
            flat[f"{section}{key}"] = value
    return flat
