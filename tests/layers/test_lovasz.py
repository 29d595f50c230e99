import os
import subprocess
import sys

import chainer_compat

import chainer
import numpy as np
import pytest
from conftest import EMULATION, ROOT, emulated
from hypothesis import given
from hypothesis import strategies as st

from layers.lovasz import lovasz_softmax


def plain_loss(scores, labels) -> float:
    """The paper's loss of one image, by sorting, one pixel after the other."""
    scores = scores[:, labels >= 0].astype(np.float64)
    labels = labels[labels >= 0]
    probability = np.exp(scores) / np.exp(scores).sum(axis=0)
    losses = []
    for c in np.unique(labels):
        errors = np.where(labels == c, 1 - probability[c], probability[c])
        loss = before = 0.0
        wrong = np.zeros(len(labels), bool)
        for pixel in np.argsort(-errors):
            wrong[pixel] = True
            # IoU if these pixels, and no others, are wrong.
            hit = ((labels == c) & ~wrong).sum()
            jaccard = 1 - hit / ((labels == c) | wrong).sum()
            loss += errors[pixel] * (jaccard - before)
            before = jaccard
        losses.append(loss)
    return float(np.mean(losses)) if losses else 0.0


def example(shape=(1, 4, 6, 7), seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, shape).astype(dtype)
    labels = rng.integers(-1, shape[1], (shape[0], *shape[2:])).astype(np.int32)
    return scores, labels


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 5))
def test_loss_is_the_papers(seed, n_class, height):
    scores, labels = example((1, n_class, height, 7), seed)
    loss = float(lovasz_softmax(scores, labels).array)
    assert loss == pytest.approx(plain_loss(scores[0], labels[0]), abs=2 / 4096)


def test_hand_worked_example():
    """Two pixels, one of each class, both certain: the second one is wrong.

    Class 0: the errors are 0 and 1; IoU falls from 1 to 1/2 with the wrong pixel. Class 1:
    its only pixel is missed: IoU 0. Mean of 1/2 and 1.
    """
    scores = np.array([[[[50.0, 50.0]], [[-50.0, -50.0]]]])
    labels = np.array([[[0, 1]]], np.int32)
    assert float(lovasz_softmax(scores, labels).array) == pytest.approx(0.75)


def test_right_and_certain_costs_nothing():
    _, labels = example()
    scores = 100.0 * (np.arange(4)[None, :, None, None] == labels[:, None])
    assert float(lovasz_softmax(scores, labels).array) < 1e-6


def test_gradient_leads_down_as_the_loss_says():
    scores, labels = example((2, 3, 5, 6))
    x = chainer.Variable(scores)
    lovasz_softmax(x, labels).backward()
    direction = np.random.default_rng(3).normal(0, 1, scores.shape)
    h = 1e-2
    ends = [
        float(lovasz_softmax(scores + s * direction, labels).array) for s in (h, -h)
    ]
    slope = (ends[0] - ends[1]) / (2 * h)
    assert float((x.grad * direction).sum()) == pytest.approx(slope, rel=0.05, abs=2e-3)
    # Softmax does not change when all scores of a pixel rise alike.
    np.testing.assert_allclose(x.grad.sum(axis=1), 0, atol=1e-12)


def test_images_add_up_by_their_labelled_pixels():
    scores, labels = example((2, 3, 5, 6))
    labels[0, :3] = -1
    pixels = (labels >= 0).sum(axis=(1, 2))
    parts = [
        float(lovasz_softmax(scores[i : i + 1], labels[i : i + 1]).array)
        for i in (0, 1)
    ]
    expected = np.average(parts, weights=pixels)
    assert float(lovasz_softmax(scores, labels).array) == pytest.approx(expected)


def test_unlabelled_pixels_have_no_loss_and_no_gradient():
    scores, labels = example()
    labels[:] = -1
    x = chainer.Variable(scores)
    loss = lovasz_softmax(x, labels)
    loss.backward()
    assert float(loss.array) == 0 and not x.grad.any()


def test_gradient_can_be_asked_for_twice():
    scores, labels = example((2, 3, 5, 6))
    x = chainer.Variable(scores)
    loss = 2 * lovasz_softmax(x, labels)
    gradients = []
    for _ in range(2):
        x.cleargrad()
        loss.backward(retain_grad=True)
        gradients.append(x.grad.copy())
    np.testing.assert_array_equal(*gradients)
    assert gradients[0].any()


@pytest.mark.parametrize("score", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("label", [-1, 2])
def test_a_score_that_is_no_number_makes_the_loss_nan(score, dtype, label):
    scores, labels = example((2, 4, 6, 7), dtype=dtype)
    scores[0, 1, 2, 3], labels[0, 2, 3] = score, label
    with np.errstate(invalid="ignore"):
        loss = lovasz_softmax(chainer.Variable(scores), labels)
    assert np.isnan(loss.array)
    labels[:] = -1
    with np.errstate(invalid="ignore"):
        assert np.isnan(lovasz_softmax(scores, labels).array)


ON_EMULATED_GPU = """
import chainer_compat, chainer, cupy
import numpy as np
from layers.lovasz import lovasz_softmax
rng = np.random.default_rng(0)
scores = rng.normal(0, 2, (2, 4, 6, 7)).astype(np.float32)
labels = cupy.asarray(rng.integers(-1, 4, (2, 6, 7)).astype(np.int32))
print(float(lovasz_softmax(cupy.asarray(scores), labels).array))
for score in (np.nan, np.inf):
    scores[0, 1, 2, 3] = score
    x = chainer.Variable(cupy.asarray(scores))
    print(float(lovasz_softmax(x, labels).array))
"""


@emulated
def test_loss_on_a_gpu_is_the_cpus_and_nan_for_nan_scores():
    environment = {**os.environ, "PYTHONPATH": f"{EMULATION}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", ON_EMULATED_GPU]
    run = subprocess.run(command, env=environment, capture_output=True, check=True)
    finite, *others = map(float, run.stdout.split())
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (2, 4, 6, 7)).astype(np.float32)
    labels = rng.integers(-1, 4, (2, 6, 7)).astype(np.int32)
    assert finite == pytest.approx(float(lovasz_softmax(scores, labels).array))
    assert np.isnan(others).all()
