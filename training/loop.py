"""What the training loop needs and Chainer has not, above all exact means of an epoch."""

from collections.abc import Callable

import chainer_compat

import chainer
import numpy as np
from chainer.backends import cuda
from chainer.training import extension

from evaluator import summarize
from files.errors import UserError
from files.weights import write_npz


class Updater(chainer.training.updaters.StandardUpdater):
    """StandardUpdater that stops before a loss that is not finite reaches the weights.

    Args:
        iterator, optimizer, converter, device: as StandardUpdater's.
        order (EpochOrder): the iterator's.
        batch_names (callable): gives the image file names of an iteration, counted from 0.
        learning_rate (callable): gives the step size of an iteration, counted from 0.
        processes: as distributed.join() gives them.
    """

    def __init__(
        self,
        iterator,
        optimizer,
        converter,
        device,
        order,
        batch_names,
        learning_rate,
        processes,
    ):
        super().__init__(iterator, optimizer, converter=converter, device=device)
        self._order = order
        self._batch_names = batch_names
        self._learning_rate = learning_rate
        self._processes = processes

    def update_core(self) -> None:
        """One iteration: a batch, its loss, the gradients, Adam's step.

        Raises:
            UserError: the loss is not finite, or the images are of different sizes.
        """
        optimizer = self.get_optimizer("main")
        batch = self.get_iterator("main").next()
        try:
            x, t = self.converter(batch, self.device)
        except UserError as error:
            raise UserError(f"{error}\n       the batch: {self._names()}") from None
        factor = self._processes.loss_factor(batch)
        # Of the iteration alone, so that a resumed run needs no state: one of Chainer's shift
        # extensions would, and warm-up and decay are two of them that set the same attribute.
        optimizer.alpha = self._learning_rate(self.iteration)
        try:
            optimizer.update(self._finite_loss, x, t, factor)
        except (FloatingPointError, RuntimeError) as error:
            # In debug mode Chainer raises a RuntimeError, as it does for bugs.
            if isinstance(error, RuntimeError) and "NaN is detected" not in str(error):
                raise
            raise UserError(
                f"{error} in epoch {self.epoch_of_batch}, iteration {self.iteration + 1}; lower "
                f"training_params.learning_rate, and look at the images of the batch: "
                f"{self._names()}"
            ) from None

    def _finite_loss(self, x, t, factor: float) -> chainer.Variable:
        """The loss times a factor, checked before it reaches the weights: the one wait for the GPU.

        Backward pass and update are then queued at once, and run while the next batch is
        prepared and sent. MixedPrecisionAdam checks the loss together with the gradients.
        """
        optimizer = self.get_optimizer("main")
        loss = optimizer.target(x, t)
        if not optimizer._loss_scaling_is_dynamic:
            value = float(loss.array)
            if not np.isfinite(value):
                raise FloatingPointError(f"the loss is {value}")
        return loss if factor == 1 else loss * factor

    def serialize(self, serializer) -> None:
        """Store or read model, optimizer and iteration, from which the iterator's place follows."""
        optimizer = self.get_optimizer("main")
        optimizer.serialize(serializer["optimizer:main"])
        optimizer.target.serialize(serializer["model:main"])
        self.iteration = int(serializer("iteration", self.iteration))
        if isinstance(serializer, chainer.Deserializer):
            self._order.place(self.get_iterator("main"), self.iteration)

    @property
    def epoch_of_batch(self) -> int:
        """Epoch of the batch at hand, counted from 1 (after its last batch, too)."""
        return self.epoch + (not self.is_new_epoch)

    def _names(self) -> str:
        return ", ".join(self._batch_names(self.iteration))


class LearningRate:
    """Adam's step size in an iteration: warm-up, then constant or a polynomial decay to 0.

    poly: ``learning_rate * (1 - iteration / all) ** poly_power`` (Chen et al., *DeepLab*,
    2017). During the warm-up it is multiplied by 1 / n, 2 / n ... 1.

    Args:
        params (SimpleNamespace): ``training_params`` of the configuration.
        batches (int): iterations in an epoch.
    """

    def __init__(self, params, batches: int):
        self._params = params
        self._iterations = params.epochs * batches

    def __call__(self, iteration: int) -> float:
        """The step size of an iteration, counted from 0."""
        params = self._params
        rate = params.learning_rate
        if params.schedule == "poly":
            rate *= (1 - iteration / self._iterations) ** params.poly_power
        if iteration < params.warmup_iterations:
            rate *= (iteration + 1) / params.warmup_iterations
        return rate


