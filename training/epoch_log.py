"""Keeps the figures of all epochs, in the file ``log`` and in snapshots; an extension of train.py."""

import json
import os

import chainer
import numpy as np
from pydantic import TypeAdapter, ValidationError

from evaluator import summarize
from files.errors import UserError
from files.whole_file import write_text

_ENTRIES = TypeAdapter(list[dict[str, int | float | list[float | None]]])
_BY_CLASS = ("iou", "dice")
_DIGITS = 4  # of a class; with all 17 of them the log would be twice as long


class Log(chainer.training.extensions.LogReport):
    """LogReport that writes its file whole or not at all, and again when a run is resumed.

    Beside Chainer's figures an entry has ``validation/main/iou_by_class`` and ``dice_by_class``:
    lists (n_class,), None for a class that is not in the validation images.
    """

    default_name = "LogReport"

    def __init__(self):
        super().__init__(log_name=None)

    def initialize(self, trainer) -> None:
        if self.log:
            self._write(trainer)

    def __call__(self, trainer) -> None:
        entries = len(self.log)
        super().__call__(trainer)
        if len(self.log) > entries:
            validation = trainer.get_extension("validation")
            self.log[-1].update(_figures_by_class(validation.confusion))
            self._write(trainer)

    def serialize(self, serializer) -> None:
        """Store the entries as bytes of JSON, or read them.

        Chainer stores them as one text of 4 bytes a character: 1.2 MB for 1,000 epochs.

        Raises:
            UserError: what is stored is no log.
        """
        log, self._log = self._log, []
        super().serialize(serializer)  # the figures of the epoch so far, and no entries
        self._log = log
        if isinstance(serializer, chainer.Serializer):
            content = json.dumps(log, separators=(",", ":")).encode()
            serializer("entries", np.frombuffer(content, np.uint8))
            return
        try:
            content = np.asarray(serializer("entries", None), np.uint8).tobytes()
            self._log = _ENTRIES.validate_json(content, strict=True)
        except ValidationError:
            raise UserError("its log is no list of figures, one set an epoch") from None

    def _write(self, trainer) -> None:
        path = os.path.join(trainer.out, "log")
        # One entry a line: a list of 32 classes would take as many lines with an indent.
        write_text(path, "[\n" + ",\n".join(map(json.dumps, self.log)) + "\n]\n")


def _figures_by_class(confusion: np.ndarray) -> dict[str, list[float | None]]:
    """IoU and Dice of each class: int64 (n_class, n_class) -> lists (n_class,)."""
    figures = summarize(confusion)
    return {
        f"validation/main/{key}_by_class": [
            round(float(share), _DIGITS) if np.isfinite(share) else None
            for share in figures[key]
        ]
        for key in _BY_CLASS
    }
