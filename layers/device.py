"""Chooses the device of a run: the CPU, or a GPU through CuPy."""

import chainer
from chainer.backends import cuda

from files.errors import UserError

# Memory that a cuDNN algorithm may use for itself. Chainer's 8 MiB rules out the fast ones
# for convolutions of this size, whose columns take 120 MB at batch 20.
_WORKSPACE_BYTES = 512 << 20


def choose_device(gpu: int) -> chainer.backend.Device:
    """As find_device(), but made current, for the ``gpu`` key of the configuration."""
    device = find_device(gpu)
    if gpu < 0:
        device.use()
        return device
    # For good, and not by use(): since CuPy 10, the end of a "with" (Chainer has one for each
    # parameter) does not go back to a device that was chosen by use().
    device.create_context().__enter__()
    if cuda.cudnn_enabled:
        chainer.global_config.autotune = True
        cuda.set_max_workspace_size(_WORKSPACE_BYTES)
    return device


def find_device(gpu: int, called: str = "gpu") -> chainer.backend.Device:
    """A device that is sure to work; which one is current stays as it is.

    Args:
        gpu: number of the GPU, or -1 for the CPU.
        called: what the user knows this number as.

    Raises:
        UserError: there is no such GPU, or CuPy cannot use it; gives the driver's own reason.
    """
    if gpu < 0:
        return chainer.get_device("@numpy")
    try:
        if not cuda.available:
            raise cuda._resolution_error
        device = chainer.get_device(f"@cupy:{gpu}")
        with chainer.using_device(device):
            cuda.cupy.zeros(1).sum()  # compiles a kernel, and runs it
    except Exception as error:  # noqa: BLE001  (CuPy raises many kinds, from many layers)
        reason = " ".join(str(error).split())
        if isinstance(error, ModuleNotFoundError):
            reason += " (uv run --extra cuda12 ... installs it)"
        raise UserError(
            f"{called}: {gpu} cannot be used: {reason}; set {called}: -1 to use the CPU"
        ) from None
    return device
