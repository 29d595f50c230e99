import chainer_compat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evaluator import Evaluator, confusion_matrix, summarize

# Truth and prediction of eight pixels and four classes: class 3 is absent from the truth,
# class 2 is never predicted, one pixel is not labelled.
TRUTH = np.array([[[0, 0, 0, 1], [1, 2, -1, 0]]], np.int32)
PREDICTION = np.array([[[0, 0, 1, 1], [3, 0, 2, 0]]])


def as_scores(prediction: np.ndarray, n_class: int) -> np.ndarray:
    return np.eye(n_class, dtype=np.float32)[prediction].transpose(0, 3, 1, 2)


def worked_by_hand() -> Evaluator:
    evaluator = Evaluator(False, 4)
    evaluator.preparation(as_scores(PREDICTION, 4), TRUTH)
    return evaluator


def test_confusion_matrix_counts_truth_in_rows():
    expected = [[3, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert confusion_matrix(TRUTH, PREDICTION, 4).tolist() == expected


def test_accuracy_is_the_share_of_labelled_pixels():
    assert worked_by_hand().get_accuracy() == pytest.approx(4 / 7)


def test_iou_of_a_class_absent_from_the_truth_is_zero_in_a_batch():
    assert worked_by_hand().get_iou() == pytest.approx([3 / 5, 1 / 3, 0, 0])


def test_recall_is_over_the_pixels_of_the_class():
    assert worked_by_hand().get_ar() == pytest.approx([3 / 4, 1 / 2, 0, 0])


def test_precision_of_a_class_never_predicted_is_zero():
    assert worked_by_hand().get_ap() == pytest.approx([3 / 4, 1 / 2, 0, 0])


def test_absent_class_is_left_out_of_mean_iou():
    figures = summarize(confusion_matrix(TRUTH, PREDICTION, 4))
    assert figures["mean_iou"] == pytest.approx((3 / 5 + 1 / 3 + 0) / 3)
    assert np.isnan(figures["iou"][3])
    assert figures["pixels"].tolist() == [4, 2, 1, 0]


def test_dice_is_twice_the_overlap_over_the_sum_of_both_areas():
    # Class 0: 3 right, 4 true, 4 predicted; class 1: 1, 2, 2; class 2: 0, 1, 0.
    figures = summarize(confusion_matrix(TRUTH, PREDICTION, 4))
    assert figures["dice"][:3] == pytest.approx([6 / 8, 2 / 4, 0])
    assert np.isnan(figures["dice"][3])
    assert figures["mean_dice"] == pytest.approx((6 / 8 + 2 / 4 + 0) / 3)


def test_a_set_without_labelled_pixels_has_no_figures():
    figures = summarize(np.zeros((3, 3), np.int64))
    assert np.isnan(figures["mean_iou"]) and np.isnan(figures["pixel_accuracy"])
    assert np.isnan(figures["mean_dice"])


def test_confusion_matrix_refuses_a_class_outside_the_range():
    with pytest.raises(ValueError):
        confusion_matrix(np.array([4], np.int32), np.array([0]), 4)


@given(
    arrays(np.int32, (2, 3, 4), elements=st.integers(-1, 4)),
    arrays(np.int64, (2, 3, 4), elements=st.integers(0, 4)),
)
def test_figures_of_a_batch_are_the_chapters(truth, prediction):
    """The chapter's definition, class by class and pixel by pixel."""
    evaluator = Evaluator(False, 5)
    evaluator.preparation(as_scores(prediction, 5), truth)
    labelled = truth != -1
    t, p = truth[labelled], prediction[labelled]
    for c in range(5):
        hits = np.count_nonzero((t == c) & (p == c))
        in_truth, predicted = np.count_nonzero(t == c), np.count_nonzero(p == c)
        union = in_truth + predicted - hits
        assert evaluator.get_iou()[c] == (hits / union if in_truth else 0)
        assert evaluator.get_ar()[c] == (hits / in_truth if in_truth else 0)
        assert evaluator.get_ap()[c] == (
            hits / predicted if in_truth and predicted else 0
        )
    if t.size:
        assert evaluator.get_accuracy() == np.mean(t == p)
