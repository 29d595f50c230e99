"""The average of the weights by hand; that it is what a run validates and stores, and goes on with."""

import chainer_compat

import chainer
import numpy as np
import pytest
from conftest import stored_weights
from tiny_run import TinyRun

from training.weight_average import WeightAverage


def link(*values, dtype="f4") -> chainer.Link:
    made = chainer.Link()
    with made.init_scope():
        made.W = chainer.Parameter(np.array(values, dtype))
    return made


def test_average_forgets_the_start_fast_and_then_by_its_decay():
    average = WeightAverage(link(100), decay=0.5)
    # Step 1 counts 1 - 2/11 of the average, step 20 (after which 21/30 > 0.5) a half.
    average.update(link(1), step=1)
    expected = 100 * 2 / 11 + 1 * 9 / 11
    assert average.model.W.array == pytest.approx(expected)
    average.update(link(7), step=20)
    assert average.model.W.array == pytest.approx((expected + 7) / 2)


def test_without_a_decay_the_model_stands_for_itself():
    model = link(1)
    average = WeightAverage(model, decay=0)
    average.update(model, step=1)
    assert average.model is model


def test_average_begins_again_from_the_weights_of_another_model():
    average = WeightAverage(link(100), decay=0.5)
    average.restart(link(4))
    assert average.model.W.array == pytest.approx(4)
    average.update(link(6), step=20)
    assert average.model.W.array == pytest.approx(5)


def test_small_changes_of_float16_weights_add_up():
    average = WeightAverage(link(1, dtype="f2"), decay=0.999)
    for _ in range(2000):
        average.update(link(1.125, dtype="f2"), step=10**6)
    expected = 1.125 - 0.125 * 0.999**2000
    assert average.model.W.dtype == np.float16
    assert average.model.W.array == pytest.approx(expected, abs=1e-3)


def test_run_stores_the_average_and_a_resumed_one_the_same_bytes(small_data):
    run = TinyRun(small_data, training_params={"epochs": 2, "weight_average": 0.9})
    run.here()
    log, models = run.results()
    final = stored_weights(run.out / "model" / "fcn_final.npz")
    with np.load(run.snapshots()[-1]) as snapshot:
        for name, value in final.items():
            np.testing.assert_array_equal(snapshot[f"updater/average/{name}"], value)
        trained = snapshot["updater/model:main/conv1/W"]
    assert not np.array_equal(final["conv1/W"], trained)
    (run.out / "model" / "fcn_final.npz").unlink()
    run.here("--resume", str(run.snapshots()[0]))
    assert run.results() == (log, models)
