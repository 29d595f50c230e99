"""Counts the classes and sizes in lists of images, and warns of what is likely to be a mistake.

data_check.py counts all pairs, preflight.py some of them, class_weights.py those that it weighs.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from dataset.label_reader import holds_only_0_and_255
from dataset.pixel_budget import in_work
from files.errors import UserError
from mini_batch_loader import DatasetPreProcessor

_DOMINANT = 0.95
_PART = 1 << 20  # pixels
_USES = {"train": "train", "val": "choose"}
_NAMED = 5  # files that a sentence names; of more, it gives the number


@dataclass
class ListSummary:
    """What is in a list.

    Args:
        what (str): train, val or test.
        dataset (DatasetPreProcessor): the list.
        pixels (ndarray): int64 (n_class + 1,), pixels of each class, the last one unlabelled.
        images (ndarray): int64 (n_class + 1,), images with such pixels.
        sizes (dict): {index: (H, W)} of the pairs that could be read.
        problems (dict): {index: UserError} of those that could not.
    """

    what: str
    dataset: DatasetPreProcessor
    pixels: np.ndarray = field(init=False)
    images: np.ndarray = field(init=False)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    problems: dict[int, UserError] = field(default_factory=dict)

    def __post_init__(self):
        self.pixels = np.zeros(self.dataset.args.n_class + 1, np.int64)
        self.images = self.pixels.copy()

    @property
    def is_complete(self) -> bool:
        """Whether every pair of the list has been read, or found to be unreadable."""
        return len(self.sizes) + len(self.problems) == len(self.dataset)

    @property
    def shares(self) -> np.ndarray:
        """float64 (n_class + 1,): share of each class in all pixels."""
        return self.pixels / max(int(self.pixels.sum()), 1)

    def add(self, index: int, found) -> None:
        """Take the counts and the size of a label, or why it could not be read."""
        if isinstance(found, UserError):
            self.problems[index] = found
            return
        counts, self.sizes[index] = found
        self.pixels += counts
        self.images += counts > 0


def spread_out(length: int, most: int) -> list[int]:
    """Numbers below length: all in order, or the most so that any first few are spread out."""
    if length <= most:
        return list(range(length))
    return np.random.default_rng(0).permutation(length)[:most].tolist()


def survey(
    summary: ListSummary,
    indices: Iterable[int],
    read_pair: Callable[[int], tuple[np.ndarray, np.ndarray]],
    jobs: int,
) -> Iterator[int]:
    """Read pairs of a list with threads and add them to its summary.

    Yields:
        int: each index, once it has been added; unreadable ones are among the problems.
    """
    n_class = summary.dataset.args.n_class

    def look(index: int):
        with in_work():
            try:
                return count(read_pair(index)[1])
            except UserError as error:
                return error

    def count(label: np.ndarray):
        counts = np.zeros(n_class + 1, np.int64)
        # In parts: bincount makes 8 bytes of each pixel. -1, unlabelled, is the last counter.
        for part in np.split(label.ravel(), range(_PART, label.size, _PART)):
            counts += np.bincount(part % (n_class + 1), minlength=n_class + 1)
        return counts, label.shape

    indices = list(indices)
    pool = ThreadPoolExecutor(max(jobs, 1))
    try:
        for index, found in zip(indices, pool.map(look, indices), strict=True):
            summary.add(index, found)
            yield index
    finally:
        pool.shutdown(cancel_futures=True)  # the caller may have seen enough


def warnings_about(summaries: list[ListSummary]) -> list[str]:
    """Sentences about what is allowed but likely to be a mistake.

    Args:
        summaries: of the lists, the training list first.
    """
    return [
        *_classes_never_trained(summaries),
        *_one_class_everywhere(summaries),
        *_unfilled_bits(summaries),
        *_unusual_sizes(summaries),
        *_files_in_two_places(summaries),
    ]


def black_and_white(summary: ListSummary) -> str | None:
    """A sentence where the labels of a list hold nothing but 0 and 255, as masks do.

    As class numbers, 255 would not count, and everything would be class 0.
    """
    table = summary.dataset.args.label_table
    is_possible = table.ignore_index == 255 and not summary.pixels[1:-1].any()
    if not (is_possible and summary.pixels[-1] and summary.sizes):
        return None
    path = summary.dataset.label_path(next(iter(summary.sizes)))
    if not holds_only_0_and_255(path):
        return None
    return (
        f"{path} and the other labels of the {summary.what} list hold only 0 and 255, and "
        "255 does not count (ignore_index). If they are background and foreground, write "
        "label_values: grey_levels, and give label_path the rows 0,0,0,background and "
        "255,255,255,foreground"
    )


def one_class_only(summary: ListSummary) -> str | None:
    """A sentence where all that counts in the training list is of one class."""
    (classes,) = summary.pixels[:-1].nonzero()
    if summary.what != "train" or len(classes) != 1 or not summary.is_complete:
        return None
    args = summary.dataset.args
    return (
        f"{args.image_pointer_path}: all pixels that count in its labels are "
        f"{args.label_table.names[classes[0]]}; there is nothing to tell apart: add images with "
        "other classes, or look whether ignore_labels or ignore_index hide a class"
    )


def complaints(
    dataset: DatasetPreProcessor, problems: dict[int, UserError]
) -> list[str]:
    """What is wrong with single files of a list; the same with many files is one sentence.

    Args:
        dataset: the list.
        problems: {index: what is wrong}.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for index, problem in sorted(problems.items()):
        sentence, name = str(problem), dataset.names[index]
        file, _, complaint = sentence.partition(": ")
        # What remains without the names of the files and the numbers.
        stem = os.path.splitext(os.path.basename(name))[0]
        kind = re.sub(r"\d+", "0", complaint.replace(stem, ""))
        groups.setdefault(kind, []).append((sentence, os.path.basename(file)))
    return [
        group[0][0] + _also([file for _, file in group]) for group in groups.values()
    ]


