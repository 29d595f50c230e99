"""Keeps the figures of all epochs, in the file ``log`` and in snapshots; an extension of train.py."""

import json
import os

import chainer_compat

import chainer

from files.whole_file import write_text


class Log(chainer.training.extensions.LogReport):
    """LogReport that writes its file whole or not at all, and again when a run is resumed."""

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
            self._write(trainer)

    def _write(self, trainer) -> None:
        path = os.path.join(trainer.out, "log")
        write_text(path, json.dumps(self.log, indent=4))
