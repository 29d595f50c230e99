"""The converter for a GPU, whose buffers are stood in for: what takes the way around them."""

from types import SimpleNamespace

import chainer_compat

import chainer
import numpy as np

from training import transfer


def test_batches_of_ever_new_sizes_take_a_bounded_number_of_buffers(
    small_data, monkeypatch
):
    small_data.load()
    made = []

    def buffers(compute_stream):
        made.append(compute_stream)
        return lambda examples, _: chainer.dataset.concat_examples(examples)

    monkeypatch.setattr(
        chainer.dataset.convert, "ConcatWithAsyncTransfer", buffers, raising=True
    )
    stream = SimpleNamespace(null=None)
    monkeypatch.setattr(transfer.cuda, "Stream", stream, raising=False)
    device = chainer.get_device("@numpy")
    device.device = SimpleNamespace(id=0)
    converter = transfer.AsyncToBatch()
    for side in range(1, 31):
        example = np.full((3, side, side), side, "f4"), np.zeros((side, side), "i4")
        images, labels = converter([example, example], device)
        assert images.shape == (2, 3, side, side) and (images == side).all()
        assert labels.shape == (2, side, side)
    assert len(made) == 16
