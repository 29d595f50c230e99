"""Trains a model a fold, and scores each image by the one that never saw it: python cross_validate.py --config my.yaml"""

if __name__ == "__main__":
    import files.ctrl_c  # noqa: F401  (until all below is imported)

import argparse
import json
import os
import re
import sys

import chainer_compat

import chainer

from config import Config, load_config, read_config
from dataset.list_reader import read_list
from evaluation import panels, run_log
from evaluation.cross_validation import (
    FIGURES,
    as_table,
    combine,
    picture_path,
    write_cross_validation,
)
from evaluation.scoring import example_row, image_title
from evaluation.segmenter import Segmenter
from evaluation.trained_model import restore_model
from files.command_line import add_config_arguments, command
from files.errors import UserError, run_program
from files.paths import from_here
from files.text_table import percent
from layers.device import choose_device
from mini_batch_loader import DatasetPreProcessor
from training import output_folder
from training.child_program import run_child
from training.folds import (
    PARTS,
    Fold,
    find_folds,
    fold_folders,
    lists_beside,
    make_folds,
)
from training.preflight import refuse_missing_files
from training.result_settings import configured

# Images on worst.png.
_SHOWN = 6
# Of what train.py prints in a fold: the table of epochs, warnings, how it began and ended.
_PRINTED = re.compile(
    r"\s*\d+/\d+\s|\s+(training|epoch)\s|warning: |resumed from |this run has |training ended early"
)


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    config = load_config(arguments.config, arguments.set)
    folds = choose_folds(config, arguments)
    runs = [
        fold_arguments(arguments, fold, os.path.join(config.output_path, f"fold{i}"))
        for i, fold in enumerate(folds, 1)
    ]
    for run in runs:
        load_config(run.config, run.set)
        refuse_missing_files(DatasetPreProcessor(chainer.global_config.user_test_args))
    if arguments.overwrite:
        for folder in fold_folders(config.output_path):
            output_folder.clear(folder)
    for number, run in enumerate(runs, 1):
        code = train_and_score(run, f"fold {number} of {len(runs)}", arguments.resume)
        if code > 128:  # a signal's; of an error, the program has told what to do
            go_on = command("cross_validate.py", arguments, *fold_option(arguments))
            print(
                f"ended in fold {number} of {len(runs)}; to go on: {go_on} --resume",
                file=sys.stderr,
            )
        if code:
            return code
    report(runs, config)
    return 0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train a model a fold, and score each image by the model that never saw it."
    )
    add_config_arguments(parser)
    parser.add_argument(
        "--folds",
        type=fold_count,
        metavar="K",
        help="cut the training and validation images in K blocks; without it, the folds are the "
        "lists my_lists/fold1/train.txt, val.txt, test.txt, ... beside my.yaml",
    )
    earlier_run = parser.add_mutually_exclusive_group()
    earlier_run.add_argument(
        "--resume", action="store_true", help="go on where an earlier command has ended"
    )
    earlier_run.add_argument(
        "--overwrite",
        action="store_true",
        help="remove the results of all folds in output_path, and start again",
    )
    return parser.parse_args(argv)


def fold_count(text: str) -> int:
    """The number behind --folds."""
    if not text.isdecimal() or not 2 <= int(text) < 10**6:
        raise argparse.ArgumentTypeError(f"{text} is no number of folds, 2 or more")
    return int(text)


def fold_option(arguments: argparse.Namespace) -> list[str]:
    return ["--folds", str(arguments.folds)] if arguments.folds else []


def choose_folds(config: Config, arguments: argparse.Namespace) -> list[Fold]:
    """The folds beside the configuration, or those that --folds asks for.

    Raises:
        UserError: there are none, or both.
    """
    folder = lists_beside(arguments.config)
    found = find_folds(folder)
    if not arguments.folds:
        if found:
            return found
        raise UserError(
            f"there are no folds in {from_here(folder)} (fold1/test.txt, ...); give their number, "
            "as in --folds 5"
        )
    if found:
        raise UserError(
            f"--folds: {from_here(folder)} holds {len(found)} folds already; leave the option out "
            "to use them, or move that folder away"
        )
    lists = os.path.join(config.output_path, "lists")
    return make_folds(config, arguments.folds, lists, arguments.overwrite)


