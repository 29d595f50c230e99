"""Makes a labelled folder ready to train: python prepare.py FOLDER --output my.yaml"""

if __name__ == "__main__":
    import files.ctrl_c  # noqa: F401  (until all below is imported)

import argparse
import os

from dataset.label_table import LabelTable, read_label_table
from dataset.list_reader import ImageList
from files.command_line import command
from files.errors import printable, run_program
from files.paths import relative
from files.text_table import counted
from preparing.class_names import find_class_names
from preparing.config_writer import (
    config_text,
    crop_size,
    epochs_for,
    image_scale,
    write_files,
)
from preparing.label_survey import (
    LabelSurvey,
    classes_of,
    labels_without_a_class,
    survey_labels,
    two_kinds_of_masks,
)
from preparing.pair_finder import FoundPairs, find_pairs
from preparing.splits import (
    Lists,
    read_groups,
    split_as_given,
    split_in_blocks,
    split_in_folds,
)

_QUICK = 20  # pairs that --quick reads
_TABLES = ("label_color", "label_colors.txt")
_NORMALIZER = "GCN"


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    pairs = find_pairs(arguments.folder, arguments.photos, arguments.labels)
    lists, folds, how = divide(arguments, pairs.pairs)
    sample = pairs.pairs
    if arguments.quick:
        sample = sample[:: max(1, len(sample) // _QUICK)][:_QUICK]
    found = survey_labels(arguments.folder, sample)
    names = [name.strip() for name in arguments.names.split(",") if name.strip()]
    known = find_class_names(arguments.folder)
    rows, keys = classes_of(found, names, table_in(arguments.folder), known)

    empty = labels_without_a_class(found, keys)
    if empty:
        pairs = pairs.without(empty)
        lists, folds, how = divide(arguments, pairs.pairs)
    stem = os.path.splitext(arguments.output)[0]
    settings, notes = settings_for(arguments, found, keys, len(lists["train"]), stem)
    lines = summary(pairs, found, rows, settings, lists, how, len(sample))
    table = "r,g,b,label\n" + "".join(f"{r},{g},{b},{n}\n" for r, g, b, n in rows)
    texts = {f"{stem}_lists/label_color": table}
    texts |= list_texts(f"{stem}_lists", lists)
    for number, fold in enumerate(folds, 1):
        texts |= list_texts(f"{stem}_lists/fold{number}", fold)
    comment = "Written by prepare.py. What is not set has its default; config.yaml explains all keys.\n"
    texts[arguments.output] = config_text(
        settings, notes, comment + "\n".join(map(printable, lines))
    )
    write_files(texts, arguments.overwrite)
    for line in lines:
        print(printable(line))
    print(f"written: {arguments.output}, {stem}_lists/")
    start = argparse.Namespace(config=arguments.output, set=[])
    print(f"train on it: {command('train.py', start)}")
    return 0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Find the photos and labels in a folder, and write a configuration for them."
    )
    parser.add_argument("folder", help="what holds photos and labels")
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="the configuration to write"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that exist"
    )
    for what in ("photos", "labels"):
        parser.add_argument(
            f"--{what}",
            default="",
            metavar="TEXT",
            help=f"the files whose path holds this text are the {what}: a folder's name, _x.png",
        )
    parser.add_argument(
        "--names", default="", metavar="A,B,...", help="names of the classes, in order"
    )
    parser.add_argument(
        "--shuffle",
        action="store_true",
        help="divide at random, not in blocks by name; ignores train/ val/ test/",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of --shuffle (0)"
    )
    parser.add_argument(
        "--groups",
        metavar="FILE",
        help="an image, a tab, and its group a line: a group (patient, drive) stays together",
    )
    parser.add_argument(
        "--folds", type=int, metavar="K", help="also write lists for cross-validation"
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"read only {_QUICK} pairs, not all"
    )
    return parser.parse_args(argv)


def divide(arguments, pairs: list[tuple[str, str]]) -> tuple[Lists, list[Lists], str]:
    """The three lists, those of the folds, and how they were divided."""
    seed = arguments.seed if arguments.shuffle else None
    order = f"at random, seed {seed}" if arguments.shuffle else "blocks by name"
    units = [[pair] for pair in pairs]
    if arguments.groups:
        units = read_groups(arguments.groups, pairs)
        order += f", {len(units)} groups kept whole"
    folds = []
    if arguments.folds is not None:
        folds = split_in_folds(units, arguments.folds, seed)
    if not (arguments.shuffle or arguments.groups):
        given = split_as_given(arguments.folder, pairs)
        if given:
            return given[0], folds, given[1]
    return split_in_blocks(units, seed), folds, order


