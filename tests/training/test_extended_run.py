"""A finished run that is trained on is the run whose schedule restarts there, byte for byte."""

import functools
import os
import signal

import pytest
from tiny_run import TinyRun

from files.errors import UserError
from training.loop import Updater

POLY = {"schedule": "poly", "warmup_iterations": 2}


def die_at_iteration(number: int) -> None:
    """Kill this process before an iteration, counted from 0."""
    update = Updater.update_core

    def deadly(updater) -> None:
        if updater.iteration == number:
            os.kill(os.getpid(), signal.SIGKILL)
        update(updater)

    Updater.update_core = deadly


@pytest.fixture
def short_run(small_data):
    """2 epochs of 3 iterations."""
    return TinyRun(small_data, training_params={"epochs": 2, **POLY})


def test_extended_killed_and_resumed_run_is_the_one_with_a_restart(short_run, capsys):
    TinyRun(
        short_run.data, training_params={"epochs": 4, "restarts": [2], **POLY}
    ).here()
    expected = short_run.results()
    assert [round(entry["lr"], 6) for entry in expected[0]] == [
        # 0.001 * (what is left of the 6 iterations of each part) ** 0.9, after epochs of 3
        round(0.001 * left**0.9, 6)
        for left in (4 / 6, 1 / 6, 4 / 6, 1 / 6)
    ]

    TinyRun(short_run.data, training_params={"epochs": 2, **POLY})
    short_run.here("--overwrite")
    capsys.readouterr()
    for option, iteration in (("--extend=2", 6), ("--resume", 10)):
        kill = functools.partial(die_at_iteration, iteration)
        assert short_run.finish(option, prepare=kill) == -9
        assert "epochs: 4" in (short_run.out / "config.yaml").read_text()
    assert short_run.finish("--resume") == 0, short_run.output
    assert short_run.results() == expected
    assert short_run.here("--resume") == 0
    assert "finished already" in capsys.readouterr().out


def test_extension_says_what_it_does_to_the_learning_rate(short_run, capsys):
    short_run.here()
    short_run.here("--extend", "1")
    assert (
        "training on for 1 epoch, to epoch 3; the learning rate starts again at 0.001 and "
        "falls to 0" in capsys.readouterr().out
    )
    constant = ("--set", "training_params.schedule=constant")
    short_run.here("--overwrite", *constant)
    short_run.here("--extend", "1", *constant)
    assert "learning rate stays 0.001" in capsys.readouterr().out


def test_only_a_finished_run_can_be_extended(short_run):
    with pytest.raises(UserError, match="--extend: there is no run in .* to train on"):
        short_run.here("--extend", "1")
    short_run.here()
    kill = functools.partial(die_at_iteration, 10)
    assert short_run.finish("--extend", "3", prepare=kill) == -9
    with pytest.raises(UserError, match="has not finished yet: it has done 3 of 5"):
        short_run.here("--extend", "1")


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5"])
def test_number_of_further_epochs_is_a_positive_integer(short_run, capsys, number):
    with pytest.raises(SystemExit):
        short_run.here(f"--extend={number}")
    assert f"{number} is no number of epochs" in capsys.readouterr().err


def test_a_run_is_refused_before_any_table_is_printed(short_run, capsys):
    recipe = ("--set", "training_params.class_weights=0.5")
    short_run.here()
    for option in ((), ("--resume",)):
        capsys.readouterr()
        with pytest.raises(UserError, match="class_weights"):
            short_run.here(*option, *recipe)
        assert not capsys.readouterr().out
    short_run.here("--overwrite", *recipe)
    assert "class weights in the loss" in capsys.readouterr().out
