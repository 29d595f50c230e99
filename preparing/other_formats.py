"""Recognises annotations of other tools, which are no label pictures, and says what to do; for pair_finder.py."""

import os
import re
from itertools import islice

_MOST_FILES = 2000  # that are looked at
_MOST_BYTES = 1 << 16  # of each, at its beginning
# What the beginning of a file holds, by its ending, and what made it.
_SIGNS = {
    ".json": (
        # It has annotations, too.
        (r'"(brushlabels|polygonlabels|from_name)"', "Label Studio's JSON"),
        (r'"(annotations|categories|segmentation|iscrowd)"\s*:', "COCO's JSON"),
        (r'"(classTitle|geometryType|classId)"', "Supervisely's JSON"),
        (r'"(shape_attributes|_via_settings|regions)"', "the JSON of VGG's VIA"),
        (r'"imgHeight"', "Cityscapes' polygons"),
    ),
    ".txt": ((r"\A\d+(\s+[01]?\.\d+){4,}\s*$", "YOLO's text files"),),
    ".xml": ((r"<\w", "XML"),),
    ".mat": ((r"MATLAB", "MATLAB's files"),),
    ".csv": ((r"(?i)encodedpixels|rle", "run lengths in a CSV file"),),
    ".npy": ((r"NUMPY", "NumPy's files"),),
    ".gz": ((r"", "packed files (NIfTI?)"),),
    ".nii": ((r"", "NIfTI volumes"),),
    ".svg": ((r"<svg", "SVG"),),
}


def find_other_format(folder: str) -> str | None:
    """The path of a file with annotations that are no label pictures, if a data set holds one."""
    return next(filter(kind_of, islice(_paths(folder), _MOST_FILES)), None)


def way_out(kind: str) -> str:
    """What to say on annotations of a kind."""
    return (
        f"these annotations are {kind}; prepare.py reads pictures and LabelMe's JSON: export them as "
        "masks, one PNG a photo, with the tool that made them, or with CVAT or Datumaro (their "
        "formats Pascal VOC or segmentation mask); see docs/own_images.md"
    )


def _paths(folder: str):
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name[0] != ".":
                yield os.path.join(parent, name)


def kind_of(path: str) -> str | None:
    """What made a file of annotations, as words; None where it is of no other format."""
    signs = _SIGNS.get(os.path.splitext(path)[1].lower())
    if not signs or not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            start = file.read(_MOST_BYTES).decode("latin-1")
    except OSError:
        return None
    return next((kind for sign, kind in signs if re.search(sign, start)), None)
