"""Files of a run that were damaged or forged end in a sentence or are left out, never in a traceback."""

import copy
import itertools
import json
import math
import os

import pytest
from run_logs import log_of
from test_report import run_folder, write_scores  # noqa: F401  (a fixture)
from tiny_run import peak_memory

from evaluation.report import write_report
from evaluation.run_log import best_entry, read_config, read_log, read_scores, series
from files.errors import UserError

HOSTILE = [
    *(None, True, -1, 0.5, 1e308, float("inf"), float("nan"), 10**30, "x", ""),
    *("/dev/zero", "\x1b[2J", "a\0b", [], {}, [[]], {"a": {}}),
]


def damaged(value, others=None):
    """Copies of nested lists and dictionaries, in each of which one value is another."""
    others = others or itertools.cycle(HOSTILE)
    for key in list(value) if isinstance(value, dict) else range(min(len(value), 2)):
        for other in itertools.islice(others, 5):
            changed = copy.deepcopy(value)
            changed[key] = other
            yield changed
        shorter = copy.deepcopy(value)
        del shorter[key]
        yield shorter
        if isinstance(value[key], dict | list):
            for inner in damaged(value[key], others):
                changed = copy.deepcopy(value)
                changed[key] = inner
                yield changed


def test_damaged_scores_never_break_the_report(run_folder):  # noqa: F811
    scores = write_scores(run_folder)
    scores["confusion"] = []  # the report does not read it
    path = run_folder / "predict" / "scores.json"
    count = 0
    for changed in damaged(scores):
        path.write_text(json.dumps(changed))
        with open(write_report(str(run_folder)), encoding="utf-8") as file:
            assert "</html>" in file.read()
        count += 1
    assert count > 200


def test_damaged_logs_never_break_the_report(run_folder):  # noqa: F811
    count = 0
    for changed in damaged(log_of([0.1, 0.4], lr=0.001)):
        (run_folder / "log").write_text(json.dumps(changed))
        with open(write_report(str(run_folder)), encoding="utf-8") as file:
            assert "</html>" in file.read()
        count += 1
    assert count > 50


@pytest.mark.parametrize(
    "content",
    [b"", b"[", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b"[{}]", b"1" * 5000],
)
def test_what_is_no_log_or_no_scores_is_a_sentence(tmp_path, content):
    (tmp_path / "log").write_bytes(content)
    (tmp_path / "predict").mkdir()
    (tmp_path / "predict" / "scores.json").write_bytes(content)
    with pytest.raises(UserError, match="a log of a training"):
        read_log(str(tmp_path))
    with pytest.raises(UserError, match="the scores of a model"):
        read_scores(str(tmp_path))


def test_a_pipe_in_place_of_a_file_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "log")
    with pytest.raises(UserError, match="log is a folder, pipe or device"):
        read_log(str(tmp_path))
    (tmp_path / "predict").mkdir()
    for name in ("curves.png", "predict/scores.json", "predict/best.png"):
        os.mkfifo(tmp_path / name)
    write_report(str(tmp_path))


def test_numbers_that_cannot_be_drawn_are_nan(tmp_path):
    log = log_of([0.1, float("inf"), 1e308, float("nan")])
    (tmp_path / "log").write_text(json.dumps(log))
    first, *others = series(read_log(str(tmp_path)), "validation/main/miou")
    assert first == 0.1
    assert all(map(math.isnan, others))


@pytest.mark.parametrize("text", ["", "a", "- 1", "a: [", "a: 1\na: 2", "\0"])
def test_a_broken_configuration_is_a_sentence(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml"):
        read_config(str(tmp_path))


def test_best_epoch_is_the_first_of_equals_and_never_nan():
    assert best_entry(log_of([0.1, 0.3, 0.3, math.nan])) == 1
    assert best_entry(log_of([math.nan, 0.1, math.nan, 0.3, 0.2])) == 3
    assert best_entry(log_of([math.nan])) == 0


@pytest.mark.parametrize(
    "text",
    [
        '{"images":[' + "{}," * 400_000 + "{}]}",
        '{"confusion":[[' + "-1," * 400_000 + "-1]]}",
        "[" * 100_000,
        '{"time": ' + "9" * 5000 + "}",
        '{"chosen_on": ' + "9" * 400 + ', "scales": [' + "9" * 400 + "]}",
    ],
)
def test_scores_of_very_many_faults_take_little_memory(tmp_path, text):
    """10 MB of them took 2 to 5 GB."""
    (tmp_path / "predict").mkdir()
    (tmp_path / "predict" / "scores.json").write_text(text)
    message, memory = peak_memory(refusal_of, str(tmp_path))
    assert "not the scores of a model" in message
    assert memory < 100


def refusal_of(folder: str) -> str:
    with pytest.raises(UserError) as caught:
        read_scores(folder)
    return str(caught.value)
