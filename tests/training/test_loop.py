"""The learning rate by hand-computed values; a loss that diverges; the end of a training."""

import threading
from types import SimpleNamespace

import pytest
from tiny_run import TinyRun

import train
from files.errors import run_program
from training.distributed import OneProcess
from training.loop import LastEpoch, LearningRate, ReadingAhead

PARAMS = {
    "learning_rate": 0.8,
    "epochs": 2,
    "schedule": "constant",
    "poly_power": 2,
    "warmup_iterations": 0,
    "restarts": [],
}


def rates(**changes) -> list[float]:
    """The step size of each of 4 iterations: 2 epochs of 2."""
    rate = LearningRate(SimpleNamespace(**{**PARAMS, **changes}), batches=2)
    return [rate(iteration) for iteration in range(4)]


class TestLearningRate:
    def test_constant(self):
        assert rates() == [0.8] * 4

    def test_poly_falls_by_the_power_of_what_is_left(self):
        # 0.8 times 1, (3/4)^2, (2/4)^2, (1/4)^2
        assert rates(schedule="poly") == pytest.approx([0.8, 0.45, 0.2, 0.05])

    def test_poly_starts_again_after_an_epoch_of_restarts(self):
        # 0.8 times 1, (1/2)^2, and again
        expected = [0.8, 0.2, 0.8, 0.2]
        assert rates(schedule="poly", restarts=[1]) == pytest.approx(expected)

    def test_warm_up_rises_to_the_full_rate(self):
        # 1/4, 2/4, 3/4 and all of it
        assert rates(warmup_iterations=4) == pytest.approx([0.2, 0.4, 0.6, 0.8])

    def test_warm_up_is_a_factor_of_the_decaying_rate(self):
        expected = [0.8 / 2, 0.45, 0.2, 0.05]
        assert rates(schedule="poly", warmup_iterations=2) == pytest.approx(expected)


def test_training_with_fewer_epochs_than_were_trained_has_ended():
    trainer = SimpleNamespace(updater=SimpleNamespace(epoch=5))
    params = [SimpleNamespace(epochs=epochs, patience=0) for epochs in (4, 5, 6)]
    assert [LastEpoch(p, OneProcess())(trainer) for p in params] == [True, True, False]


@pytest.mark.parametrize(
    ("mious", "patience", "restarts", "ends"),
    [
        ([0.1, 0.3, 0.2], 2, [], False),
        ([0.1, 0.3, 0.2, 0.3], 2, [], True),  # equal is not better
        ([0.1, 0.3, 0.2, 0.3], 0, [], False),
        ([0.1, 0.3, 0.2, 0.2], 2, [3], False),  # counted from the restart
        ([0.1, 0.3, 0.2, 0.2, 0.2], 2, [3], True),
    ],
)
def test_training_ends_when_validation_has_not_risen_for_as_long_as_patience(
    mious, patience, restarts, ends
):
    log = [{"epoch": n, "validation/main/miou": m} for n, m in enumerate(mious, 1)]
    trainer = SimpleNamespace(
        updater=SimpleNamespace(epoch=len(log), is_new_epoch=True),
        get_extension=lambda _: SimpleNamespace(log=log),
    )
    params = SimpleNamespace(epochs=9, patience=patience, restarts=restarts)
    assert LastEpoch(params, OneProcess())(trainer) is ends


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("dtype", "rate", "lovasz"),
    [
        ("float32", 10, 0),
        ("float32", 10, 2),
        ("float32", 1e3, 2),
        ("float32", 1e18, 2),
        ("mixed16", 1e3, 2),
    ],
)
def test_loss_that_diverges_is_a_sentence_with_exit_code_2(
    small_data, capsys, dtype, rate, lovasz
):
    small_data.write_config(
        dtype=dtype,
        training_params={"learning_rate": rate, "lovasz": lovasz, "epochs": 9},
    )
    with pytest.raises(SystemExit) as caught:
        run_program(lambda: train.main(["--config", str(small_data.config_path)]))
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert "error: the loss is nan in epoch 1, iteration 2" in message
    assert "lower training_params.learning_rate" in message and "train_" in message


def test_loss_that_diverges_prints_no_warnings_of_numpy(small_data):
    run = TinyRun(small_data, training_params={"learning_rate": 1e18, "epochs": 2})
    assert run.finish() == 2
    assert "error: the loss is nan" in run.output
    assert "Warning" not in run.output


def test_threads_that_read_ahead_have_ended_with_the_iterator():
    reading, go_on = threading.Event(), threading.Event()

    class SlowFromTheThirdOn:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index >= 2:
                reading.set()
                go_on.wait(30)
            return index

    before = set(threading.enumerate())
    iterator = ReadingAhead(SlowFromTheThirdOn(), 2, n_threads=2, shuffle=False)
    assert iterator.next() == [0, 1]
    assert reading.wait(30)
    timer = threading.Timer(0.2, go_on.set)
    timer.start()
    iterator.finalize()
    timer.join()
    assert set(threading.enumerate()) <= before
