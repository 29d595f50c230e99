"""Stores a model's weights and reads them back, checked."""

import chainer_compat

import chainer
import numpy as np

from files.errors import UserError
from files.npz_reader import Shapes, add_checksum, read_npz
from files.whole_file import whole_file

# Of another network's weights, up to this size, the error can say which parameter differs.
_MAX_FOREIGN_WEIGHTS = 1 << 30


def write_npz(path: str, values: dict[str, np.ndarray]) -> None:
    """Store arrays as .npz with a checksum, whole or not at all.

    Raises:
        UserError: as whole_file().
    """
    with whole_file(path) as temporary:
        # Chainer hands them out in the order of a set, another in each process.
        np.savez(temporary, **dict(sorted(values.items())))
        add_checksum(temporary)


def save_npz(path: str, model: chainer.Link) -> None:
    """Store a model's weights as Chainer's save_npz() does, whole or not at all.

    Raises:
        UserError: as whole_file().
    """
    write_npz(path, chainer.serializers.npz.serialize(model))


def load_model(path: str, model: chainer.Link, what: str = "--model") -> None:
    """Read weights into a model, as this project or the book script stored them.

    Raises:
        UserError: as read_npz(), or the weights are of another network: names the first
            parameter that is missing, superfluous or of another shape.
    """

    def check(stored: Shapes) -> None:
        compare_shapes(path, what, model, stored)

    max_bytes = max(2 * model_bytes(model), _MAX_FOREIGN_WEIGHTS)
    values = read_npz(path, what, max_bytes, check)
    chainer.serializers.NpzDeserializer(values).load(model)


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
