"""Each Japanese page says what its English one says: same headings, commands, numbers, tables and links."""

import os
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
JAPANESE = sorted((ROOT / "docs" / "ja").glob("*.md"))
PAGES = [(ROOT / "README.md", ROOT / "README.ja.md")]
PAGES += [(ROOT / "docs" / page.name, page) for page in JAPANESE]
# English writes small numbers as words, Japanese as digits. 1 is left out, which both use as an
# article ("one line a class", 1行に1クラス).
NUMBER_OF_WORD = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6"}
NUMBER_OF_WORD |= {"seven": "7", "eight": "8", "nine": "9", "ten": "10", "twelve": "12"}
NUMBER_OF_WORD |= {
    "zero": "0",
    "second": "2",
    "third": "3",
    "twice": "2",
    "double": "2",
}
NUMBER_OF_WORD |= {"sixteen": "16", "twenty": "20", "fifty": "50", "hundred": "100"}
NUMBER_OF_WORD |= {"quarter": "4", "twelfth": "12"}

pages = pytest.mark.parametrize(
    ("english", "japanese"), PAGES, ids=[page.stem for page, _ in PAGES]
)


def split(page: Path) -> tuple[str, list[str]]:
    """The prose of a page, and its lines of code."""
    lines = page.read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if line.startswith("    ")]
    return "\n".join(line for line in lines if line not in code), code


def headings(page: Path) -> list[str]:
    return re.findall(r"(?m)^(#+) ", split(page)[0])


def numbers(page: Path) -> Counter:
    prose = re.sub(
        r"\]\([^)]*\)", "]", split(page)[0]
    )  # links are compared by themselves
    prose = re.sub(r"(?m)^\d\. ", "", prose)
    words = re.findall(r"[a-z]+", prose.lower())
    found = re.findall(r"\d+(?:[.,]\d+)*", prose)
    found += [NUMBER_OF_WORD[word] for word in words if word in NUMBER_OF_WORD]
    return Counter(number for number in found if number != "1")


def tables(page: Path) -> list[tuple[int, int]]:
    """(rows, columns) of each table."""
    blocks = re.findall(r"(?m)(?:^\|.*\|\n)+", split(page)[0] + "\n")
    return [(block.count("\n"), len(cells(block))) for block in blocks]


def cells(block: str) -> list[str]:
    return re.split(r"(?<!\\)\|", block.splitlines()[1])[1:-1]


def links(page: Path) -> Counter:
    """The English pages and the other files that a page links to, and the pictures it shows."""
    found = Counter()
    for url in re.findall(r"\]\(([^)]*)\)", split(page)[0]):
        path, _, place = url.partition("#")
        target = os.path.relpath(page.parent / path, ROOT).replace(os.sep, "/")
        found[target.replace("docs/ja/", "docs/").replace(".ja.md", ".md"), place] += 1
    return found


@pages
def test_headings_are_the_same(english, japanese):
    assert headings(japanese) == headings(english)


@pages
def test_commands_and_code_are_the_same(english, japanese):
    assert split(japanese)[1] == split(english)[1]


@pages
def test_numbers_are_the_same(english, japanese):
    here, there = numbers(japanese), numbers(english)
    assert here - there == there - here == Counter()


@pages
def test_tables_have_the_same_rows_and_columns(english, japanese):
    assert tables(japanese) == tables(english)


@pages
def test_links_lead_to_the_same_pages(english, japanese):
    assert links(japanese) == links(english)


@pages
def test_each_language_leads_to_the_other(english, japanese):
    for page, other in ((english, japanese), (japanese, english)):
        path = os.path.relpath(other, page.parent).replace(os.sep, "/")
        assert f"]({path})" in page.read_text(encoding="utf-8")