class LastEpoch:
    """Stop trigger: ends the training after an epoch.

    Chainer's own looks for an epoch that is a multiple of the last one: a run that was resumed
    with fewer epochs than it had would go on to the next multiple.
    """

    def __init__(self, epochs: int):
        self._epochs = epochs

    def __call__(self, trainer) -> bool:
        return trainer.updater.epoch >= self._epochs

    def get_training_length(self) -> tuple[int, str]:
        """For Chainer's ProgressBar."""
        return self._epochs, "epoch"


class _Figures:
    """Loss and confusion matrix of a set, summed batch by batch where the arrays are."""

    def __init__(self):
        self.loss_sum = None
        self.confusion = None

    def add(self, model) -> None:
        confusion = model.evaluator.confusion
        loss_sum = model.loss.array.astype(np.float64) * confusion.sum()
        if self.confusion is None:
            self.confusion, self.loss_sum = confusion.copy(), loss_sum
        else:
            self.confusion += confusion
            self.loss_sum += loss_sum

    def compute(self, processes) -> dict[str, float]:
        """Means over all labelled pixels of the set, of all processes together."""
        figures = summarize(processes.sum(cuda.to_cpu(self.confusion)))
        loss_sum = processes.sum(float(self.loss_sum))
        pixels = max(int(figures["pixels"].sum()), 1)
        return {
            "loss": loss_sum / pixels,
            "accuracy": float(figures["pixel_accuracy"]),
            "miou": float(figures["mean_iou"]),
        }


class EpochFigures(extension.Extension):
    """Reports loss, accuracy and mean IoU of an epoch's training batches, exactly.

    LogReport would average over iterations, in which the short last batch weighs as much as
    the others, and mean IoU cannot be averaged at all.
    """

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
        for name in ("loss_sum", "confusion"):
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


class Validation(chainer.training.extensions.Evaluator):
    """Chainer's Evaluator with the figures of the whole set instead of means of batches.

    Args:
        iterator, target, converter, device: as Evaluator's; this process's share of the set.
        before_batch: called with the trainer before each batch; may raise to break it off.
        processes: as distributed.join() gives them.
    """

    name = "validation"
    # Not Chainer's (1, "epoch"): that has a state, which only the first process resumes, and all
    # must validate at the same time.
    trigger = staticmethod(lambda trainer: trainer.updater.is_new_epoch)

    def __init__(
        self, iterator, target, converter, device, before_batch: Callable, processes
    ):
        super().__init__(iterator, target, converter, device)
        self._before_batch = before_batch
        self._processes = processes
        self._trainer = None

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
                self._before_batch(self._trainer)
                model(*self.converter(batch, self.device))
                figures.add(model)
        means = figures.compute(self._processes)
        return {f"{self.name}/main/{name}": value for name, value in means.items()}


class BestModel(extension.Extension):
    """Stores the model of the epoch with the best validation mean IoU.

    Its weights are part of the snapshots: who resumes in another folder has them there, too.
    """

    trigger = (1, "epoch")
    name = "best_model"

    def __init__(self, model, path: str):
        self._model = model
        self._path = path
        self._miou = -1.0  # less than any; NaN is no best
        self._weights = {}

    def initialize(self, trainer) -> None:
        if self._weights:
            write_npz(self._path, self._weights)

    def __call__(self, trainer) -> None:
        miou = trainer.observation["validation/main/miou"]
        if miou > self._miou:
            self._miou = float(miou)
            weights = chainer.serializers.npz.serialize(self._model)
            self._weights = {name: np.array(value) for name, value in weights.items()}
            write_npz(self._path, self._weights)

    def serialize(self, serializer) -> None:
        self._miou = serializer("miou", self._miou)
        if self._miou < 0:
            return
        for name in chainer.serializers.npz.serialize(self._model):
            value = serializer["weights"](name, self._weights.get(name))
            self._weights[name] = value
