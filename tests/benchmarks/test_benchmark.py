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
    for name in ("L", "F", "convolve_elu"):  # to be put back after the test
        monkeypatch.setattr(fcn_squeeze, name, getattr(fcn_squeeze, name))
    stock = contenders.StockChainer(*arguments)
    layers = [link for link in stock.model.links() if "W" in vars(link)]
    assert len(layers) == 32
    assert all(type(link).__module__.startswith("chainer.links") for link in layers)
    assert stock.loss() == pytest.approx(loss, rel=1e-6)
    pytest.importorskip("torch")
    for name in ("PyTorch", "PyTorch, channels last"):
        contender = benchmark.KINDS[name](*arguments)
        assert contender.loss() == pytest.approx(loss, rel=1e-5)


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
