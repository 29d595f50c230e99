"""Finds out before a training whether it can work, so that errors come at once; for train.py."""

import math
import time
from collections import Counter

import chainer
import numpy as np

from dataset.batches import crop_line, most_alike
from dataset.file_finder import refuse_missing
from files.errors import UserError
from files.text_table import counted, percent
from mini_batch_loader import DatasetPreProcessor
from training.data_summary import (
    ListSummary,
    black_and_white,
    complaints,
    one_class_only,
    spread_out,
    survey,
    unfilled_windows,
    warnings_about,
)
from training.memory_estimate import refuse_too_much

# Pairs of a list that are read before training: this many, spread over it, or what can be read
# in so many seconds, but a few in any case. The rest is looked at when it is read in training.
_MAX_READ = 500
_MAX_SECONDS = 3.0
_MIN_READ = 20
# Classes that the summary names.
_MOST_COMMON = 6
# Kinds of faults that are told.
_MOST_COMPLAINTS = 5


def check_datasets(train: DatasetPreProcessor, val: DatasetPreProcessor) -> str:
    """Make sure that a training can work.

    Every file of the three lists must exist. Everything else is checked for up to 500 pairs of
    the training and of the validation list, or as many as can be read in three seconds. What is
    read stays in the dataset's cache.

    Args:
        train: the training list.
        val: the validation list.

    Returns:
        str: a few lines on what is in the two lists, and warnings.

    Raises:
        UserError: files are missing, broken or do not fit; the same complaint about many of them is
            one sentence.
    """
    summaries = [_checked("train", train), _checked("val", val)]
    _refuse_too_large_batch(*summaries)
    # The test list is read later, by predict.py; a file that it lacks should be known today.
    refuse_missing_files(DatasetPreProcessor(chainer.global_config.user_test_args))
    return _brief_description(summaries) + "\n"


def _checked(what: str, dataset: DatasetPreProcessor) -> ListSummary:
    """The summary of a list that can be trained on."""
    refuse_missing_files(dataset)
    summary = ListSummary(what, dataset)
    indices = spread_out(len(dataset), _MAX_READ)
    deadline = time.monotonic() + _MAX_SECONDS
    jobs = dataset.args.loader_jobs

    def read_pair(index: int):
        image, label = dataset.scaled_pair(index)
        dataset.refuse_too_small_scales(index, label.shape)
        return image, label

    for number, _ in enumerate(survey(summary, indices, read_pair, jobs), start=1):
        if number >= _MIN_READ and time.monotonic() > deadline:
            break
    _raise_complaints(dataset, summary.problems)
    refuse_mixed_sizes(dataset, summary.sizes)
    problem = black_and_white(summary) or one_class_only(summary)
    if problem:
        raise UserError(problem)
    if summary.is_complete and not summary.pixels[:-1].any():
        raise UserError(
            f"{dataset.args.image_pointer_path}: no pixel of its images has a label (all "
            "are in ignore_labels, or have ignore_index or -1); there is nothing to learn or to measure"
        )
    return summary


def _refuse_too_large_batch(train: ListSummary, val: ListSummary) -> None:
    """Raise a UserError where batches of two lists' images need more memory than there is."""
    args, size = train.dataset.args, max(_sizes_in_batch(train), key=math.prod)
    batch_size = args.training_params.batch_size
    validated = max(
        (
            (most_alike(size, min(count, batch_size)), size)
            for size, count in _sizes_in_batch(val).items()
        ),
        key=lambda alike: alike[0] * math.prod(alike[1]),
    )
    refuse_too_much(
        args.n_class,
        min(batch_size, len(train.dataset)),
        size,
        train.dataset.largest_scale,
        *validated,
        is_averaged=args.training_params.weight_average > 0,
    )


def _sizes_in_batch(summary: ListSummary) -> Counter[tuple[int, int]]:
    """{(H, W) in a batch: images of a list}."""
    return Counter(map(summary.dataset.size_in_batch, summary.sizes.values()))


def refuse_missing_files(dataset: DatasetPreProcessor) -> None:
    """Raise a UserError where images or labels of a list do not exist."""
    problems = {}
    for index in dataset.unsure_files():
        try:
            refuse_missing(dataset.path(index))
            dataset.label_path(index)
        except UserError as error:
            problems[index] = error
    _raise_complaints(dataset, problems)


def _raise_complaints(
    dataset: DatasetPreProcessor, problems: dict[int, UserError]
) -> None:
    """Raise one UserError for all problems, if there are any: a line for each of a few kinds."""
    if not problems:
        return
    lines = complaints(dataset, problems)
    if len(lines) > _MOST_COMPLAINTS:
        more = len(lines) - _MOST_COMPLAINTS
        lines[_MOST_COMPLAINTS:] = [
            f"and {more} more kinds of faults; data_check.py lists all"
        ]
    raise UserError("\n       ".join(lines))


def refuse_mixed_sizes(
    dataset: DatasetPreProcessor, sizes: dict[int, tuple[int, int]]
) -> None:
    """Images of a training batch must have one size; which images meet in a batch is random.

    Args:
        dataset: the list.
        sizes: {index: (H, W)} after image_scale.

    Raises:
        UserError: names two images that differ, and the line that helps.
    """
    sizes = {index: dataset.size_in_batch(size) for index, size in sizes.items()}
    is_alone = dataset.args.training_params.batch_size == 1
    if not dataset.args.train or is_alone or len(set(sizes.values())) < 2:
        return
    first, *others = sizes
    other = next(index for index in others if sizes[index] != sizes[first])
    raise UserError(
        f"{dataset.args.image_pointer_path}: images of different sizes cannot share a "
        f"batch: {dataset.names[first]} gives {sizes[first][1]} x {sizes[first][0]} "
        f"pixels, {dataset.names[other]} {sizes[other][1]} x {sizes[other][0]}; to train on "
        f"windows of one size, add this line to the configuration: {crop_line(sizes.values())}"
    )


def _brief_description(summaries: list[ListSummary]) -> str:
    lists = ", ".join(f"{s.what} {counted(len(s.dataset), 'image')}" for s in summaries)
    sizes = {
        s.dataset.size_in_batch(size) for s in summaries for size in s.sizes.values()
    }
    train = summaries[0].dataset
    if train.args.crop_size:
        height, width = train.args.crop_size
        lists += f", windows of {width} x {height} pixels to train on"
    elif len(sizes) == 1:
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
        read = sum(len(summary.sizes) for summary in summaries)
        lines[1] += f" (counted in {read} of the labels)"
    warnings = unfilled_windows(train, summaries[0].sizes.values())
    warnings += warnings_about(summaries)
    return "\n".join(lines + [f"warning: {warning}" for warning in warnings])
