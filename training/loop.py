"""The updater of a training, its learning rate and its end; train.py gives them to Chainer's Trainer."""

import bisect
import warnings
from collections.abc import Callable

import chainer
import numpy as np

from dataset.epoch_order import EpochOrder
from evaluation.run_log import best_entry
from files.errors import UserError
from training.distributed import OneProcess
from training.weight_average import WeightAverage

# Of a diverging loss: the updater's error says more, and NumPy would print source lines before it.
_OVERFLOW = "(overflow|invalid value|divide by zero) encountered"
warnings.filterwarnings("ignore", _OVERFLOW, RuntimeWarning)


class ReadingAhead(chainer.iterators.MultithreadIterator):
    """MultithreadIterator that ends its threads before the program ends."""

    def finalize(self) -> None:
        """Let the threads finish what they read.

        Python kills threads that are left when it ends; one in OpenCV takes the process with it
        (SIGABRT, "terminate called without an active exception").
        """
        pool = self._pool
        super().finalize()
        if pool is not None:
            pool.join()


class Updater(chainer.training.updaters.StandardUpdater):
    """StandardUpdater that stops before a loss that is not finite reaches the weights.

    Args:
        iterator, optimizer, converter, device: as StandardUpdater's.
        order (EpochOrder): the iterator's.
        learning_rate (callable): gives the step size of an iteration, counted from 0.
        average (WeightAverage): takes the weights in after each step.
        processes: as distributed.join() gives them.
    """

    def __init__(
        self,
        iterator,
        optimizer,
        converter,
        device,
        order: EpochOrder,
        learning_rate: Callable[[int], float],
        average: WeightAverage,
        processes: OneProcess,
    ):
        super().__init__(iterator, optimizer, converter=converter, device=device)
        self._order = order
        self._learning_rate = learning_rate
        self.average = average
        self._processes = processes

    def update_core(self) -> None:
        """One iteration: a batch, its loss, the gradients, Adam's step.

        Raises:
            UserError: the loss is not finite, the images are of different sizes, or they take more
                memory than there is.
        """
        batch = self.get_iterator("main").next()
        try:
            self._learn(batch)
        except MemoryError:  # the GPU's, too
            raise UserError(
                f"not enough memory for the batch of iteration {self.iteration + 1}; lower "
                "training_params.batch_size, image_scale or crop_size"
            ) from None
        except (FloatingPointError, RuntimeError) as error:
            # In debug mode Chainer raises a RuntimeError, as it does for bugs.
            if isinstance(error, RuntimeError) and "NaN is detected" not in str(error):
                raise
            raise UserError(
                f"{error} in epoch {self.epoch_of_batch}, iteration {self.iteration + 1}; lower "
                f"training_params.learning_rate, and look at the images of the batch: "
                f"{self._names()}"
            ) from None

    def _learn(self, batch: list) -> None:
        """One step of Adam on a batch of examples."""
        try:
            x, t = self.converter(batch, self.device)
        except UserError as error:
            raise UserError(f"{error}\n       the batch: {self._names()}") from None
        factor = self._processes.loss_factor(batch)
        optimizer = self.get_optimizer("main")
        # Computed from the iteration alone, so that snapshots need not hold it. Chainer's shift
        # extensions have a state each, and warm-up and decay would overwrite each other's value.
        optimizer.alpha = self._learning_rate(self.iteration)
        optimizer.update(self._finite_loss, x, t, factor)
        self.average.update(optimizer.target, self.iteration + 1)

    def _finite_loss(self, x, t, factor: float) -> chainer.Variable:
        """The loss times a factor, checked before it reaches the weights.

        This is the only place where an iteration waits for the GPU. Backward pass and update are
        queued after it, and run while the next batch is prepared and sent. MixedPrecisionAdam
        checks the loss itself, together with the gradients.
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
        self.average.serialize(serializer["average"])
        self.iteration = int(serializer("iteration", self.iteration))
        if isinstance(serializer, chainer.Deserializer):
            self._order.place(self.get_iterator("main"), self.iteration)

    @property
    def epoch_of_batch(self) -> int:
        """Epoch of the batch at hand, counted from 1 (after its last batch, too)."""
        return self.epoch + (not self.is_new_epoch)

    def epochs_of(self, iterations: int) -> int:
        """Number of the epoch in which a number of iterations ends, counted from 1."""
        return -(-iterations // self._order.batches)

    def _names(self) -> str:
        dataset = self.get_iterator("main").dataset
        return ", ".join(dataset.file_names(self._order.batch(self.iteration)))


class LearningRate:
    """Adam's step size in an iteration: warm-up, then constant or a polynomial decay to 0.

    poly: ``learning_rate * (1 - iteration / all) ** poly_power`` (Chen et al., *DeepLab*,
    2017). During the warm-up it is multiplied by 1 / n, 2 / n ... 1. At each of ``restarts`` the
    decay begins again, without warm-up, as Adam's moments are kept (warm restarts: Loshchilov,
    Hutter, *SGDR*, 2017).

    Args:
        params (SimpleNamespace): ``training_params`` of the configuration.
        batches (int): iterations in an epoch.
    """

    def __init__(self, params, batches: int):
        self._params = params
        self._ends = [0, *(n * batches for n in (*params.restarts, params.epochs))]

    def __call__(self, iteration: int) -> float:
        """The step size of an iteration, counted from 0."""
        params = self._params
        rate = params.learning_rate
        if params.schedule == "poly":
            number = bisect.bisect_right(self._ends, iteration, hi=len(self._ends) - 1)
            start, end = self._ends[number - 1 : number + 1]
            rate *= (1 - (iteration - start) / (end - start)) ** params.poly_power
        if iteration < params.warmup_iterations:
            rate *= (iteration + 1) / params.warmup_iterations
        return rate


class LastEpoch:
    """Stop trigger: ends the training after an epoch, or where validation has not risen for long.

    Chainer's own looks for an epoch that is a multiple of the last one: a run that was resumed
    with fewer epochs than it had would go on to the next multiple.

    Args:
        params (SimpleNamespace): ``training_params`` of the configuration.
        processes: as distributed.join() gives them.
    """

    def __init__(self, params, processes: OneProcess):
        self._params = params
        self._processes = processes

    def __call__(self, trainer) -> bool:
        if trainer.updater.epoch >= self._params.epochs:
            return True
        if not self._params.patience or not trainer.updater.is_new_epoch:
            return False
        # Only the first process has the log.
        is_late = self._processes.rank == 0 and self.is_out_of_patience(trainer)
        return bool(self._processes.largest(int(is_late)))

    def is_out_of_patience(self, trainer) -> bool:
        """Whether ``patience`` epochs have passed since the best one, or the last restart.

        It follows from the log alone, so that a resumed run ends at the same epoch.
        """
        log, patience = trainer.get_extension("LogReport").log, self._params.patience
        if not log or not patience:
            return False
        epoch = log[-1]["epoch"]
        restarts = [end for end in self._params.restarts if end <= epoch]
        return epoch - max(log[best_entry(log)]["epoch"], *restarts, 0) >= patience

    def is_reached(self, trainer) -> bool:
        """Whether the run has ended; for the first process, without asking the others."""
        is_last = trainer.updater.epoch >= self._params.epochs
        return is_last or self.is_out_of_patience(trainer)
