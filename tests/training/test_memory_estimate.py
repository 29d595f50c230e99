"""A training that cannot fit into memory is refused before it starts."""

import chainer_compat

import chainer
import numpy as np
import pytest

import train
from fcn_squeeze import FCN
from files.errors import UserError
from files.opencv import cv2
from training import memory_estimate
from training.loop import Updater

GIB = 2**30


def test_what_fits_is_not_refused_and_what_does_not_is(monkeypatch):
    batch = 32, 20, (176, 240)  # measured: 0.91 to 1.05 GB
    monkeypatch.setattr(memory_estimate, "machine_memory", lambda: 2 * GIB)
    assert memory_estimate.refuse_too_much(*batch) is None
    monkeypatch.setattr(memory_estimate, "machine_memory", lambda: GIB // 2)
    with pytest.raises(UserError):
        memory_estimate.refuse_too_much(*batch)


def test_batch_that_cannot_fit_names_the_keys(monkeypatch):
    monkeypatch.setattr(memory_estimate, "machine_memory", lambda: 2 * GIB)
    with pytest.raises(UserError) as caught:
        memory_estimate.refuse_too_much(32, 1000, (176, 240))
    message = str(caught.value)
    assert "1,000 images of 240 x 176 pixels" in message
    assert "this machine has 2.0 GiB" in message
    assert "lower training_params.batch_size, image_scale" in message


def test_scaled_batches_count_as_large_as_they_become(monkeypatch):
    monkeypatch.setattr(memory_estimate, "machine_memory", lambda: 2 * GIB)
    memory_estimate.refuse_too_much(3, 20, (176, 240), 1.5)
    with pytest.raises(UserError, match="batch_size"):
        memory_estimate.refuse_too_much(3, 20, (176, 240), 3)


def test_validation_images_count_where_they_are_much_larger(monkeypatch):
    """Measured, forward alone, of 1920 x 1440 pixels at 3 classes: 0.53 GB."""
    monkeypatch.setattr(memory_estimate, "machine_memory", lambda: GIB)
    batch = 3, 2, (176, 240), 1.0
    memory_estimate.refuse_too_much(*batch, 1, (1440, 1920))
    with pytest.raises(UserError, match="validate with 4 images of 1920 x 1440"):
        memory_estimate.refuse_too_much(*batch, 4, (1440, 1920))


def test_average_of_weights_has_two_copies_more(monkeypatch):
    """288 values for each of a million pairs of classes, 4 bytes: 1.07 GiB a copy."""
    monkeypatch.setattr(memory_estimate, "machine_memory", lambda: 5 * GIB)
    memory_estimate.refuse_too_much(1000, 1, (16, 16))
    with pytest.raises(UserError, match=r"1,000 classes takes at least 6\.5 GiB"):
        memory_estimate.refuse_too_much(1000, 1, (16, 16), is_averaged=True)


def test_larger_validation_image_is_refused_before_the_training(
    small_data, monkeypatch
):
    image = np.zeros((320, 480, 3), np.uint8)
    cv2.imwrite(str(small_data.images / "val_0.png"), image)
    cv2.imwrite(
        str(small_data.images / "val_0_L.png"),
        cv2.resize(
            cv2.imread(str(small_data.images / "val_0_L.png")),
            (480, 320),
            interpolation=cv2.INTER_NEAREST,
        ),
    )
    monkeypatch.setattr(memory_estimate, "machine_memory", lambda: 28 * 2**20)
    with pytest.raises(UserError, match="validate with 1 image of 480 x 320"):
        train.main(["--config", str(small_data.config_path)])


def test_table_of_too_many_classes_is_refused(monkeypatch):
    # 288 kernels' values for each of 25 million pairs of classes, 4 bytes, 4 copies: 107 GiB.
    monkeypatch.setattr(memory_estimate, "machine_memory", lambda: 64 * GIB)
    with pytest.raises(UserError, match=r"5,000 classes takes at least 107\.3 GiB"):
        memory_estimate.refuse_too_much(5000, 1, (16, 16))


def test_number_of_parameters_is_the_networks(small_data):
    parameters = sum(param.size for param in FCN(100, 3).params())
    estimate = (
        memory_estimate._PARAMETERS
        + memory_estimate._PARAMETERS_A_PAIR_OF_CLASSES * 100**2
    )
    assert estimate == pytest.approx(parameters, rel=0.05)


def test_train_refuses_before_it_makes_anything(small_data, monkeypatch):
    monkeypatch.setattr(memory_estimate, "machine_memory", lambda: 4 * 2**20)
    with pytest.raises(UserError, match="label_path: a network of 3 classes"):
        train.main(["--config", str(small_data.config_path)])
    monkeypatch.setattr(memory_estimate, "machine_memory", lambda: 12 * 2**20)
    with pytest.raises(UserError, match="with 2 images of 48 x 32 pixels"):
        train.main(["--config", str(small_data.config_path)])
    assert not (small_data.folder / "result").exists()


def test_memory_that_runs_out_all_the_same_is_a_sentence(small_data, monkeypatch):
    def full(*arguments):
        raise MemoryError

    monkeypatch.setattr(Updater, "_finite_loss", full)
    with pytest.raises(
        UserError, match="iteration 1; lower training_params.batch_size"
    ):
        train.main(["--config", str(small_data.config_path)])


def test_memory_that_runs_out_in_validation_is_a_sentence(small_data, monkeypatch):
    forward = FCN.forward

    def full_in_validation(model, x, t):
        if not chainer.config.train:
            raise MemoryError
        return forward(model, x, t)

    monkeypatch.setattr(FCN, "forward", full_in_validation)
    with pytest.raises(
        UserError, match="in validation for images of 48 x 32 pixels, 1 at"
    ):
        train.main(["--config", str(small_data.config_path)])
