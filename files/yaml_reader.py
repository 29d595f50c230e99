"""Reads a YAML file of settings: plain values only, bounded, with the place of every key."""

import os

import yaml

from files.errors import UserError

_MAX_BYTES = 1 << 20


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader without aliases: a few lines of them can stand for billions of values."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not used here", mark
            )
        return super().compose_node(parent, index)


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
        raise UserError(f"{where}: no valid YAML: {error.problem}") from None
    # ValueError: a date or a number that cannot be; RecursionError: ten thousand brackets.
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        first_line = str(error).partition("\n")[0]
        raise UserError(f": no valid YAML: {first_line}") from None


def read_yaml(path: str | os.PathLike) -> tuple[dict, dict[tuple, str]]:
    """The mapping in a YAML file, and for each of its keys the place it stands in.

    Raises:
        UserError: the file cannot be read, is larger than 1 MiB, is no valid YAML, or sets a
            key twice.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UserError(
            f"cannot read the configuration {path}: {error.strerror}"
        ) from None
    if len(text) > _MAX_BYTES:
        raise UserError(f"{path}: more than 1 MiB; this is no configuration")
    try:
        values, node = parse_yaml(text)
    except UserError as error:
        raise UserError(f"{path}{error}") from None
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise UserError(
            f"{path}: expected lines 'key: value', as in the config.yaml of this project"
        )
    return values, _key_places(path, node)


def _key_places(path, node: yaml.MappingNode, section: tuple = ()) -> dict[tuple, str]:
    """Where each key stands; refuses one that stands twice (YAML would take the last)."""
    places: dict[tuple, str] = {}
    for key_node, value_node in node.value:
        key = (*section, str(key_node.value))
        place = f"{path}, line {key_node.start_mark.line + 1}"
        if key in places:
            raise UserError(
                f"{place}: {'.'.join(key)[:80]} is set a second time (first: {places[key]})"
            )
        places[key] = place
        if isinstance(value_node, yaml.MappingNode) and not section:
            places.update(_key_places(path, value_node, key))
    return places
