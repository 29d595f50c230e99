"""run.json tells what is needed to make a run again."""

import json

import chainer_compat

import chainer
from tiny_run import TinyRun

from mini_batch_loader import DatasetPreProcessor
from training.run_record import data_fingerprint


def test_start_of_a_run_is_recorded_with_its_command(small_data):
    run = TinyRun(small_data)
    for options in ((), ("--resume",)):
        run.here(*options)
        record = json.loads((run.out / "run.json").read_text())
        assert " train.py --config " in record["command"]
        assert record["command"].endswith(options or "config.yaml")
    assert record["versions"]["Chainer"] == "7.8.1"
    assert record["data"]["training"].startswith("5 images, ")
    assert "Chainer 7.8.1" in (run.out / "report.html").read_text(encoding="utf-8")


def test_fingerprint_of_the_data_tells_another_file_and_another_order(small_data):
    small_data.load()
    dataset = DatasetPreProcessor(chainer.global_config.user_val_args)
    prints = {data_fingerprint(dataset)}
    dataset.lines.reverse()
    prints.add(data_fingerprint(dataset))
    with open(small_data.images / "val_0_L.png", "ab") as file:
        file.write(b"more")
    prints.add(data_fingerprint(dataset))
    assert len(prints) == 3
