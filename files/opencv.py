"""Loads OpenCV with limits; modules that need it write ``from opencv import cv2``.

OpenCV reads its limits when it is loaded, so nobody else may load it first: ruff refuses a
plain ``import cv2``.
"""

import os

# A file of a few bytes can claim any size; OpenCV itself would go up to 2^30 pixels, 6 GiB.
MAX_PIXELS = 1 << 27
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MAX_PIXELS)
# What it prints about a broken file says less than this project's error, and not which file.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2  # noqa: TID251

# OpenCV's own threads would compete with the loader's, which take one image each, and hang in
# the forked processes of Chainer's MultiprocessIterator.
cv2.setNumThreads(0)
