"""Joins the processes of a run that mpiexec started, with ChainerMN; for train.py and predict.py.

The processes share each batch: together they compute the gradients that one process would,
so the batch size, and the result, do not depend on their number.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator

import chainer
import numpy as np

from dataset.epoch_order import EpochOrder
from files import errors
from files.errors import UserError
from layers import threads

# How many processes were started together: set by Open MPI, by MPICH and Intel MPI, and by
# MVAPICH for each of them.
_SIZE_VARIABLES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
# A list to be scored is cut into at least so many batches, so that up to 8 processes get some.
_SHARES = 8
# Other ranks wait this many seconds before they report an error: most errors hit all ranks, and
# rank 0 should speak.
_FIRST_SPEAKS = 2.0


class OneProcess:
    """A run by one process: its share of everything is the whole.

    Attributes:
        rank (int): number of this process.
        size (int): number of all processes.
        local_rank (int): number of this process on its machine.
    """

    rank, size, local_rank = 0, 1, 0

    @property
    def place(self) -> tuple[int, int]:
        """Number of this process, and of all: EpochOrder's last arguments."""
        return self.rank, self.size

    @contextlib.contextmanager
    def one_first(self) -> Iterator[None]:
        """On each machine, one process runs the block before the others do."""
        yield

    def gpu(self, gpu: int) -> int:
        """The GPU of this process: one for each process of a machine, from ``gpu`` on."""
        return gpu + self.local_rank if gpu >= 0 else gpu

    def connect(self, communicator: str, device: chainer.backend.Device) -> None:
        """Make ChainerMN's communicator; the ``communicator`` key of the configuration."""

    def optimizer(self, optimizer: chainer.Optimizer) -> chainer.Optimizer:
        """The optimizer, set up already, that steps by the gradients of all processes."""
        return optimizer

    def share_state(self, updater: chainer.training.Updater) -> None:
        """Bring the updaters of all processes to the state of the first one's."""

    def loss_factor(self, examples: list) -> float:
        """What to multiply the mean loss of this process's part of a batch with.

        The mean over the processes, which ChainerMN takes, is then the mean over all labelled
        pixels of the batch, however they are spread.

        Args:
            examples: (image, label) or None, as the iterator gives them.
        """
        return 1.0

    def sum(self, array: np.ndarray) -> np.ndarray:
        """The sum of an array over all processes."""
        return array

    def largest(self, number: int) -> int:
        """The largest number that any process has."""
        return number

    def gather(self, item) -> list:
        """The items of all processes in the first one, nothing in the others."""
        return [item]

    def share(self, size: int, batch_size: int) -> tuple[np.ndarray, int]:
        """The images of a list that this process scores: one batch out of every ``size``.

        The batches themselves do not depend on the number of processes, so that all numbers
        computed of an image are those of one process, to the bit.

        Args:
            size: images in the list.
            batch_size: images that a batch may have.

        Returns:
            tuple: int64, numbers of the images, EpochOrder.PADDING if there are none; the batch
            size to take them in.
        """
        batch_size = min(batch_size, -(-size // _SHARES))
        numbers = np.arange(size)
        batches = [numbers[i : i + batch_size] for i in range(0, size, batch_size)]
        nothing = np.array([EpochOrder.PADDING])
        return np.concatenate(batches[self.rank :: self.size] or [nothing]), batch_size


class SeveralProcesses(OneProcess):
    """One of several processes; ``mpi`` is mpi4py's communicator of all."""

    def __init__(self, mpi):
        from mpi4py import MPI

        self.rank, self.size = mpi.rank, mpi.size
        self._mpi = mpi
        self._machine = mpi.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank = self._machine.rank
        self._communicator = None

    @contextlib.contextmanager
    def one_first(self) -> Iterator[None]:
        if self.local_rank:
            self._machine.barrier()
        yield
        if not self.local_rank:
            self._machine.barrier()

    def share_cores(self) -> None:
        """Keep this process to its part of the machine's cores."""
        cores = set().union(*self._machine.allgather(threads.cores()))
        threads.use_at_most(max(1, len(cores) // self._machine.size))

    def connect(self, communicator: str, device: chainer.backend.Device) -> None:
        """Make the communicator; a UserError where it cannot be used, as NCCL without a GPU."""
        import chainermn

        if communicator == "auto":
            on_cpu = device.xp is np
            communicator = "naive" if on_cpu else "pure_nccl"
        # In mixed16 ChainerMN would add up in float16.
        exact = (
            {"allreduce_grad_dtype": np.float32} if communicator == "pure_nccl" else {}
        )
        try:
            self._communicator = chainermn.create_communicator(
                communicator, mpi_comm=self._mpi, **exact
            )
        except Exception as error:  # noqa: BLE001  (each communicator has its own)
            reason = " ".join(str(error).split())
            raise UserError(
                f"communicator: {communicator} cannot be used: {reason}"
            ) from None

    def optimizer(self, optimizer: chainer.Optimizer) -> chainer.Optimizer:
        import chainermn

        several = chainermn.create_multi_node_optimizer(optimizer, self._communicator)
        # share_state() has sent the weights to all; without this call, ChainerMN would send them
        # in its first step, and skip the update.
        several.is_changed(optimizer.target)
        return several

    def share_state(self, updater: chainer.training.Updater) -> None:
        # Sent by the first process, as other machines may not have the snapshot's file.
        state = None if self.rank else chainer.serializers.npz.serialize(updater)
        state = self._communicator.bcast_obj(state)
        if self.rank:
            # Not strict: Adam has moments only after its first step.
            chainer.serializers.NpzDeserializer(state, strict=False).load(updater)

    def loss_factor(self, examples: list) -> float:
        labels = [example[1] for example in examples if example is not None]
        own = sum(int(np.count_nonzero(label >= 0)) for label in labels)
        return self.size * own / max(self._mpi.allreduce(own), 1)

    def sum(self, array: np.ndarray) -> np.ndarray:
        return self._mpi.allreduce(array)

    def largest(self, number: int) -> int:
        from mpi4py import MPI

        return self._mpi.allreduce(number, MPI.MAX)

    def gather(self, item) -> list:
        return self._mpi.gather(item) or []

    @contextlib.contextmanager
    def end_all(self) -> Iterator[None]:
        """Report a failure in the block; then end all processes, so that none waits for us."""
        if self.rank:
            time.sleep(_FIRST_SPEAKS)
        yield
        sys.stderr.flush()
        self._mpi.Abort(errors.EXIT_CODE)


def join() -> OneProcess:
    """Join the other processes of this run, if mpiexec started several.

    From here on only the first process prints, and a failure of any process ends all.

    Raises:
        UserError: mpi4py is missing.
    """
    sizes = [os.environ.get(variable, "") for variable in _SIZE_VARIABLES]
    if not any(size.isdigit() and int(size) > 1 for size in sizes):
        return OneProcess()
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise UserError(
            f"mpiexec started several processes, but mpi4py cannot be used: {error}; "
            "uv run --extra mpi ... installs it"
        ) from None
    import chainermn

    processes = SeveralProcesses(MPI.COMM_WORLD)
    errors.reporting = processes.end_all
    if sys.excepthook is sys.__excepthook__:
        chainermn.global_except_hook.add_hook()  # the same for our bugs, with a traceback
    if processes.rank:
        # Until the process ends.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    processes.share_cores()
    return processes
