"""Paths are printed as the user would type them."""

import ntpath

import pytest

from files import paths
from files.paths import from_here


def test_path_below_the_current_folder_is_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert from_here(str(tmp_path / "result" / "log")) == "result/log"


def test_path_far_away_is_absolute(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert from_here("/x") == "/x"
    assert from_here(str(tmp_path / "a" / "x")) == "../x"


@pytest.mark.parametrize("path", ["D:\\result", "C:\\x"])
def test_path_on_another_drive_is_absolute(monkeypatch, path):
    monkeypatch.setattr(paths.os, "path", ntpath)
    monkeypatch.setattr(ntpath, "abspath", ntpath.normpath)
    monkeypatch.setattr(ntpath, "relpath", lambda path: _other_drive())
    assert from_here(path) == path


def _other_drive():
    raise ValueError("path is on mount 'D:', start on mount 'C:'")
