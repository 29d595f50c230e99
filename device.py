"""Chooses the device of a run: the CPU, or a GPU through CuPy."""

import chainer_compat

import chainer
from chainer.backends import cuda

from errors import UserError


def choose_device(gpu: int) -> chainer.backend.Device:
    """The device for the ``gpu`` key of the configuration, made current.

    Args:
        gpu: number of the GPU, or -1 for the CPU.

    Raises:
        UserError: there is no such GPU, or CuPy cannot use it; gives CuPy's own reason.
    """
    if gpu < 0:
        device = chainer.get_device("@numpy")
    else:
        try:
            cuda.check_cuda_available()
            device = chainer.get_device(f"@cupy:{gpu}")
            device.use()
        except Exception as error:  # noqa: BLE001  (CuPy raises many kinds, from many layers)
            reason = " ".join(str(cuda._resolution_error or error).split())
            raise UserError(
                f"gpu: {gpu} cannot be used: {reason}; set gpu: -1 to train on the CPU"
            ) from None
    device.use()
    return device
