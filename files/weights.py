"""Stores a model's weights and reads them back, checked."""

from collections.abc import Callable

import chainer_compat

import chainer
import numpy as np

from files.errors import UserError
from files.npz_reader import Shapes, add_checksum, read_npz
from files.whole_file import whole_file

# The array that holds the model's description (JSON text). Chainer's load_npz() ignores it.
DESCRIPTION = "description"
# Files of up to this size are opened, so that the error can say which parameter differs.
_MAX_FOREIGN_WEIGHTS = 1 << 30
_MAX_DESCRIPTION = 1 << 20  # characters


def write_npz(
    path: str, values: dict[str, np.ndarray], description: str | None = None
) -> None:
    """Store arrays as .npz with a checksum, whole or not at all.

    Args:
        path: the file.
        values: the arrays.
        description: of the model whose weights these are, as JSON text.

    Raises:
        UserError: as whole_file().
    """
    if description is not None:
        values = {**values, DESCRIPTION: np.array(description)}
    with whole_file(path) as temporary:
        # Sorted: Chainer iterates over a set, whose order differs between processes.
        np.savez(temporary, **dict(sorted(values.items())))
        add_checksum(temporary)


def save_npz(path: str, model: chainer.Link, description: str | None = None) -> None:
    """Store a model's weights as Chainer's save_npz() does, whole or not at all.

    Args:
        path, description: as write_npz()'s.
        model: whose weights are stored.

    Raises:
        UserError: as whole_file().
    """
    write_npz(path, chainer.serializers.npz.serialize(model), description)


def read_description(path: str, what: str = "--model") -> str | None:
    """The description in a model's file; None if it has none, as the book script's files.

    Args:
        path: the file.
        what: the option or key that named it, for messages.

    Raises:
        UserError: as read_npz(), or the description is no text of a sensible length.
    """
    names = []

    def check(stored: Shapes) -> None:
        if DESCRIPTION not in stored:
            return
        shape, dtype = stored[DESCRIPTION]
        if shape or dtype.kind != "U" or dtype.itemsize > 4 * _MAX_DESCRIPTION:
            raise UserError(f"{what}: {path}: its description is no text")
        names.append(DESCRIPTION)

    values = read_npz(path, what, _MAX_FOREIGN_WEIGHTS, check, names)
    return str(values[DESCRIPTION]) if values else None


def load_model(path: str, model: chainer.Link, what: str = "--model") -> None:
    """Read weights into a model, as this project or the book script stored them.

    What has no parameters, such as the bypass, cannot be told from the weights: for that,
    there is the description.

    Raises:
        UserError: as read_npz(); or the weights are of another network: names the first
            parameter that is missing, superfluous or of another shape; or a weight is NaN or
            infinite.
    """

    def check(stored: Shapes) -> None:
        weights = {k: v for k, v in stored.items() if k != DESCRIPTION}
        compare_shapes(path, what, model, weights)

    max_bytes = max(2 * model_bytes(model), _MAX_FOREIGN_WEIGHTS)
    values = read_weights(path, what, check, max_bytes)
    chainer.serializers.NpzDeserializer(values).load(model)


def read_weights(
    path: str,
    what: str,
    check: Callable[[Shapes], None],
    max_bytes: int = _MAX_FOREIGN_WEIGHTS,
) -> dict[str, np.ndarray]:
    """All arrays of a model's file.

    Args and Raises: as read_npz()'s; UserError, too, if a weight is NaN or infinite.
    """
    values = read_npz(path, what, max_bytes, check)
    for name in sorted(values.keys() - {DESCRIPTION}):
        if not np.isfinite(values[name]).all():
            raise UserError(
                f"{what}: {path}: parameter {name} has values that are not finite (NaN), so "
                "that nothing can be predicted; its training diverged: train again with a "
                "lower training_params.learning_rate"
            )
    return values


def model_bytes(model: chainer.Link) -> int:
    """Bytes of all parameters."""
    return sum(param.array.nbytes for param in model.params())


def compare_shapes(path: str, what: str, model: chainer.Link, stored: Shapes) -> None:
    """Make sure that stored arrays are the parameters of a model.

    Raises:
        UserError: names the first parameter that differs, and both shapes.
    """
    another = f"{what}: {path} is of another network:"
    wanted = {name.lstrip("/"): param.shape for name, param in model.namedparams()}
    for name, shape in sorted(wanted.items()):
        if name not in stored:
            raise UserError(f"{another} it has no parameter {name} {shape}")
        if stored[name][0] != shape:
            raise UserError(
                f"{another} parameter {name} is {stored[name][0]} there and {shape} here; "
                "compare n_class, in_ch and dilated"
            )
        if stored[name][1].kind != "f":
            raise UserError(
                f"{what}: {path}: parameter {name} is no floating point array"
            )
    extra = sorted(stored.keys() - wanted.keys())
    if extra:
        raise UserError(f"{another} this one has no parameter {extra[0]}")
