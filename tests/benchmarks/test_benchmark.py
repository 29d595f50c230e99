"""The benchmark's contenders are one network, and its tables say what was measured."""

import builtins
import sys
from unittest import mock

import chainer_compat

import numpy as np
import pytest

import fcn_squeeze
from benchmarks import benchmark, contenders


@pytest.fixture
def weights(tmp_path):
    path = str(tmp_path / "weights.npz")
    contenders.save_weights(5, path)
    return path


def test_contenders_have_the_same_first_loss(weights, monkeypatch):
    arguments = 2, 5, (32, 48), weights
    ours = contenders.ThisProject(*arguments)
    loss = ours.loss()
    for name in (
        "L",
        "F",
        "squeeze_expand_elu",
        "convolve_pool_elu",
        "softmax_cross_entropy",
        "weighted_cross_entropy",
    ):  # to be put back after the test
        monkeypatch.setattr(fcn_squeeze, name, getattr(fcn_squeeze, name))
    stock = contenders.StockChainer(*arguments)
    layers = [link for link in stock.model.links() if "W" in vars(link)]
    assert len(layers) == 32
    assert all(type(link).__module__.startswith("chainer.links") for link in layers)
    assert stock.loss() == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("name", benchmark.NEEDS)
def test_other_engines_compute_the_same_scores(weights, name):
    for package in benchmark.NEEDS[name]:
        pytest.importorskip(package)
    arguments = 2, 5, (32, 48), weights
    ours, other = contenders.ThisProject(*arguments), benchmark.KINDS[name](*arguments)
    assert other.loss() == pytest.approx(ours.loss(), rel=1e-5)
    for images in (1, 2):
        expected = ours.scores(ours.x[:images]).array
        found = np.asarray(other.scores(other.x[:images]))
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert all(getattr(other, question)() > 0 for question in other.questions)


class Answers:
    """A contender that was asked already: a batch of 2, seconds of each question."""

    def __init__(self, **seconds):
        self.questions, self.seconds, self.batch = tuple(seconds), seconds, 2
        self.about = {"loss": 3.5, "flop": {"step": 3e9, "forward": 1e9}}

    milliseconds = benchmark.Contender.milliseconds

    def ask(self, question):
        return 2e9

    def peak(self):
        return 1e12


def test_the_table_gives_milliseconds_an_image_and_leaves_training_of_engines_out():
    asked = {
        "stock Chainer": Answers(step=[0.8], forward=[0.4], photo=[0.3]),
        "this project": Answers(step=[0.04], forward=[0.02], photo=[0.015]),
        "OpenVINO": Answers(forward=[0.03], photo=[0.012]),
    }
    *_, ours, engine = benchmark.table(asked).splitlines()
    cells = [cell.strip() for cell in ours.split("|")[1:-1]]
    step = ["20.0 (20.0 to 20.0)", "15%", "0.05"]
    forward = ["10.0 (10.0 to 10.0)", "10%", "0.05"]
    photo = ["15.0 (15.0 to 15.0)", "0.05"]
    assert cells == ["this project", *step, *forward, *photo, "2.00 GB", "3.50000"]
    assert engine.split("|")[2:5] == ["  ", "  ", "  "]


def test_work_of_the_design_document_is_counted(weights):
    ours = contenders.ThisProject(1, 5, (32, 48), weights)
    macs = contenders._macs(ours.model, (32, 48))
    assert macs["/conv1"] == 96 * 3 * 7 * 7 * 16 * 24
    assert macs["/fire5/conv3"] == 128 * 32 * 3 * 3 * 4 * 6
    assert macs["/upsample_final"] == 5 * 5 * 16 * 16 * 8 * 12
    assert len(macs) == 32
    flop = ours.about()["flop"]
    assert flop["step"] == 3 * flop["forward"] - 2 * macs["/conv1"]


def test_layers_cover_the_network(weights):
    ours = contenders.ThisProject(1, 5, (32, 48), weights)
    layers = dict(ours.layers())
    assert {"/fire9/conv3", "/upsample_final", "_ELU", "_MaxPooling2D"} < set(layers)
    (forward, flop), (backward, _) = layers["/conv1"]
    assert min(forward, backward) > 0
    text = benchmark.layer_table(list(layers.items()), 1e9, 1)
    assert len(text.splitlines()) == 2 + len(layers)
    assert flop == 2 * contenders._macs(ours.model, (32, 48))["/conv1"]


def test_spread_is_median_fastest_and_slowest():
    assert benchmark.spread([3.0, 1.04, 2.0]) == "2.0 (1.0 to 3.0)"


def test_batch_must_be_positive(capsys):
    with pytest.raises(SystemExit):
        benchmark.parse_arguments(["--batch", "0"])
    with pytest.raises(SystemExit):
        benchmark.parse_arguments(["--size", "100", "240"])
    assert "multiples of 16" in capsys.readouterr().err


def test_same_weights_for_all(weights):
    with np.load(weights, allow_pickle=False) as stored:
        first = stored["conv1/W"].copy()
    contenders.save_weights(5, weights)
    with np.load(weights, allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["conv1/W"], first)


def test_peak_memory_is_the_systems_figure():
    resource = pytest.importorskip("resource")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    assert contenders.peak_memory() == pytest.approx(used * unit, rel=0.5)


def test_peak_memory_on_windows_is_the_peak_working_set(monkeypatch):
    def no_file(*args, **kwargs):
        raise FileNotFoundError

    process = mock.Mock(**{"memory_info.return_value": mock.Mock(peak_wset=1234)})
    monkeypatch.setattr(builtins, "open", no_file)
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(contenders.psutil, "Process", lambda: process)
    assert contenders.peak_memory() == 1234


def test_a_contender_answers_from_a_process_of_its_own(weights):
    args = benchmark.parse_arguments(
        ["--batch", "1", "--n-class", "5", "--size", "32", "48"]
    )
    contender = benchmark.Contender("this project", args, weights)
    loss = contender.ask("loss")
    contender.close()
    ours = contenders.ThisProject(1, 5, (32, 48), weights)
    assert loss == pytest.approx(ours.loss())
