"""Records in run.json when, where, with what and on what a run was started; for training/session.py."""

import argparse
import hashlib
import json
import os
import platform
import time
from contextlib import suppress

import chainer
import numpy as np

from files.command_line import command
from files.opencv import cv2
from files.whole_file import write_text
from layers import threads
from mini_batch_loader import DatasetPreProcessor

# Images whose sizes are part of a fingerprint, at most, spread over the list.
_SIZES = 10_000


def write_record(
    folder: str, arguments: argparse.Namespace, lists: dict[str, DatasetPreProcessor]
) -> None:
    """Write ``run.json``; of a run that goes on, the last start counts.

    Args:
        folder: output_path.
        arguments: of train.py's command line.
        lists: the training and the validation images, by name.
    """
    record = {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "command": command("train.py", arguments, *_options(arguments)),
        "versions": {
            "Python": platform.python_version(),
            "Chainer": chainer.__version__,
            "NumPy": np.__version__,
            "OpenCV": cv2.__version__,
        },
        "machine": f"{platform.platform()}, {processor()}, {threads.worker_count()} cores",
        "data": {name: data_fingerprint(data) for name, data in lists.items()},
    }
    text = json.dumps(record, indent=1, ensure_ascii=False)
    write_text(os.path.join(folder, "run.json"), text + "\n")


def _options(arguments: argparse.Namespace) -> list[str]:
    if arguments.extend:
        return ["--extend", str(arguments.extend)]
    if arguments.resume is not None:
        return ["--resume", *filter(None, [arguments.resume])]
    return ["--overwrite"] if arguments.overwrite else []


def processor() -> str:
    """The processor's name; Linux tells it only in a file."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = (line.partition(":") for line in file)
            return next(v.strip() for k, _, v in lines if k.strip() == "model name")
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def data_fingerprint(dataset: DatasetPreProcessor) -> str:
    """Number of images, and 16 digits of a SHA-256 of all names and of 10,000 files' sizes.

    Not of what is in them, nor of all: that would take minutes where the images are many.
    """
    digest = hashlib.sha256("\n".join(dataset.lines).encode(errors="backslashreplace"))
    for index in range(0, len(dataset), -(-len(dataset) // _SIZES)):
        for path in dataset.path(index), dataset.label_path(index):
            with suppress(OSError):  # reading it will say so
                digest.update(f" {os.path.getsize(path)}".encode())
    return f"{len(dataset)} images, {digest.hexdigest()[:16]}"