def table_in(folder: str) -> LabelTable | None:
    """The table of classes that lies in a folder, if there is one."""
    paths = (os.path.join(folder, name) for name in _TABLES)
    return next(
        (read_label_table(path) for path in paths if os.path.isfile(path)), None
    )


def list_texts(folder: str, lists: Lists) -> dict[str, str]:
    """{path: text} of three lists."""
    return {
        f"{folder}/{what}.txt": "\n".join(
            ImageList(*map(list, zip(*pairs, strict=True))).lines
        )
        + "\n"
        for what, pairs in lists.items()
    }


def settings_for(
    arguments, found: LabelSurvey, keys: dict, images: int, stem: str
) -> tuple[dict, dict]:
    """The keys of the configuration, and why some have their value."""
    scale = image_scale(found.sizes)
    (height, width), _ = found.sizes.most_common(1)[0]
    base, name = os.path.dirname(arguments.output) or ".", os.path.basename(stem)
    settings = {
        "image_dir_path": relative(os.path.abspath(arguments.folder), base),
        **{
            f"{w}_image_pointer": f"{name}_lists/{w}.txt"
            for w in ("train", "val", "test")
        },
        "label_path": f"{name}_lists/label_color",
        **keys,
        "in_ch": found.in_ch,
        "image_scale": scale,
    }
    window = crop_size(found.sizes, scale)
    if window:
        settings["crop_size"] = window
    epochs = epochs_for(images)
    settings |= {
        "normalizer": _NORMALIZER,
        "bypass": True,
        "output_path": f"result/{name}",
        "training_params": {
            "learning_rate": 0.002,
            "schedule": "poly",
            "warmup_iterations": 20,
            "batch_size": min(5, images),
            "epochs": epochs,
            "snapshot_epochs": max(1, epochs // 5),
            "class_weights": 0.25,
            "lovasz": 2,
        },
        "augmentation_params": {"flips": "left_right", "zoom": [0.75, 1.75]},
    }
    notes = {
        "in_ch": "colour" if found.in_ch == 3 else "all photos are grey",
        "ignore_labels": "does not count",
        "image_scale": f"{width} x {height} -> {width * scale:.0f} x {height * scale:.0f}",
        "crop_size": "height, width of the windows to train on: images differ in size",
        "label_values": "labels were smoothed, or saved as JPEG"
        if found.class_colors
        else "labels of one channel hold the grey levels of the table",
        "ignore_index": "the number that is in no row of the table does not count",
        "background_label": "what no shape covers",
        "training_params.epochs": f"{counted(images, 'image')}: about {epochs * images:,} are seen",
        "training_params.class_weights": "rare classes count more",
        "augmentation_params.flips": "both, if the photos have no up and down",
    }
    return settings, notes


def summary(
    pairs: FoundPairs,
    found: LabelSurvey,
    rows,
    settings,
    lists: Lists,
    how: str,
    read: int,
) -> list[str]:
    """What was found and decided, a line each."""
    ((image, label), *_) = pairs.pairs
    listed = {image for part in lists.values() for image, _ in part}
    unlisted = [image for image, _ in pairs.pairs if image not in listed]
    left_out = [
        f"{counted(len(names), what)} ({', '.join(names[:3])})"
        for names, what in (
            (pairs.images_alone, "photo without a label"),
            (pairs.empty, "label in which no pixel counts"),
            (pairs.others, "picture that --photos or --labels may name"),
            (unlisted, "pair in none of the data set's lists"),
        )
        if names
    ]
    names = [row[3] for row in rows]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    sizes = ", ".join(f"{w} x {h}" for (h, w), _ in found.sizes.most_common(3))
    more_sizes = f" and {len(found.sizes) - 3} more" if len(found.sizes) > 3 else ""
    training = settings["training_params"]
    remark = ""
    if found.class_colors:
        remark = "; they were smoothed, or saved as JPEG: the class of the nearest colour counts"
    remark += two_kinds_of_masks(found)
    return [
        f"pairs: {len(pairs.pairs):,}, for instance {image} and {label}",
        f"left out: {'; '.join(left_out) or 'nothing'}",
        f"labels: {found.kind}, {read:,} read" + remark,
        f"classes: {len(rows)}: {', '.join(names[:8])}{more}",
        f"lists: {', '.join(f'{w} {len(p):,}' for w, p in lists.items())} ({how})",
        f"sizes: {sizes}{more_sizes} pixels, scaled by {settings['image_scale']} for the network",
        f"channels: {found.in_ch}; normalizer {_NORMALIZER}",
        f"training: {training['epochs']} epochs in batches of {training['batch_size']}",
    ]


if __name__ == "__main__":
    run_program(main)
