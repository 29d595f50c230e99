"""Looks at all images and labels before training: python data_check.py --config config.yaml"""

if __name__ == "__main__":
    import files.ctrl_c  # noqa: F401  (until all below is imported)

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator

import chainer_compat

import chainer
import numpy as np

from config import load_config
from dataset.image_reader import as_channels
from dataset.label_reader import UnknownColors
from dataset.label_table import LabelTable
from evaluation import panels
from files.command_line import add_config_arguments
from files.errors import UserError, printable_lines, run_program
from files.paths import from_here
from files.progress_bar import progress_bar
from files.text_table import align, percent
from mini_batch_loader import DatasetPreProcessor
from training.data_summary import (
    ListSummary,
    black_and_white,
    complaints,
    listing,
    one_class_only,
    survey,
    unfilled_windows,
    unused_classes,
    warnings_about,
)
from training.preflight import refuse_mixed_sizes

# Samples of each list in data_check.png.
_SHOWN = {"train": 4, "val": 1, "test": 1}


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
    for summary in summaries:
        sizes = scaled_sizes(summary).values()
        warnings += unfilled_windows(summary.dataset, sizes)
    for warning in warnings:
        print(f"warning: {warning}")
    sys.stdout.flush()
    for error in errors:
        print(f"error: {printable_lines(error)}", file=sys.stderr)

    path = os.path.join(args.output_path, "data_check.png")
    if draw_samples(summaries, path, args.label_table):
        print(f"samples as the network sees them: {from_here(path)}")
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
        args.cache_size = 0  # each pair is read once, but for the few that are drawn
        try:
            yield what, DatasetPreProcessor(args)
        except UserError as error:
            errors.append(str(error))


def survey_all(what: str, dataset: DatasetPreProcessor) -> ListSummary:
    """Read a whole list, with a progress bar."""

    def read_pair(index: int):
        image, label = dataset.full_pair(index)
        dataset.scaled_size(index, label.shape)
        return image, label

    summary = ListSummary(what, dataset)
    indices = range(len(dataset))
    steps = survey(summary, indices, read_pair, dataset.args.loader_jobs)
    for _ in progress_bar(steps, len(dataset), "image", what):
        pass
    return summary


def problems_of(summary: ListSummary) -> list[str]:
    """A sentence for each file that cannot be used, and one for the list as a whole."""
    sentences = complaints(summary.dataset, summary.problems)
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
    sentences += filter(None, [black_and_white(summary) or one_class_only(summary)])
    try:
        refuse_mixed_sizes(summary.dataset, scaled_sizes(summary))
    except UserError as error:
        sentences.append(str(error))
    return sentences


def scaled_sizes(summary: ListSummary) -> dict[int, tuple[int, int]]:
    """{index: (H, W) after image_scale} of the pairs that could be read."""
    return {i: summary.dataset.scaled_size(i, s) for i, s in summary.sizes.items()}


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
    photo = dataset.scaled_pair(index)[0]
    # Large samples are thinned out, and copied, so that the whole ones are not kept.
    thin = panels.thinning(photo)
    photo = as_channels(photo[thin, thin].copy(), 3)
    image, label = dataset[index]
    image, label = image[:, thin, thin].copy(), label[thin, thin].copy()
    # Normalised values have no bounds: show what lies between the extreme hundredths.
    low, high = np.percentile(image, [1, 99])
    shown = np.clip((image - low) * (255 / max(high - low, 1e-6)), 0, 255)
    pictures = [
        photo,
        as_channels(np.ascontiguousarray(shown.transpose(1, 2, 0), np.uint8), 3),
        table.colors_of_classes(label),
    ]
    title = f"{summary.what}: {dataset.names[index]}"
    return panels.Row(title, pictures, set(np.unique(label).tolist()))


if __name__ == "__main__":
    run_program(main)
