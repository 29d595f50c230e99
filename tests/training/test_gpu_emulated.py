"""The GPU code path on a machine without a GPU: Chainer's CUDA kernels, compiled for the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import chainer_compat

import chainer
import chainer.functions as F
import numpy as np
import pytest
from conftest import EMULATION, ROOT, SmallData, emulated, stored_weights

import train
from files.errors import UserError
from layers.device import choose_device
from layers.gpu_deconvolution import deconvolution_2d

RECIPE = [
    word
    for pair in (
        "bypass=true",
        "training_params.schedule=poly",
        "training_params.class_weights=0.5",
        "training_params.lovasz=0.5",
    )
    for word in ("--set", pair)
]


class Runs:
    """21 iterations on both devices, 2 epochs with a change of device, and in mixed precision."""

    def __init__(self, folder: Path):
        self.data = SmallData(folder / "set", train=5, val=2, test=1, size=(32, 48))
        self.config = str(self.data.write_config(training_params={"epochs": 7}))
        self.train_on_cpu("cpu")
        self.train_on_cpu("to_gpu", *epochs(1))
        runs = {
            "gpu": ["--set", "training_params.snapshot_epochs=9"],
            "to_gpu": [*epochs(2), "--resume"],
            "to_cpu": epochs(1),
            "mixed": [*epochs(2), "--set", "dtype=mixed16"],
            "mixed_half": [*epochs(1), "--set", "dtype=mixed16"],
            "recipe_gpu": [*epochs(2), *RECIPE],
        }
        words = [
            word
            for name, options in runs.items()
            for word in (
                "--",
                self.config,
                *self.output(name),
                *options,
                "--set",
                "gpu=0",
            )
        ]
        resumed = runs["mixed"] + ["--resume", "--set", "gpu=0"]
        words += ["--", self.config, *self.output("mixed_half"), *resumed]
        facts = folder / "facts.json"
        path = os.pathsep.join([str(EMULATION), str(ROOT)])
        command = [sys.executable, str(ROOT / "tests" / "emulated_gpu.py"), str(facts)]
        subprocess.run(
            [*command, *words], env={**os.environ, "PYTHONPATH": path}, check=True
        )
        self.facts = json.loads(facts.read_text())
        self.calls = dict(zip(runs, self.facts["runs"]))
        self.train_on_cpu("to_cpu", *epochs(2), "--resume")
        self.train_on_cpu("recipe_cpu", *epochs(2), *RECIPE)

    def train_on_cpu(self, name: str, *options: str) -> None:
        train.main(["--config", self.config, *self.output(name), *options])

    @staticmethod
    def output(name: str) -> list[str]:
        return ["--set", f"output_path={name}"]

    def log(self, name: str) -> list[dict]:
        return json.loads((self.data.folder / name / "log").read_text())

    def losses(self, name: str) -> list[float]:
        keys = ("main/loss", "validation/main/loss")
        return [entry[key] for entry in self.log(name) for key in keys]

    def weights(self, name: str, epoch: int | str = "final") -> dict[str, np.ndarray]:
        return stored_weights(self.data.folder / name / "model" / f"fcn_{epoch}.npz")


def epochs(count: int) -> list[str]:
    return ["--set", f"training_params.epochs={count}"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("emulated"))


def distance(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    """Largest difference of two sets of weights, relative to the largest weight of its layer."""
    assert a.keys() == b.keys()
    return max(np.abs(a[k] - b[k]).max() / np.abs(b[k]).max() for k in a)


@emulated
class TestOneGpu:
    def test_an_iteration_sends_image_and_label_and_brings_back_one_scalar(self, runs):
        assert len(runs.calls["gpu"]["iterations"]) == 21
        assert {tuple(c) for c in runs.calls["gpu"]["iterations"]} == {(2, 1, 4)}

    def test_losses_and_confusion_matrix_cross_once_an_epoch(self, runs):
        inside, at_the_end = (0, 0, 0), (0, 3, 2 * 8 + 9 * 8)
        epoch = [inside, inside, at_the_end]
        assert [tuple(c) for c in runs.calls["gpu"]["figures"]] == epoch * 7
        # A validation is one batch: two transfers there.
        assert [c[1:] for c in runs.calls["gpu"]["validations"]] == [[2, 80]] * 7

    def test_losses_and_weights_of_21_iterations_are_those_of_the_cpu(self, runs):
        # Of two pixels that are equal but for rounding, max pooling may send the gradient to
        # the other one. In these images there are no such two.
        assert runs.losses("gpu") == pytest.approx(runs.losses("cpu"), rel=1e-4)
        assert distance(runs.weights("gpu"), runs.weights("cpu")) < 1e-4

    @pytest.mark.parametrize("name", ["to_gpu", "to_cpu"])
    def test_snapshot_of_one_device_goes_on_on_the_other(self, runs, name):
        losses = runs.losses("cpu")[:4]
        assert runs.losses(name) == pytest.approx(losses, rel=1e-4)
        assert distance(runs.weights(name), runs.weights("cpu", epoch=2)) < 1e-4

    def test_losses_of_the_recipe_are_those_of_the_cpu(self, runs):
        gpu, cpu = runs.losses("recipe_gpu"), runs.losses("recipe_cpu")
        np.testing.assert_allclose(gpu, cpu, rtol=1e-4)
        assert {tuple(c) for c in runs.calls["recipe_gpu"]["iterations"]} == {(2, 1, 4)}

    def test_confusion_matrix_is_counted_on_the_gpu(self, runs):
        confusion = runs.facts["confusion"]
        assert confusion["gpu"] == confusion["cpu"]
        assert confusion["transfers"] == 0

    def test_deconvolution_needs_no_column_buffer(self, runs):
        deconvolution = runs.facts["deconvolution"]
        assert deconvolution["error"] < 1e-5
        assert deconvolution["bytes"] < deconvolution["column_bytes"] / 2


@emulated
class TestMixedPrecision:
    def test_losses_are_those_of_float32_to_float16_rounding(self, runs):
        assert runs.losses("mixed") == pytest.approx(runs.losses("cpu")[:4], rel=5e-3)
        assert runs.losses("mixed") != runs.losses("gpu")[:4]

    def test_weights_are_float16(self, runs):
        assert {w.dtype for w in runs.weights("mixed").values()} == {np.dtype("f2")}

    def test_loss_and_gradients_are_checked_in_one_transfer(self, runs):
        assert {tuple(c) for c in runs.calls["mixed"]["iterations"]} == {(2, 1, 8)}

    def test_resumed_run_is_the_run_that_would_have_been(self, runs):
        assert runs.losses("mixed_half") == runs.losses("mixed")
        assert distance(runs.weights("mixed_half"), runs.weights("mixed")) == 0


class TestDeconvolution:
    """The rearranged deconvolution beside Chainer's own; it is the same code on both devices."""

    @pytest.mark.parametrize(
        "ksize, stride, pad",
        [
            ((16, 16), (4, 4), (6, 6)),
            ((4, 4), (2, 2), (1, 1)),
            ((8, 8), (4, 4), (2, 2)),
            ((6, 4), (3, 2), (5, 0)),
        ],
    )
    def test_result_and_gradients_are_chainers(self, ksize, stride, pad):
        rng = np.random.default_rng(0)
        arrays = [rng.normal(size=s) for s in ((2, 3, 5, 7), (3, 4, *ksize), (4,))]
        results = []
        for function in (F.deconvolution_2d, deconvolution_2d):
            x, W, b = inputs = [chainer.Variable(a) for a in arrays]
            y = function(x, W, b, stride, pad)
            gy = chainer.Variable(np.random.default_rng(1).normal(size=y.shape))
            results.append([y, *chainer.grad([y], inputs, [gy])])
        for ours, chainers in zip(*results):
            np.testing.assert_allclose(ours.array, chainers.array, rtol=0, atol=1e-12)


class TestNoGpu:
    def test_reason_of_cupy_is_given_in_one_line(self, monkeypatch):
        cuda = chainer.backends.cuda
        if cuda.available:
            pytest.skip("CuPy is installed")
        reason = ImportError("libcuda.so.1: cannot open\n shared object file")
        monkeypatch.setattr(cuda, "_resolution_error", reason)
        with pytest.raises(UserError) as caught:
            choose_device(3)
        assert str(caught.value) == (
            "gpu: 3 cannot be used: libcuda.so.1: cannot open shared object file; set gpu: -1 to "
            "use the CPU"
        )


@emulated
@pytest.mark.parametrize("dtype", ["float32", "mixed16"])
def test_loss_that_diverges_on_the_gpu_is_a_sentence(small_data, dtype):
    config = small_data.write_config(
        gpu=0,
        dtype=dtype,
        training_params={"learning_rate": 1e18, "lovasz": 2, "epochs": 9},
    )
    path = os.pathsep.join([str(EMULATION), str(ROOT)])
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "--config", str(config)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "error: the loss is nan in epoch 1, iteration 2" in done.stderr
    assert "Traceback" not in done.stderr
