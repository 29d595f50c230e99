import argparse
import os
import shlex
from types import SimpleNamespace

import pytest

from files.command_line import add_config_arguments, command
from files.paths import PROJECT


@pytest.mark.parametrize("uv, start", [("/bin/uv", "uv run"), (None, "python")])
def test_next_command_is_the_one_that_works_where_this_one_did(monkeypatch, uv, start):
    monkeypatch.delenv("UV", raising=False)
    if uv:
        monkeypatch.setenv("UV", uv)
    arguments = SimpleNamespace(config="my config.yaml", set=["seed=1"])
    assert command("train.py", arguments, "--resume") == (
        f"{start} train.py --config 'my config.yaml' --set seed=1 --resume"
    )


def test_next_command_works_from_another_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = SimpleNamespace(config="my.yaml", set=[])
    monkeypatch.delenv("UV", raising=False)
    start, path, *others = shlex.split(command("train.py", arguments))
    assert (start, others) == ("python", ["--config", "my.yaml"])
    assert os.path.samefile(path, PROJECT / "train.py")
    monkeypatch.setenv("UV", "/bin/uv")
    words = shlex.split(command("train.py", arguments))
    assert words[:3] == ["uv", "run", "--project"]
    assert os.path.samefile(words[3], PROJECT)


def test_without_config_it_is_the_one_beside_the_program(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    path = parser.parse_args([]).config
    assert os.path.samefile(path, PROJECT / "config.yaml")
