"""Loss, accuracy, mean IoU and mean Dice of an epoch, in training and validation; train.py's extensions.

Chainer's own figures are means over the batches: the short last one weighs as much as the others,
and the mean of the batches' IoU or Dice is not that of the whole set.
"""

from collections.abc import Callable

import chainer
import numpy as np
from chainer.backends import cuda
from chainer.training import extension

from dataset.batches import alike
from evaluator import summarize
from files.errors import UserError


class _Figures:
    """Losses and confusion matrix of a set, summed batch by batch on the device."""

    def __init__(self):
        self.loss_sum = None
        self.cross_entropy_sum = None  # of the loss; only while training
        self.confusion = None

    def add(self, model) -> None:
        confusion = model.evaluator.confusion
        pixels = confusion.sum()
        sums = {
            "confusion": confusion.copy(),
            "loss_sum": model.loss.array.astype(np.float64) * pixels,
        }
        if model.cross_entropy is not None:
            sums["cross_entropy_sum"] = model.cross_entropy.astype(np.float64) * pixels
        for name, value in sums.items():
            sum_so_far = getattr(self, name)
            setattr(self, name, value if sum_so_far is None else sum_so_far + value)

    def compute(self, processes) -> dict[str, float]:
        """Means over all labelled pixels of the set, of all processes together."""
        self.confusion = processes.sum(cuda.to_cpu(self.confusion))
        figures = summarize(self.confusion)
        pixels = max(int(figures["pixels"].sum()), 1)
        means = {
            "loss": processes.sum(float(self.loss_sum)) / pixels,
            "accuracy": float(figures["pixel_accuracy"]),
            "miou": float(figures["mean_iou"]),
            "dice": float(figures["mean_dice"]),
        }
        if self.cross_entropy_sum is not None:
            sum_of_all = processes.sum(float(self.cross_entropy_sum))
            means["cross_entropy"] = sum_of_all / pixels
        return means


class EpochFigures(extension.Extension):
    """Reports losses, accuracy and mean IoU over all labelled pixels of an epoch's training batches."""

    priority = extension.PRIORITY_WRITER

    def __init__(self, model, processes):
        self._model = model
        self._processes = processes
        self._figures = _Figures()

    def __call__(self, trainer) -> None:
        self._figures.add(self._model)
        if trainer.updater.is_new_epoch:
            for name, value in self._figures.compute(self._processes).items():
                trainer.observation[f"main/{name}"] = value
            self._figures = _Figures()

    def serialize(self, serializer) -> None:
        """Store the sums of all processes (each must call it), or read them into the first."""
        for name in ("loss_sum", "cross_entropy_sum", "confusion"):
            value = getattr(self._figures, name)
            if isinstance(serializer, chainer.Deserializer):
                value = serializer(name, value)
                if value is not None:  # the device may be another than before
                    value = self._model.device.send(value)
                setattr(self._figures, name, None if self._processes.rank else value)
            elif value is None:
                serializer(name, None)
            else:
                serializer(name, self._processes.sum(cuda.to_cpu(value)))


def _validate(model, converter, examples: list, device) -> None:
    """Give examples of one size to the model.

    Raises:
        UserError: there is not enough memory for them.
    """
    try:
        model(*converter(examples, device))
    except MemoryError:  # the GPU's, too
        height, width = examples[0][1].shape
        # None may be left out: the best epoch would be chosen on other images than the rest.
        raise UserError(
            f"not enough memory in validation for images of {width} x {height} pixels, "
            f"{len(examples)} at once; lower training_params.batch_size or image_scale, or take the large images "
            "out of val_image_pointer"
        ) from None


class Validation(chainer.training.extensions.Evaluator):
    """Chainer's Evaluator with the figures of the whole set instead of means of batches.

    Args:
        iterator, target, converter, device: as Evaluator's; this process's share of the set.
        before_batch: called with the trainer before each batch; may raise to break it off.
        processes: as distributed.join() gives them.

    Attributes:
        confusion (ndarray): int64 (n_class, n_class) of the last validation, all processes together.
    """

    name = "validation"
    # Chainer's (1, "epoch") has a state. Only the first process reads it from a snapshot, but
    # all must validate after the same iteration.
    trigger = staticmethod(lambda trainer: trainer.updater.is_new_epoch)

    def __init__(
        self, iterator, target, converter, device, before_batch: Callable, processes
    ):
        super().__init__(iterator, target, converter, device)
        self._before_batch = before_batch
        self._processes = processes
        self._trainer = None
        self.confusion = None

    def __call__(self, trainer=None) -> dict[str, float]:
        self._trainer = trainer
        return super().__call__(trainer)

    def evaluate(self) -> dict[str, float]:
        """Loss, accuracy and mean IoU of the model on all images of the iterator."""
        iterator = self.get_iterator("main")
        iterator.reset()
        model = self.get_target("main")
        figures = _Figures()
        with chainer.no_backprop_mode(), chainer.using_config("train", False):
            for batch in iterator:
                for part in alike(batch):  # whole images may be of different sizes
                    self._before_batch(self._trainer)
                    _validate(model, self.converter, part, self.device)
                    figures.add(model)
        means = figures.compute(self._processes)
        self.confusion = figures.confusion
        return {f"{self.name}/main/{name}": value for name, value in means.items()}
