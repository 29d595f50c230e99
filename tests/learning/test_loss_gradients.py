"""The gradients of the losses, against their formulas."""

import chainer_compat

import chainer
import numpy as np
from small_network import random_image, scores, small_network
from test_learn import make_run

from learning import loss_gradients
from learning.subject import Subject, load_subject, new_network


def test_the_losses_pull_as_their_formulas_say(small_data):
    model, image = small_network(), random_image()
    small_data.load()
    args = chainer.global_config.user_val_args
    subject = Subject(args, model, model, np.zeros((32, 48, 3), np.uint8), "a", [])
    truth = np.random.default_rng(2).integers(-1, 3, (32, 48)).astype(np.int32)
    weight = np.array([1, 2, 4], np.float32)
    found = loss_gradients.gradients(subject, image, truth, weight)

    exp = np.exp(scores(model, image).astype(np.float64))
    probability = exp / exp.sum(axis=0)
    right = np.take_along_axis(probability, np.maximum(truth, 0)[None], axis=0)[0]
    # Of the true class 1 - p, of the others together the same.
    wanted = np.where(truth >= 0, 2 * (1 - right), 0) / (truth >= 0).sum()
    np.testing.assert_allclose(found["cross_entropy"], wanted, rtol=1e-3, atol=1e-9)
    weighted = wanted * weight[truth]
    np.testing.assert_allclose(found["weighted"], weighted, rtol=1e-3, atol=1e-9)
    assert not found["lovasz"][truth < 0].any()
    assert found["lovasz"][truth >= 0].any()


def test_the_history_has_the_logs_mean_and_the_stored_models_rare_classes(small_data):
    make_run(small_data)  # stores models after epochs 1 and 2
    args = chainer.global_config.user_val_args
    subject = load_subject(args, new_network(args), None)
    found = loss_gradients.history(subject)
    assert (found["last"], found["mean"]) == (2, [(1.0, 0.1), (2.0, 0.2)])
    pixels = np.bincount(np.concatenate([t.ravel() for _, t in subject.images]))
    names = np.array(["Sky", "Road", "Car"])[np.argsort(pixels, kind="stable")]
    assert [line["name"] for line in found["rare"]] == names.tolist()
    iou = subject.trained_score["iou"]  # the stored models are all the same
    for line in found["rare"]:
        wanted = iou[["Sky", "Road", "Car"].index(line["name"])]
        assert line["points"] == [(1, wanted), (2, wanted)]
