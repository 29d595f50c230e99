"""Write a small data set of toy street scenes in CamSeq01's format.

    python -m dataset.demo_data [FOLDER] [--seed N]

`config.py` calls `ensure_configured_demo_data` when a configuration is loaded.
"""

import argparse
import errno
import os
import shutil
import time
import uuid
from pathlib import Path

from dataset.toy_street.canvas import LABEL_COLORS
from dataset.toy_street.scene import render_scene
from files import whole_file
from files.errors import UserError, run_program
from files.png_writer import encode_png
from files.text_file import read_text

SPLITS = {"train": 80, "val": 16, "test": 16}
MAX_LIST_BYTES = 1 << 20
ABANDONED_AFTER = 3600  # seconds; making the set takes about ten


def ensure_configured_demo_data(image_dir_path: str | Path) -> None:
    """Make the demo data if a configuration names it (data/demo/images) and it is missing.

    Raises:
        UserError, OSError: as `ensure_demo_data`.
    """
    images = Path(image_dir_path)
    if images.parts[-3:] == ("data", "demo", "images"):
        ensure_demo_data(images.parent)


def ensure_demo_data(folder: str | Path) -> bool:
    """Make the demo data with the default seed unless `folder` already holds it.

    Returns:
        bool: whether anything was made.

    Raises:
        UserError: some of its files are there, and some are missing.
        OSError: as `make_demo_data`.
    """
    folder = Path(folder)
    if missing_file(folder) is None:
        return False
    refuse_incomplete(folder)
    print(f"drawing the demo street scenes into {folder} (once, about 10 s)")
    make(folder, 0, SPLITS, replace=False)
    return True


def make_demo_data(
    folder: str | Path, seed: int = 0, *, splits: dict[str, int] = SPLITS
) -> None:
    """Make the demo data, in place of any that `folder` holds.

    Layout, after the book's: `images/demo_0000.png` (8-bit RGB, 480 x 640) with
    `images/demo_0000_L.png` (RGB, colours of the table), `label_color` (the table,
    `r,g,b,label`) and `train_image_pointer`, `val_image_pointer`,
    `test_image_pointer` (one image name a line). The same seed gives the same
    pixels; scene i depends on (seed, i) only.

    A folder appears complete or not at all: it is made beside its place and renamed.
    Files in it that are not of the demo data are left alone; the table, the images and the
    labels of an earlier set are replaced.

    Args:
        folder (str or Path): where to put it; parents are made.
        seed (int): not negative.
        splits (dict): number of scenes by name of the split.

    Raises:
        ValueError: if the seed is negative.
        OSError: if the folder cannot be written; `filename` is the folder.
    """
    if seed < 0:
        raise ValueError(f"seed: {seed} is negative")
    make(Path(folder), seed, splits, replace=True)


def make(folder, seed, splits, replace):
    """Draw into a draft beside the folder, then publish it."""
    # A name of its own for each start, so that two at once do not meet.
    draft = folder.parent / f".{folder.name}.{uuid.uuid4().hex}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned_drafts(folder)
        write_scenes(draft, seed, splits)
        publish(draft, folder, replace)
    except OSError as error:
        reason = f"the demo data cannot be written ({error.strerror or error})"
        raise OSError(error.errno or errno.EIO, reason, str(folder)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def missing_file(folder: Path) -> Path | None:
    """The first file of the set that is not there: the table, a list, or what a list names.

    Raises:
        UserError: a list is no text.
    """
    if not (folder / "label_color").is_file():
        return folder / "label_color"
    for split in SPLITS:
        pointer = folder / f"{split}_image_pointer"
        if not pointer.is_file():
            return pointer
        for name in read_text(pointer, "the demo's list", MAX_LIST_BYTES).split():
            image = folder / "images" / name
            for path in (image, image.with_name(f"{image.stem}_L.png")):
                if not path.is_file():
                    return path
    return None


def refuse_incomplete(folder: Path) -> None:
    """Raise a UserError where some files of the set are there: the user may have edited them."""
    lists = [folder / f"{split}_image_pointer" for split in SPLITS]
    for path in (folder / "label_color", *lists, folder / "images" / "demo_0000.png"):
        if path.exists():
            raise UserError(
                f"{missing_file(folder)}: this file of the demo data is missing; put it back, or "
                f"move {folder} away, and all of it is drawn anew"
            )


def write_scenes(folder, seed, splits):
    """Draw every scene into a new folder."""
    images = folder / "images"
    images.mkdir(parents=True)
    index = 0
    for split, count in splits.items():
        names = [f"demo_{i:04d}" for i in range(index, index + count)]
        for name in names:
            image, label = render_scene(seed, index)
            write_png(images / f"{name}.png", image)
            write_png(images / f"{name}_L.png", label)
            index += 1
        pointer = "".join(f"{name}.png\n" for name in names)
        (folder / f"{split}_image_pointer").write_bytes(pointer.encode())
    rows = (f"{r},{g},{b},{name}\n" for name, (r, g, b) in LABEL_COLORS.items())
    table = "r,g,b,label\n" + "".join(rows)
    (folder / "label_color").write_bytes(table.encode())  # no \r\n on Windows


def write_png(path, rgb):
    path.write_bytes(encode_png(rgb))


def publish(draft, folder, replace):
    """Move a finished draft to its place; `replace`: even where a set stands there already."""
    try:
        os.rename(draft, folder)  # takes the place of an empty folder, too
        return
    except OSError:
        if not folder.is_dir():
            raise
    if not replace:
        if missing_file(folder) is None:
            return  # another start was quicker, with the same pixels
        refuse_incomplete(folder)
    pointers = [path.name for path in draft.glob("*_image_pointer")]
    for name in pointers:
        refuse_lists_of_others(folder / name)
    # The lists are removed first and put there last, so that nobody reads half a set.
    for name in pointers:
        (folder / name).unlink(missing_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    pictures = [f"images/{path.name}" for path in (draft / "images").iterdir()]
    for name in (*pictures, "label_color", *pointers):
        whole_file.replace(draft / name, folder / name)


def refuse_lists_of_others(pointer):
    """Keep a list that a person wrote into the folder from being overwritten."""
    if not pointer.exists():
        return
    names = pointer.read_text(encoding="utf-8", errors="replace").split()
    if not all(name.startswith("demo_") for name in names):
        reason = f"{pointer.name} there lists other images than the demo's"
        raise FileExistsError(errno.EEXIST, reason)


def remove_abandoned_drafts(folder):
    """Clear what a killed start left beside the folder."""
    for draft in folder.parent.glob(f".{folder.name}.{'[0-9a-f]' * 32}"):
        if time.time() - draft.stat().st_mtime > ABANDONED_AFTER:
            shutil.rmtree(draft, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the demo data set.")
    parser.add_argument("folder", nargs="?", default="data/demo")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    args = parser.parse_args()
    start = time.perf_counter()
    if args.seed < 0:
        parser.error(f"--seed: {args.seed} is negative")
    make_demo_data(args.folder, args.seed)
    counts = ", ".join(f"{count} {split}" for split, count in SPLITS.items())
    seconds = time.perf_counter() - start
    print(f"{args.folder}: {counts} scenes of 640 x 480, made in {seconds:.1f} s")


if __name__ == "__main__":
    run_program(main)
