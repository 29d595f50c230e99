"""Loads OpenCV with limits; modules that need it write ``from files.opencv import cv2``.

OpenCV reads its limits when it is loaded, so nobody else may load it first: ruff refuses a
plain ``import cv2``.
"""

import os

# Pixels that one picture may have: predict.py takes about 32 bytes for each, so 1 GiB. The
# variable, OpenCV's own, allows larger pictures where there is more memory.
LIMIT_NAME = "OPENCV_IO_MAX_IMAGE_PIXELS"
_wanted = os.environ.get(LIMIT_NAME, "")
MAX_PIXELS = int(_wanted) if _wanted.isdecimal() and len(_wanted) < 12 else 1 << 25
os.environ[LIMIT_NAME] = str(MAX_PIXELS)
# What it prints about a broken file says less than this project's error, and not which file.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2  # noqa: TID251

# OpenCV's own threads would compete with the loader's, which take one image each, and hang in
# the forked processes of Chainer's MultiprocessIterator.
cv2.setNumThreads(0)


def is_out_of_memory(error: MemoryError | cv2.error) -> bool:
    """Whether an error of NumPy, Python or OpenCV says that there is not enough memory."""
    return isinstance(error, MemoryError) or error.code == cv2.Error.StsNoMem
