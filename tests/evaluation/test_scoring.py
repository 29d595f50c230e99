"""Large images are scored strip by strip, with the figures of the whole."""

import chainer_compat

import chainer
import numpy as np

from evaluation import scoring
from evaluation import segmenter as segmenter_module
from evaluation.calibration import sample_scores
from evaluation.scoring import predict_example, score_image
from evaluation.segmenter import Segmenter
from fcn_squeeze import FCN
from layers.device import choose_device
from mini_batch_loader import DatasetPreProcessor


def test_strips_give_the_figures_of_the_whole(small_data, monkeypatch):
    small_data.load(image_scale=1)
    dataset = DatasetPreProcessor(chainer.global_config.user_test_args)
    segmenter = Segmenter(FCN(3, 3), dataset.args, choose_device(-1), temperature=0.1)

    def figures() -> tuple:
        image = score_image(segmenter, dataset, 0)
        return (
            image.confusion,
            image.photo_confusion,
            image.reliability,
            predict_example(segmenter, dataset, 0)[0],
            *sample_scores(segmenter, dataset),
        )

    whole = figures()
    for name, value in (("_WHOLE_PIXELS", 0), ("_TILE", 16)):
        monkeypatch.setattr(segmenter_module, name, value)
    monkeypatch.setattr(scoring, "_COUNTED_PIXELS", 100)
    strips = [scores.shape for _, scores in segmenter.strips(dataset[0][0])]
    assert strips == [(3, 16, 48)] * 2
    for expected, found in zip(whole, figures(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