def _also(files: list[str]) -> str:
    """What to add to the sentence on the first file, where there are more."""
    if len(files) == 1:
        return ""
    more = f" and {len(files) - 3:,} more" if len(files) > 3 else ""
    return f" (the same in {len(files):,} files: {', '.join(files[:3])}{more})"


def unfilled_windows(
    dataset: DatasetPreProcessor, sizes: Collection[tuple[int, int]]
) -> list[str]:
    """A sentence where crop_size is larger than every image of the training list.

    Args:
        dataset: the list.
        sizes: (H, W) of its images after image_scale.
    """
    args = dataset.args
    if not (args.train and args.crop_size and sizes):
        return []
    height, width = args.crop_size
    if any(h >= height and w >= width for h, w in sizes):
        return []
    highest, widest = np.max(list(sizes), axis=0)
    sentence = (
        f"crop_size: no image to train on fills a window of {width} x {height} pixels (after "
        f"image_scale they have at most {widest} x {highest}); what is missing is padded, and "
        "not learnt from"
    )
    return [sentence]


def unused_classes(summaries: list[ListSummary]) -> list[str]:
    """A sentence on the classes of the table that occur in no list, if there are any."""
    if not summaries or not all(summary.is_complete for summary in summaries):
        return []
    table = summaries[0].dataset.args.label_table
    total = sum(summary.pixels for summary in summaries)
    unused = set(np.flatnonzero(total == 0).tolist()) - table.ignored
    names = _class_names(summaries[0], sorted(unused))
    return [f"in the label table but in no label: {names}"] if names else []


def _classes_never_trained(summaries: list[ListSummary]) -> Iterator[str]:
    if not summaries:
        return
    train, *others = summaries
    if train.what != "train" or not train.is_complete:
        return
    for other in others:
        missing = np.flatnonzero((other.pixels > 0) & (train.pixels == 0)).tolist()
        names = _class_names(train, missing)
        if names:
            yield (
                f"the {other.what} list has pixels of {names}, of which the training list has "
                "none: they cannot be learnt, and pull the mean IoU down"
            )


def _one_class_everywhere(summaries: list[ListSummary]) -> Iterator[str]:
    for summary in summaries:
        share, number = summary.shares.max(), int(summary.shares.argmax())
        if share > _DOMINANT:
            name = _class_names(summary, [number]) or "unlabelled"
            yield (
                f"{share:.1%} of the pixels of the {summary.what} list are {name}: a model that "
                "says so everywhere looks good; watch the mean IoU, not the accuracy"
            )


def _unfilled_bits(summaries: list[ListSummary]) -> Iterator[str]:
    bits = {
        summary.dataset.names[index]: bits
        for summary in summaries
        for index, bits in sorted(summary.dataset.scaled_bits.items())
    }
    for used in sorted(set(bits.values()) - {16}):
        files = [name for name, number in bits.items() if number == used]
        yield (
            f"images of 16 bits whose values fill only {used}, up to {(1 << used) - 1:,}, which "
            f"becomes white: {listing(files)}"
        )
    if len(set(bits.values())) > 1:
        yield (
            "the images of 16 bits fill different numbers of bits, and each is scaled by its "
            "own: their brightness cannot be compared, unless normalizer is GCN or LCN"
        )


def _unusual_sizes(summaries: list[ListSummary]) -> Iterator[str]:
    counts = Counter(size for summary in summaries for size in summary.sizes.values())
    if len(counts) < 2 or summaries[0].dataset.args.crop_size:
        return
    (height, width), most = counts.most_common(1)[0]
    files = [
        f"{summary.dataset.names[index]} ({size[1]} x {size[0]})"
        for summary in summaries
        for index, size in summary.sizes.items()
        if size != (height, width)
    ]
    yield f"{most} images are {width} x {height} pixels, but not {listing(files)}"


def _files_in_two_places(summaries: list[ListSummary]) -> Iterator[str]:
    names = [
        list(map(os.path.normpath, summary.dataset.names)) for summary in summaries
    ]
    for number, summary in enumerate(summaries):
        repeated = [n for n, count in Counter(names[number]).items() if count > 1]
        if repeated:
            yield f"more than once in the {summary.what} list: {listing(repeated)}"
        for other in range(number):
            both = sorted(set(names[number]) & set(names[other]))
            if both:
                first, second = summaries[other].what, summary.what
                yield (
                    f"both in the {first} and in the {second} list: {listing(both)}; scores on "
                    f"images that were used to {_USES[first]} the model are too good"
                )


def _class_names(summary: ListSummary, numbers: list[int]) -> str:
    names = summary.dataset.args.label_table.names
    return ", ".join(names[number] for number in numbers if number < len(names))


def listing(files: list[str]) -> str:
    """A few names, and how many more there are."""
    more = len(files) - _NAMED
    return ", ".join(files[:_NAMED]) + (f" and {more} more" if more > 0 else "")
