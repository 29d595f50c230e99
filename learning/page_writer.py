"""Writes learn.html and learn.ja.html, each one file that needs nothing else; learn.py calls it."""

import os
from pathlib import Path

import markupsafe
import yaml

from evaluation.report import page_environment
from files import whole_file
from files.progress_bar import progress_bar
from files.text_table import percent
from learning import (
    augmented,
    branches,
    checkerboard,
    feature_maps,
    kernels,
    layer_table,
    loss_gradients,
    normalization,
    receptive_field,
)
from learning.pictures import jpeg
from learning.source_places import places
from learning.subject import Subject, new_network

_FOLDER = Path(__file__).resolve().parent
FILES = {"en": "learn.html", "ja": "learn.ja.html"}
_SCRIPTS = ("layers", "field", "checkerboard", "phases", "iou")


def write_pages(subject: Subject) -> list[str]:
    """Compute all figures and write a page in each language; gives the paths of the pages.

    Raises:
        UserError: a page cannot be written, or an image cannot be read.
    """
    figures = compute_figures(subject)
    texts = {language: read_text(language) for language in FILES}
    paths = []
    for language, name in FILES.items():
        (other,) = FILES.keys() - {language}
        link = {"file": FILES[other], **texts[other]}
        path = os.path.join(subject.args.output_path, name)
        whole_file.write_text(path, render(subject, figures, texts[language], link))
        paths.append(path)
    return paths


def compute_figures(subject: Subject) -> dict[str, dict]:
    """The figures' data by the name that the template has for it."""
    modules = {
        "field": receptive_field,
        "maps": feature_maps,
        "branches": branches,
        "checkerboard": checkerboard,
        "kernels": kernels,
        "normalization": normalization,
        "loss": loss_gradients,
        "augmentation": augmented,
    }
    steps = progress_bar(modules.items(), len(modules), "figure")
    return {name: module.figure(subject) for name, module in steps}


def read_text(language: str) -> dict:
    """All that a page says, from learning/texts."""
    path = _FOLDER / "texts" / f"{language}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def render(subject: Subject, figures: dict[str, dict], text: dict, other: dict) -> str:
    """A page as HTML.

    Args:
        figures: as compute_figures() gives them.
        text: as read_text() gives it.
        other: file, lang and title of the page in the other language.
    """
    environment = page_environment(_FOLDER / "page")
    values = _values(subject, figures)

    def fill(words: str) -> markupsafe.Markup:
        """A text of this project, with the figures' values in it, escaped."""
        return markupsafe.Markup(environment.from_string(words).render(**values))

    environment.filters["fill"] = fill
    template = environment.get_template("page.html.j2")
    return template.render(
        **values,
        text=text,
        say=text["say"],
        other=other,
        places=places(),
        loop_number={name: n for n, name in enumerate(text["figures"], 1)},
        style=markupsafe.Markup(_read("style.css")),
        scripts=[markupsafe.Markup(_read(f"{name}.js")) for name in _SCRIPTS],
        data=_data(subject, figures, text),
    )


def _read(name: str) -> str:
    return (_FOLDER / "page" / name).read_text(encoding="utf-8")


def _values(subject: Subject, figures: dict[str, dict]) -> dict:
    """What the template and the texts can name."""
    height, width = subject.photo.shape[:2]
    rows = layer_table.table_of(layer_table.layers_of(subject.model), height, width)
    last = rows["upsample_final"]
    products = sum(row.multiplications for row in rows.values())
    boards = [run["states"] for run in figures["checkerboard"]["runs"]]
    agreement = figures["normalization"]["agreement"]
    return {
        **figures,
        "name": subject.name,
        "height": height,
        "width": width,
        "photo": jpeg(subject.photo, 92),
        "dilated": subject.args.dilated,
        "classes": _legend(subject),
        "table_text": layer_table.as_text(rows),
        "field_size": last.field,
        "last_share": percent(last.multiplications / products, 0),
        "kernel_count": rows["conv1"].layer.maps,
        "maps_shown": len(figures["maps"]["layers"][0]["maps"]),
        "board_start": percent(boards[0][0]["unevenness"]),
        "board_end": [percent(states[-1]["unevenness"]) for states in boards],
        "agreement": {name: percent(share) for name, share in agreement.items()},
    }


def _legend(subject: Subject) -> list[dict]:
    table = subject.args.label_table
    return [
        {"name": name, "color": color.tolist()}
        for number, (name, color) in enumerate(
            zip(table.names, table.colors, strict=True)
        )
        if number not in table.ignored
    ]


def _data(subject: Subject, figures: dict[str, dict], text: dict) -> dict:
    """What the page's scripts read."""
    height, width = subject.photo.shape[:2]
    networks = {"dilated": True, "first": False}
    field = figures["field"]
    layers = {
        name: layer_table.layers_of(new_network(subject.args, dilated=dilated))
        for name, dilated in networks.items()
    }
    return {
        "layers": {
            n: [row._asdict() for row in of.values()] for n, of in layers.items()
        },
        "network": "dilated" if subject.args.dilated else "first",
        "height": height,
        "width": width,
        "field": {key: field[key] for key in field.keys() - {"before", "after"}},
        "say": text["say"],
    }
