"""Run by test_gpu_emulated.py with an emulation of CuPy: trains, counts transfers, writes JSON.

python emulated_gpu.py OUT CONFIG [OPTION ...] [-- CONFIG [OPTION ...]] ...
"""

import itertools
import json
import sys

import chainer_compat

import chainer
import cupy
import numpy as np

import train
from evaluator import confusion_matrix
from layers.links import Deconvolution2D
from training.epoch_figures import EpochFigures, Validation
from training.loop import Updater


def count(calls: list, method):
    """A method that notes the transfers it makes: (to device, to host, bytes to host)."""

    def counted(self, *args):
        cupy.transfers.reset()
        result = method(self, *args)
        to_host = cupy.transfers.to_host
        calls.append((cupy.transfers.to_device.calls, to_host.calls, to_host.bytes))
        return result

    return counted


def trained(config: str, *options: str) -> dict:
    """One training; the transfers of its iterations and of the figures of its epochs."""
    methods = {
        "iterations": (Updater, "update"),
        "figures": (EpochFigures, "__call__"),
        "validations": (Validation, "evaluate"),
    }
    originals = {key: getattr(*place) for key, place in methods.items()}
    calls = {key: [] for key in methods}
    for key, (owner, name) in methods.items():
        setattr(owner, name, count(calls[key], originals[key]))
    train.main(["--config", config, *options])
    for key, (owner, name) in methods.items():
        setattr(owner, name, originals[key])
    return calls


def deconvolution() -> dict:
    """The chapter's last layer on the emulated GPU, and the memory that it took at most."""
    link = Deconvolution2D(3, 3, ksize=16, stride=4, pad=6)
    x = np.random.default_rng(0).normal(size=(2, 3, 20, 24)).astype(np.float32)
    expected = link(x).array
    link.to_device("@cupy:0")
    x = cupy.asarray(x)
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.used_bytes()
    y = link(x).array
    return {
        "error": float(abs(y.get() - expected).max()),
        "bytes": pool.total_bytes() - before,
        "column_bytes": 2 * 3 * 16 * 16 * 20 * 24 * 4,
    }


def confusion() -> dict:
    """A confusion matrix counted on both devices, and the transfers that made."""
    rng = np.random.default_rng(0)
    truth = rng.integers(-1, 3, (2, 8, 8), dtype=np.int32)
    prediction = rng.integers(0, 3, (2, 8, 8))
    on_gpu = cupy.asarray(truth), cupy.asarray(prediction)
    cupy.transfers.reset()
    result = confusion_matrix(*on_gpu, 3)
    transfers = cupy.transfers.to_device.calls + cupy.transfers.to_host.calls
    return {
        "gpu": result.get().tolist(),
        "cpu": confusion_matrix(truth, prediction, 3).tolist(),
        "transfers": transfers,
    }


if __name__ == "__main__":
    assert chainer.backends.cuda.available
    facts = {"deconvolution": deconvolution(), "confusion": confusion(), "runs": []}
    for is_run, words in itertools.groupby(sys.argv[2:], lambda word: word != "--"):
        if is_run:
            facts["runs"].append(trained(*words))
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(facts, file)
