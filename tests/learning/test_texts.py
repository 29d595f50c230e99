"""The two languages say the same things, and the places that they name are the right ones."""

import re
from pathlib import Path

import pytest

from learning.page_writer import read_text
from learning.source_places import PLACES, place

ROOT = Path(__file__).parents[2]


def test_both_languages_have_the_same_figures_and_words():
    english, japanese = read_text("en"), read_text("ja")
    assert english.keys() == japanese.keys()
    assert list(english["figures"]) == list(japanese["figures"])
    assert english["say"].keys() == japanese["say"].keys()
    for name, figure in english["figures"].items():
        assert figure.keys() == japanese["figures"][name].keys()
        placeholders = [
            sorted(
                re.findall(r"{{ (?!\").*?}}", " ".join(text["figures"][name]["text"]))
            )
            for text in (english, japanese)
        ]
        assert placeholders[0] == placeholders[1], name


@pytest.mark.parametrize(("language", "end"), [("en", r"[.!?](?:\s|$)"), ("ja", "。")])
def test_each_figure_is_explained_in_four_to_eight_sentences(language, end):
    for name, figure in read_text(language)["figures"].items():
        assert 4 <= len(re.findall(end, " ".join(figure["text"]))) <= 8, name


def test_the_placeholders_of_the_scripts_are_in_both_languages():
    english, japanese = read_text("en")["say"], read_text("ja")["say"]
    for key, words in english.items():
        if isinstance(words, str):
            names = set(re.findall(r"{\w+}", words))
            assert names == set(re.findall(r"{\w+}", japanese[key])), key
        else:
            assert len(words) == len(japanese[key]), key


@pytest.mark.parametrize("name", PLACES)
def test_each_place_is_the_line_that_is_meant(name):
    for thing, text in PLACES[name]:
        path, line = place(thing, text).split(":")
        found = (ROOT / path).read_text(encoding="utf-8").splitlines()[int(line) - 1]
        assert (text or thing.__name__) in found