def fold_arguments(
    arguments: argparse.Namespace, fold: Fold, output_path: str
) -> argparse.Namespace:
    """The command line's options for the run of one fold: other lists, and a folder of its own."""
    paths = {f"{part}_image_pointer": path for part, path in zip(PARTS, fold)}
    paths["output_path"] = output_path
    # JSON's text is YAML's, too, whatever characters a path holds.
    pairs = [f"{key}={json.dumps(path)}" for key, path in paths.items()]
    return argparse.Namespace(
        config=arguments.config, set=[*arguments.set, *pairs], model=None
    )


def train_and_score(run: argparse.Namespace, title: str, resume: bool) -> int:
    """Run train.py, unless it has finished already, and predict.py; gives their exit code."""
    config = load_config(run.config, run.set)
    words = ["--config", run.config, *(w for pair in run.set for w in ("--set", pair))]
    train, val, test = (
        len(read_list(getattr(config, f"{part}_image_pointer")).images)
        for part in PARTS
    )
    print(
        f"\n{title}: {train:,} images to train on, {val:,} to choose the best epoch by, {test:,} to "
        f"score; {from_here(config.output_path)}"
    )
    go_on = ["--resume"] if resume or has_finished(config) else []
    code = run_child("train.py", [*words, *go_on], is_shown=_PRINTED.match)
    code = code or run_child("predict.py", words, is_shown=lambda line: False)
    if not code:
        scores = read_scores(config.output_path)
        figures = (percent(scores[key]) for key in FIGURES)
        print("scored: pixel accuracy {}, mean IoU {}, mean Dice {}".format(*figures))
    return code


def read_scores(folder: str) -> dict:
    """What predict.py has stored about a fold.

    Raises:
        UserError: it is missing, damaged, or of other classes.
    """
    scores = run_log.read_scores(folder)
    n_class = chainer.global_config.user_test_args.n_class
    rows = [*scores["confusion"], scores["classes"]] if scores else []
    if [len(row) for row in rows] != [n_class] * (n_class + 1):
        raise UserError(
            f"{from_here(folder)}: predict/scores.json is missing or damaged; go on with --resume, "
            "which scores this fold again"
        )
    return scores


def has_finished(config: Config) -> bool:
    """Whether output_path holds a finished run of the same configuration."""
    args = chainer.global_config.user_test_args
    if not os.path.isfile(args.model_path.format("final")):
        return False
    try:
        stored = read_config(os.path.join(config.output_path, "config.yaml"))
    except UserError:
        return False
    return configured(stored) == configured(config)


def report(runs: list[argparse.Namespace], config: Config) -> None:
    """Put the scores of all folds together: table, JSON, pictures, page."""
    load_config(runs[0].config, runs[0].set)
    folds = [
        read_scores(os.path.join(config.output_path, f"fold{number}"))
        for number, _ in enumerate(runs, 1)
    ]
    table = chainer.global_config.user_test_args.label_table
    figures = combine(folds, table)
    draw_worst(runs, figures["images"], picture_path(config.output_path, "worst"))
    print(f"\n{as_table(figures)}\n")
    path = write_cross_validation(config.output_path, figures, table)
    print(f"report: {from_here(path)}")


def draw_worst(runs: list[argparse.Namespace], images: list[dict], path: str) -> None:
    """Draw worst.png: of all images, those with the fewest pixels right.

    Args:
        runs: of the folds, as fold_arguments() gives them.
        images: as combine() gives them, the worst first.
        path: the picture to write.
    """
    chosen = [i for i in images[:_SHOWN] if i["pixel_accuracy"] is not None]
    rows = {}
    for number in sorted({image["fold"] for image in chosen}):
        segmenter, dataset = restore_fold(runs[number - 1])
        for place, image in enumerate(chosen):
            if image["fold"] == number:
                rows[place] = example_row(
                    segmenter, dataset, image["index"], image_title(image)
                )
    title = f"The {len(rows)} worst of {len(images)} images, by pixel accuracy"
    table = chainer.global_config.user_test_args.label_table
    in_order = [rows[place] for place in sorted(rows)]
    panels.draw_rows(path, title, panels.HEADINGS, in_order, table)


def restore_fold(run: argparse.Namespace) -> tuple[Segmenter, DatasetPreProcessor]:
    """The model of a fold, and the images that it has not seen."""
    model = restore_model(load_config(run.config, run.set), run)
    args = chainer.global_config.user_test_args
    device = choose_device(args.gpu)
    model.to_device(device)
    return Segmenter(model, args, device), DatasetPreProcessor(args)


if __name__ == "__main__":
    run_program(main)
