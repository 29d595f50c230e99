"""Looks at all images and labels before training: python data_check.py --config config.yaml

train.py looks at some of them with check_datasets(), so that errors come at once.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator

import chainer_compat

import chainer
import numpy as np
from tqdm import tqdm

from config import add_config_arguments, load_config
from dataset.image_reader import UnknownColors, as_channels, label_path, refuse_missing
from dataset.label_table import LabelTable
from evaluation import panels
from files.errors import UserError, run_program
from files.text_table import align, percent
from mini_batch_loader import DatasetPreProcessor
from training.data_summary import (
    ListSummary,
    listing,
    spread_out,
    survey,
    unused_classes,
    warnings_about,
)

# Pairs of a list that are read before training: this many, spread over it, or what can be read
# in so many seconds, but a few in any case. The rest is looked at when it is read in training.
_MAX_READ = 500
_MAX_SECONDS = 3.0
_MIN_READ = 20
_MOST_COMMON = 6
# Samples on the sheet.
_SHOWN = {"train": 4, "val": 1, "test": 1}


def check_datasets(datasets: dict[str, DatasetPreProcessor]) -> str:
    """Make sure that lists can be trained on.

    That every file exists is checked for all, everything else for up to 500 pairs a list, or as
    many as can be read in three seconds. What is read stays in the dataset's cache.

    Args:
        datasets: the lists by what they are for: train, val.

    Returns:
        str: a few lines on what is in them, and warnings.

    Raises:
        UserError: the first file that is missing, broken or does not fit.
    """
    summaries = []
    for what, dataset in datasets.items():
        refuse_missing_files(dataset)
        summary = ListSummary(what, dataset)
        indices = spread_out(len(dataset), _MAX_READ)
        deadline = time.monotonic() + _MAX_SECONDS
        jobs = dataset.args.loader_jobs
        for index in survey(summary, indices, dataset.scaled_pair, jobs):
            if summary.problems:
                raise summary.problems[index]
            if len(summary.sizes) >= _MIN_READ and time.monotonic() > deadline:
                break
        for index, size in summary.sizes.items():
            dataset.refuse_too_small_scales(index, size)
        sizes = {i: dataset.size_after_crop(s) for i, s in summary.sizes.items()}
        refuse_mixed_sizes(dataset, sizes)
        if summary.is_complete and not summary.pixels[:-1].any():
            raise UserError(
                f"{dataset.args.image_pointer_path}: no pixel of its images has a label (all "
                "are in ignore_labels or -1); there is nothing to learn or to measure"
            )
        summaries.append(summary)
    return _brief_description(summaries)


def refuse_missing_files(dataset: DatasetPreProcessor) -> None:
    """Raise a UserError for the first image or label of a list that does not exist."""
    for index in range(len(dataset)):
        refuse_missing(dataset.path(index))
        label_path(dataset.path(index))


def refuse_mixed_sizes(
    dataset: DatasetPreProcessor, sizes: dict[int, tuple[int, int]]
) -> None:
    """Images of one batch must have one size; which images meet in a batch is random.

    Args:
        dataset: the list.
        sizes: {index: (H, W) in a batch}.

    Raises:
        UserError: names two images that differ.
    """
    if dataset.args.training_params.batch_size == 1 or len(set(sizes.values())) < 2:
        return
    first, *others = sizes
    other = next(index for index in others if sizes[index] != sizes[first])
    raise UserError(
        f"{dataset.args.image_pointer_path}: images of different sizes cannot share a "
        f"batch: {dataset.names[first]} gives {sizes[first][1]} x {sizes[first][0]} "
        f"pixels, {dataset.names[other]} {sizes[other][1]} x {sizes[other][0]}; bring "
        "them to one size, or set training_params.batch_size: 1"
    )


def _brief_description(summaries: list[ListSummary]) -> str:
    lists = ", ".join(f"{s.what} {len(s.dataset):,} images" for s in summaries)
    sizes = {
        s.dataset.size_after_crop(size) for s in summaries for size in s.sizes.values()
    }
    if len(sizes) == 1:
        ((height, width),) = sizes
        lists += f", {width} x {height} pixels for the network"
    pixels = sum(summary.pixels for summary in summaries)
    names = summaries[0].dataset.args.label_table.names
    common = np.argsort(-pixels[:-1], kind="stable")[: np.count_nonzero(pixels[:-1])]
    shown = ", ".join(
        f"{names[c]} {percent(pixels[c] / pixels.sum())}" for c in common[:_MOST_COMMON]
    )
    more = len(common) - _MOST_COMMON
    lines = [
        f"data: {lists}",
        f"classes: {shown}" + (f" and {more} more" if more > 0 else ""),
    ]
    if not all(summary.is_complete for summary in summaries):
        lines[1] += f" (in {sum(len(s.sizes) for s in summaries)} labels of them)"
    return "\n".join(lines + [f"warning: {w}" for w in warnings_about(summaries)])


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    load_config(arguments.config, arguments.set)
    args = chainer.global_config.user_train_args

    errors = []
    summaries = []
    for what, dataset in open_lists(errors):
        summaries.append(survey_all(what, dataset))
        errors += problems_of(summaries[-1])
    if summaries:
        print(class_table(summaries))
    warnings = [*unused_classes(summaries), *warnings_about(summaries)]
    for warning in warnings:
        print(f"warning: {warning}")
    sys.stdout.flush()
    for error in errors:
        print(f"error: {error}", file=sys.stderr)

    path = os.path.join(args.output_path, "data_check.png")
    if draw_samples(summaries, path, args.label_table):
        print(f"samples as the network sees them: {path}")
    print(f"{_count(errors, 'error')}, {_count(warnings, 'warning')}")
    return 2 if errors else 0


def _count(sentences: list[str], what: str) -> str:
    return f"{len(sentences)} {what}{'' if len(sentences) == 1 else 's'}"


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Read every image and label of the three lists, and say what is wrong."
    )
    add_config_arguments(parser)
    return parser.parse_args(argv)


def open_lists(errors: list[str]) -> Iterator[tuple[str, DatasetPreProcessor]]:
    """The lists that can be read; why others cannot is added to the errors."""
    settings = chainer.global_config
    for what, args in (
        ("train", settings.user_train_args),
        ("val", settings.user_val_args),
        ("test", settings.user_test_args),
    ):
        try:
            yield what, DatasetPreProcessor(args)
        except UserError as error:
            errors.append(str(error))


def survey_all(what: str, dataset: DatasetPreProcessor) -> ListSummary:
    """Read a whole list, with a progress bar."""

    def read_pair(index: int):
        image, label = dataset.full_pair(index)
        dataset.size_in_batch(index, label.shape)
        return image, label

    summary = ListSummary(what, dataset)
    indices = range(len(dataset))
    steps = survey(summary, indices, read_pair, dataset.args.loader_jobs)
    for _ in tqdm(
        steps, desc=what, total=len(dataset), unit="image", leave=False, disable=None
    ):
        pass
    return summary


def problems_of(summary: ListSummary) -> list[str]:
    """A sentence for each file that cannot be used, and one for the list as a whole."""
    sentences = [str(problem) for problem in summary.problems.values()]
    colors = Counter()
    for problem in summary.problems.values():
        if isinstance(problem, UnknownColors):
            colors.update(problem.pixels)
    if colors:
        most = [
            f"{red},{green},{blue} ({pixels:,} pixels)"
            for (red, green, blue), pixels in colors.most_common()
        ]
        sentences.append(f"{summary.what} list: colours of no class: {listing(most)}")
    sizes = {
        i: summary.dataset.size_in_batch(i, size) for i, size in summary.sizes.items()
    }
    if summary.what != "test":  # which is scored one image at a time
        try:
            refuse_mixed_sizes(summary.dataset, sizes)
        except UserError as error:
            sentences.append(str(error))
    return sentences


def class_table(summaries: list[ListSummary]) -> str:
    """A line a class that occurs: its share of the pixels and number of images in each list."""
    rows = [["class", *(w for summary in summaries for w in (summary.what, "images"))]]
    names = [*summaries[0].dataset.args.label_table.names, "(unlabelled)"]
    total = sum(summary.pixels for summary in summaries)
    for number in np.argsort(-total, kind="stable"):
        if total[number]:
            cells = (
                cell
                for summary in summaries
                for cell in (
                    _share(summary.shares[number]),
                    f"{summary.images[number]:,}",
                )
            )
            rows.append([names[number], *cells])
    rows.append(
        ["(all)", *(c for s in summaries for c in ("100 %", f"{len(s.sizes):,}"))]
    )
    return align(rows)


def _share(share: float) -> str:
    return percent(share, 2) if share == 0 or share >= 0.0001 else "< 0.01 %"


def draw_samples(
    summaries: list[ListSummary], path: str, table: LabelTable
) -> list[panels.Row]:
    """Draw a few pairs of each list as the network sees them; gives what was drawn."""
    rows = []
    for summary in summaries:
        usable = list(summary.sizes)
        count = min(_SHOWN[summary.what], len(usable))
        for place in np.linspace(0, len(usable) - 1, count):
            rows.append(_sample_row(summary, usable[int(place)], table))
    if rows:
        headings = ["photo", "as the network sees it", "label"]
        panels.draw_rows(path, "Samples of the data", headings, rows, table)
    return rows


def _sample_row(summary: ListSummary, index: int, table: LabelTable) -> panels.Row:
    dataset = summary.dataset
    image, label = dataset[index]
    # Normalised values have no bounds: show what lies between the extreme hundredths.
    low, high = np.percentile(image, [1, 99])
    shown = np.clip((image - low) * (255 / max(high - low, 1e-6)), 0, 255)
    pictures = [
        as_channels(dataset.scaled_pair(index)[0], 3),
        as_channels(np.ascontiguousarray(shown.transpose(1, 2, 0), np.uint8), 3),
        table.colors_of_classes(label),
    ]
    title = f"{summary.what}: {dataset.names[index]}"
    return panels.Row(title, pictures, set(np.unique(label).tolist()))


if __name__ == "__main__":
    run_program(main)
