"""Starts a training from a trained model, ``init_weights``; session.py calls it.

The layers up to fire9 do not depend on the classes. Those behind them have a row for each class,
and a class is found again by its name, whatever its number.
"""

from pathlib import Path
from types import SimpleNamespace

import chainer
import numpy as np
from chainer.backends import cuda

from evaluation.model_description import MODEL_KEYS, trained_as
from files.errors import UserError, printable
from files.npz_reader import Shapes
from files.paths import from_here
from files.weights import DESCRIPTION, read_description, read_weights

_KEY = "init_weights"
_Pairs = list[tuple[int, int]]


def start_from(path: str, model: chainer.Chain, args: SimpleNamespace) -> str:
    """Put the weights of a trained model into one that is to be trained.

    A layer is taken if all of its parameters fit. Of one with a row for each class, the rows of
    classes that have the same name in both are taken, and the others stay random. A file without
    a description, as the book script's, has no names: there such a layer must have the same shape.

    Args:
        path: the file.
        model (FCN): the network, whose weights are random yet.
        args: ``chainer.global_config.user_train_args``.

    Returns:
        str: a few lines on what was taken.

    Raises:
        UserError: the file cannot be used, or no layer of it fits.
    """
    _refuse_own(path, args.output_path)
    text = read_description(path, _KEY)
    settings, names = {}, None
    if text is not None:
        settings, names = trained_as(text, f"{_KEY}: {path}")
    stored = read_weights(path, _KEY, lambda shapes: _refuse_numbers(path, shapes))
    here = args.label_table.names
    pairs = None
    if names is not None:
        pairs = [(here.index(n), names.index(n)) for n in here if n in names]
    layers = sorted(link.name for link in model.children())
    taken = [n for n in layers if _take(getattr(model, n), stored, pairs, len(here))]
    if not taken:
        raise UserError(f"{_KEY}: {path}: no layer of it fits this network")
    by_class = [n for n in taken if pairs is not None and _class_axes(f"{n}/b")]
    lines = [f"starting from {from_here(path)}"]
    lines += _line("taken", [n for n in taken if n not in by_class])
    if by_class:
        lines += _line("by class", by_class)
        lines += _line("  known", [here[h] for h, _ in pairs])
        lines += _line("  new", [n for n in here if n not in names])
    lines += _line("random", [n for n in layers if n not in taken])
    if pairs is None:
        lines.append(
            "  the file does not name its classes: theirs must be these, in order"
        )
    values = {**vars(args), "user_multiple": chainer.global_config.user_multiple}
    lines += [
        f"  note: it was trained with {key}: {printable(settings[key])}, here it is {values[key]}"
        for key in MODEL_KEYS
        if key in settings and settings[key] != values[key]
    ]
    return "\n".join(lines)


def _take(
    layer: chainer.Link, stored: dict[str, np.ndarray], pairs: _Pairs | None, n: int
) -> bool:
    """Put stored values into the parameters of a layer, if all fit; tells whether they did."""
    new = []
    for name, param in layer.namedparams():
        key = layer.name + name
        values = _taken(key, cuda.to_cpu(param.array), stored.get(key), pairs, n)
        if values is None:
            return False
        new.append((param, values))
    for param, values in new:
        param.array[...] = layer.device.send(values)
    return True


def _refuse_own(path: str, output_path: str) -> None:
    """Raise a UserError where the run would replace the file, and could not be resumed."""
    if Path(path).resolve().is_relative_to(Path(output_path).resolve()):
        raise UserError(
            f"{_KEY}: {path} lies in output_path, whose models this run replaces; choose another "
            "output_path, or copy the file to another folder"
        )


def _refuse_numbers(path: str, shapes: Shapes) -> None:
    for name, (_, dtype) in shapes.items():
        if name != DESCRIPTION and dtype.kind != "f":
            raise UserError(f"{_KEY}: {path}: {name} is no floating point array")


def _class_axes(name: str) -> tuple[int, ...]:
    """The axes of a parameter that have an entry a class; the second of add_layer has three."""
    if not name.startswith(("score_", "add_layer", "upsample_")):
        return ()
    return (0,) if name.endswith("/b") or name.startswith("score_") else (0, 1)


def _taken(
    name: str, here: np.ndarray, there: np.ndarray | None, pairs: _Pairs | None, n: int
) -> np.ndarray | None:
    """A parameter with what is taken from another model; None where it does not fit.

    Args:
        here: random values.
        there: the other model's.
        pairs: number here and there of each class that both have; None if that is not known.
        n: number of classes here.
    """
    axes = _class_axes(name) if pairs is not None else ()
    if there is None or here.ndim != there.ndim:
        return None
    ours, theirs = [], []
    for axis, (size, size_there) in enumerate(zip(here.shape, there.shape)):
        if axis not in axes:
            if size != size_there:
                return None
            ours.append(range(size))
            theirs.append(range(size))
            continue
        blocks = size // n  # add_layer has three inputs of each class
        ours.append([block * n + h for block in range(blocks) for h, _ in pairs])
        n_there, rest = divmod(size_there, blocks)
        if rest or any(t >= n_there for _, t in pairs):
            return None
        theirs.append([b * n_there + t for b in range(blocks) for _, t in pairs])
    if not all(ours):
        return None
    values = here.copy()
    values[np.ix_(*ours)] = there[np.ix_(*theirs)]
    return values


def _line(what: str, names: list[str]) -> list[str]:
    return [f"  {what:10}{printable(', '.join(names))}"] if names else []
