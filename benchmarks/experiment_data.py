"""Draws the data of two experiments of docs/chapter.md: python -m benchmarks.experiment_data FOLDER

FOLDER/cars holds labels of two classes for the demo's photos, Car and all else. FOLDER/cells holds
grey pictures of bright blobs on a dark ground, with masks of 0 and 255, in the manner of the cell
nuclei of the Data Science Bowl 2018 (Caicedo et al. 2019).
"""

import argparse
from pathlib import Path

import numpy as np

from dataset.demo_data import SPLITS, ensure_demo_data
from dataset.list_reader import read_list
from dataset.toy_street.canvas import LABEL_COLORS
from files.errors import run_program
from files.opencv import cv2
from files.png_writer import write_png
from files.progress_bar import progress_bar
from files.whole_file import write_text

MASK_TABLE = "r,g,b,label\n0,0,0,{}\n255,255,255,{}\n"
CELL_SPLITS = {"train": 40, "val": 8, "test": 8}
CELL_SIZE = 256  # pixels, height and width


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Draw the data of two experiments.")
    parser.add_argument("folder", nargs="?", default="data", metavar="FOLDER")
    folder = Path(parser.parse_args(argv).folder)
    ensure_demo_data(folder / "demo")
    write_cars(folder / "cars", folder / "demo")
    write_cells(folder / "cells")
    print(f"{folder / 'cars'}, {folder / 'cells'}: done")


def write_cars(folder: Path, demo: Path) -> None:
    """Masks of the demo's cars: 255 where the label's colour is Car's, else 0.

    The lists name the photos relative to the folder that holds both, and behind a tab the masks.
    """
    for split in SPLITS:
        names = read_list(str(demo / f"{split}_image_pointer")).images
        lines = []
        for name in progress_bar(names, len(names), "image", f"cars, {split}"):
            photo = demo / "images" / name
            label = cv2.imread(str(photo.with_name(f"{photo.stem}_L.png")))[..., ::-1]
            mask = np.all(label == LABEL_COLORS["Car"], axis=2)
            write_mask(folder / "masks" / name, mask)
            lines.append(f"{demo.name}/images/{name}\t{folder.name}/masks/{name}\n")
        write_text(folder / f"{split}_image_pointer", "".join(lines))
    write_text(folder / "label_color", MASK_TABLE.format("Other", "Car"))


def write_cells(folder: Path, splits: dict[str, int] = CELL_SPLITS) -> None:
    """Grey pictures with masks beside them, and their lists and table of classes."""
    number = 0
    for split, count in splits.items():
        names = [f"cells_{i:02d}" for i in range(number, number + count)]
        for name in names:
            picture, mask = draw_cells(np.random.default_rng([0, number]))
            write_mask(folder / "images" / f"{name}_L.png", mask)
            write_png(str(folder / "images" / f"{name}.png"), picture)
            number += 1
        lines = "".join(f"{name}.png\n" for name in names)
        write_text(folder / f"{split}_image_pointer", lines)
    write_text(folder / "label_color", MASK_TABLE.format("Ground", "Cell"))


def draw_cells(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture of bright ellipses, blurred and noisy, under uneven light.

    Returns:
        tuple: uint8 (CELL_SIZE, CELL_SIZE) grey; bool of the same shape, True inside a cell.
    """
    shape = CELL_SIZE, CELL_SIZE
    light, mask = np.zeros(shape, np.float32), np.zeros(shape, np.uint8)
    for _ in range(rng.integers(15, 40)):
        centre = rng.integers(0, CELL_SIZE, 2).tolist()
        axes = rng.integers(5, 16, 2).tolist()
        ellipse = centre, axes, float(rng.uniform(0, 180)), 0, 360
        cv2.ellipse(light, *ellipse, float(rng.uniform(40, 140)), cv2.FILLED)
        cv2.ellipse(mask, *ellipse, 1, cv2.FILLED)
    slope = np.linspace(*rng.uniform(0, 60, 2), CELL_SIZE)  # the ground, left to right
    noise = rng.normal(0, 8, shape)
    picture = 10 + cv2.GaussianBlur(light, (0, 0), 2) + slope + noise
    return np.clip(picture, 0, 255).astype(np.uint8), mask > 0


def write_mask(path: Path, mask: np.ndarray) -> None:
    write_png(str(path), np.where(mask, np.uint8(255), np.uint8(0)))


if __name__ == "__main__":
    run_program(main)
