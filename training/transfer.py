"""Sends the next batch to the GPU while it computes; train.py takes its converters from here."""

import chainer
from chainer.backends import cuda

from dataset.batches import to_batch, unlabelled, whole_examples

# Shapes of batches that have buffers. Images to validate with may all be of different sizes.
_MOST_SHAPES = 16


def batch_converter(device: chainer.backend.Device) -> chainer.dataset.Converter:
    """Chainer's converter for lists of examples: to_batch(), overlapped on a GPU."""
    return AsyncToBatch() if device.xp is cuda.cupy else to_batch


class AsyncToBatch(chainer.dataset.Converter):
    """to_batch() through page-locked memory and a stream of its own.

    The copy runs while the GPU is at the backward pass before it, which Chainer has only
    queued. Two batches are kept on the GPU in turn: an array is overwritten by the next batch
    but one.
    """

    def __init__(self):
        self._transfers = {}

    def __call__(self, batch: list, device: chainer.backend.Device):
        """Images float32 (N, C, H, W) and labels int32 (N, H, W) on the device."""
        examples = whole_examples(batch) or [unlabelled()]
        shape = (len(examples), *examples[0][0].shape)
        if shape not in self._transfers and len(self._transfers) == _MOST_SHAPES:
            return to_batch(examples, device)
        if shape not in self._transfers:
            # Chainer's buffers are for one shape, and making them waits for the GPU: there is
            # a set for the whole batches, one for the short last, and one for each scale.
            self._transfers[shape] = chainer.dataset.convert.ConcatWithAsyncTransfer(
                compute_stream=cuda.Stream.null
            )
        return self._transfers[shape](examples, device.device.id)
