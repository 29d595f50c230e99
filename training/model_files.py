"""Stores the model while it is trained: every few epochs, the best, the last; for train.py."""

from collections.abc import Callable

import chainer
import numpy as np
from chainer.training import extension

from evaluation.calibration import fit_temperature, sample_scores
from evaluation.model_description import describe_model
from evaluation.segmenter import Segmenter
from files.weights import save_npz, write_npz
from mini_batch_loader import DatasetPreProcessor


def save_model(version: str) -> Callable[[chainer.training.Trainer], None]:
    """An extension that stores the weights.

    Args:
        version: what stands in the file's name: fcn_{version}.npz; {} in it becomes the epoch.
    """

    def save(trainer: chainer.training.Trainer) -> None:
        args = chainer.global_config.user_train_args
        path = args.model_path.format(version.format(trainer.updater.epoch))
        save_npz(path, trainer.updater.average.model, describe_model(args))

    return save


class BestModel(extension.Extension):
    """Stores the model of the epoch with the best validation mean IoU.

    Its weights are part of the snapshots, so that a run resumed in another folder has them, too.
    """

    trigger = (1, "epoch")
    name = "best_model"

    def __init__(self, model, path: str, description: str):
        self._model = model
        self._path = path
        self._description = description
        self._miou = -1.0  # any mean IoU is larger, but NaN is not
        self._weights = {}

    def initialize(self, trainer) -> None:
        if self._weights:
            write_npz(self._path, self._weights, self._description)

    def __call__(self, trainer) -> None:
        miou = trainer.observation["validation/main/miou"]
        if miou > self._miou:
            self._miou = float(miou)
            weights = chainer.serializers.npz.serialize(self._model)
            self._weights = {name: np.array(value) for name, value in weights.items()}
            write_npz(self._path, self._weights, self._description)

    def store_temperature(self, dataset: DatasetPreProcessor) -> None:
        """At the end of a run: fit the best model's temperature on the validation images; store it."""
        if not self._weights:
            return
        model = self._model.copy(mode="copy")
        chainer.serializers.NpzDeserializer(self._weights).load(model)
        segmenter = Segmenter(model, dataset.args, model.device)
        temperature = fit_temperature(*sample_scores(segmenter, dataset))
        description = describe_model(dataset.args, temperature)
        write_npz(self._path, self._weights, description)

    def serialize(self, serializer) -> None:
        self._miou = serializer("miou", self._miou)
        if self._miou < 0:
            return
        for name in chainer.serializers.npz.serialize(self._model):
            value = serializer["weights"](name, self._weights.get(name))
            self._weights[name] = value
