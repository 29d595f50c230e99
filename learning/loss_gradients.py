"""Which pixels each loss pulls at, and the IoU of rare classes over the epochs: the loss's figure."""

import glob
import os
import re
from functools import partial

import chainer
import numpy as np

from evaluation.run_log import read_log, series
from files import weights
from layers.cross_entropy import softmax_cross_entropy
from layers.lovasz import lovasz_softmax
from learning.pictures import heat, jpeg, png
from learning.subject import Subject, new_network
from mini_batch_loader import DatasetPreProcessor
from training.class_weights import rarity_weights

_RARE = 4  # classes shown
_MODELS = 8  # stored models that are scored, at most
_COUNTED = 50  # training labels that the frequencies are taken from, at most
_POWER = 0.5  # of the class weights, where the recipe has none


def figure(subject: Subject) -> dict:
    """Gradients on the first validation image, and the history of the run."""
    image, truth = subject.images[0]
    power = subject.args.training_params.class_weights or _POWER
    class_weight = rarity_weights(_training_pixels(), power)
    found = gradients(subject, subject.normalized(image), truth, class_weight)
    names, table = subject.args.label_table.names, subject.args.label_table
    pixels = np.bincount(truth[truth >= 0], minlength=len(names))
    present = [c for c in np.argsort(pixels, kind="stable") if pixels[c]]
    return {
        "photo": jpeg(image),
        "truth": png(table.colors_of_classes(truth)),
        "power": f"{power:g}",
        "maps": {name: jpeg(heat(np.sqrt(g)), 90) for name, g in found.items()},
        "shares": [
            {
                "name": names[c],
                "pixels": float(pixels[c] / pixels.sum()),
                **{k: float(g[truth == c].sum() / g.sum()) for k, g in found.items()},
            }
            for c in present[:_RARE]
        ],
        "history": history(subject),
    }


def gradients(subject: Subject, x, truth, class_weight) -> dict[str, np.ndarray]:
    """How much each loss would change the scores of a pixel.

    Args:
        x: float32 (C, H, W), normalised.
        truth: int32 (H, W).
        class_weight: float32 (n_class,).

    Returns:
        dict: for each loss float32 (H, W), the magnitudes of its derivatives by the pixel's scores,
        added up over the classes.
    """
    with chainer.no_backprop_mode(), chainer.using_config("train", False):
        scores = subject.model.scores(x[None]).array
    losses = {
        "cross_entropy": softmax_cross_entropy,
        "weighted": partial(softmax_cross_entropy, class_weight=class_weight),
        "lovasz": lovasz_softmax,
    }
    found = {}
    for name, loss in losses.items():
        variable = chainer.Variable(scores.copy())
        loss(variable, truth[None]).backward()
        found[name] = np.abs(variable.grad[0]).sum(axis=0)
    return found


def _training_pixels() -> np.ndarray:
    """int64 (n_class,): pixels of each class in the training labels."""
    dataset = DatasetPreProcessor(chainer.global_config.user_train_args)
    counts = np.zeros(dataset.args.n_class + 1, np.int64)
    for index in range(min(_COUNTED, len(dataset))):
        _, label = dataset.scaled_pair(index)
        counts += np.bincount(label.ravel() + 1, minlength=len(counts))
    return counts[1:]


def history(subject: Subject) -> dict:
    """Mean IoU of each epoch from the log, and IoU of the rarest classes from the stored models."""
    log = read_log(subject.args.output_path)
    epochs = series(log, "epoch")
    mean = series(log, "validation/main/miou")
    truths = np.concatenate([truth.ravel() for _, truth in subject.images])
    pixels = np.bincount(truths[truths >= 0], minlength=subject.args.n_class)
    rarest = [int(c) for c in np.argsort(pixels, kind="stable") if pixels[c]][:_RARE]
    stored = _stored_models(subject)
    scored = {
        epoch: subject.score(_load(subject, path))["iou"] for epoch, path in stored
    }
    lines = [
        {
            "name": subject.args.label_table.names[c],
            "color": subject.args.label_table.colors[c].tolist(),
            "points": [(epoch, float(iou[c])) for epoch, iou in scored.items()],
        }
        for c in rarest
    ]
    return {
        "last": int(max(epochs)),
        "mean": [(e, m) for e, m in zip(epochs, mean) if not np.isnan(m)],
        "rare": lines,
    }


def _stored_models(subject: Subject) -> list[tuple[int, str]]:
    """Epoch and path of the models that the training stored every few epochs."""
    pattern = subject.args.model_path
    found = []
    for path in glob.glob(glob.escape(os.path.dirname(pattern)) + "/*.npz"):
        match = re.fullmatch(r"fcn_(\d+)\.npz", os.path.basename(path))
        if match:
            found.append((int(match[1]), path))
    found.sort()
    spread = np.linspace(0, len(found) - 1, min(_MODELS, len(found)))
    return [found[round(i)] for i in spread]


def _load(subject: Subject, path: str):
    model = new_network(subject.args)
    weights.load_model(path, model, "output_path")
    return model
