"""Looks at the files of the lists before any training starts, so that errors come at once."""

from concurrent.futures import ThreadPoolExecutor

from errors import UserError
from image_reader import label_path, refuse_missing
from mini_batch_loader import DatasetPreProcessor

# Pairs of a list that are read whole; of a longer list, this many spread over it. The rest
# is looked at when it is read in training.
_MAX_READ = 500


def check_dataset(dataset: DatasetPreProcessor, jobs: int) -> None:
    """Make sure that a list can be trained on.

    That every file exists is checked for all, everything else for up to 500 pairs. What is
    read stays in the dataset's cache, so it is no work lost.

    Args:
        dataset: the list.
        jobs: threads to read with.

    Raises:
        UserError: the first file that is missing, broken or does not fit.
    """
    refuse_missing_files(dataset)
    step = -(-len(dataset) // _MAX_READ)
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        indices = range(0, len(dataset), step)
        sizes = dict(
            zip(indices, pool.map(dataset.size_after_crop, indices), strict=True)
        )
    _refuse_mixed_sizes(dataset, sizes)


def refuse_missing_files(dataset: DatasetPreProcessor) -> None:
    """Raise a UserError for the first image or label of a list that does not exist."""
    for index in range(len(dataset)):
        refuse_missing(dataset.path(index))
        label_path(dataset.path(index))


def _refuse_mixed_sizes(
    dataset: DatasetPreProcessor, sizes: dict[int, tuple[int, int]]
) -> None:
    """Images of one batch must have one size; which images meet in a batch is random."""
    first = next(iter(sizes))
    for index, (height, width) in sizes.items():
        if (height, width) != sizes[
            first
        ] and dataset.args.training_params.batch_size > 1:
            raise UserError(
                f"{dataset.args.image_pointer_path}: images of different sizes cannot share a "
                f"batch: {dataset.names[first]} gives {sizes[first][1]} x {sizes[first][0]} "
                f"pixels, {dataset.names[index]} {width} x {height}; bring them to one size, or "
                "set training_params.batch_size: 1"
            )
