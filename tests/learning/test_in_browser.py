"""The page in a real browser: no error, what clicks and sliders change, numbers equal to the code's."""

import json
import re
import shutil
import subprocess

import chainer_compat

import numpy as np
import pytest
from test_learn import make_run

import learn
from evaluator import class_figures, summarize
from fcn_squeeze import FCN
from learning import checkerboard, layer_table

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, _BROWSERS)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")

OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=5000",
    "--dump-dom",
]

# Runs in the page after its own scripts; what it returns comes back to the test.
REPORT = """
<script id="report" type="application/json"></script>
<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
const type = (id, value) => {
  byId(id).value = value;
  byId(id).dispatchEvent(new Event("input", { bubbles: true }));
};
const text = (id) => byId(id).textContent;
const cells = (id) => [...byId(id).rows].map((row) => [...row.cells].map((c) => c.textContent));
const act = () => { %s };
let found;
try { found = act(); } catch (error) { errors.push(String(error)); }
byId("report").textContent = JSON.stringify({ found, errors });
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The English page of an untrained network of 3 classes, and the Japanese one."""
    from conftest import SmallData

    folder = tmp_path_factory.mktemp("learn") / "set"
    data = SmallData(folder, train=3, val=1, test=1, size=(64, 96))
    out = make_run(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkerboard, "_STEPS", (0, 1, 2))
        learn.main(["--config", str(data.config_path)])
    return out


def in_browser(folder, script: str, name: str = "learn.html", width: int = 1400):
    """What a script returns at the end of a page."""
    text = (folder / name).read_text(encoding="utf-8")
    path = folder / "test.html"
    path.write_text(
        text.replace("</body>", REPORT % script + "</body>"), encoding="utf-8"
    )
    run = subprocess.run(
        [BROWSER, *OPTIONS, f"--window-size={width},900"]
        + [f"--user-data-dir={folder / 'profile'}", path.as_uri()],
        check=False,
        capture_output=True,
        timeout=120,
        encoding="utf-8",
    )
    assert "CONSOLE" not in run.stderr, run.stderr
    report = re.search(
        r'<script id="report"[^>]*>(.*?)</script>', run.stdout, re.DOTALL
    )
    answer = json.loads(report[1])
    assert answer["errors"] == []
    return answer["found"]


@pytest.mark.parametrize("dilated", [True, False])
def test_the_table_for_an_entered_size_equals_the_codes(page, dilated):
    script = f"""
      type("network", "{"dilated" if dilated else "first"}");
      type("size-height", 176);
      type("size-width", 240);
      byId("show-parts").click();
      return [...byId("layer-table").rows].map((row) =>
        [row.dataset.layer, ...[...row.cells].map((cell) => cell.textContent)]);
    """
    found = {row[0]: row[1:] for row in in_browser(page, script) if row[0]}
    layers = layer_table.layers_of(FCN(3, 3, dilated=dilated))
    rows = layer_table.table_of(layers, 176, 240)
    assert found.keys() == rows.keys()
    for name, row in rows.items():
        layer, cells = row.layer, found[name]
        assert cells[5] == " × ".join(map(str, (layer.in_maps, *row.size))), name
        assert cells[6] == " × ".join(map(str, (layer.maps, *row.out))), name
        figures = [float(cell) for cell in cells[10:]]
        assert figures == [row.field, row.jump, row.start], name
        if layer.kind != "concat":
            shape = [layer.ksize, layer.stride, layer.pad, layer.dilate]
            assert cells[1:5] == list(map(str, shape)), name
            assert cells[7] == f"{layer.parameters:,}", name
            products = float(cells[8].replace(",", ""))
            assert products == pytest.approx(row.multiplications / 1e6, abs=0.006), name


def test_a_size_that_does_not_fit_is_explained(page):
    script = 'type("size-height", 100); return text("size-message");'
    assert "multiples of 8" in in_browser(page, script)


def test_a_click_moves_the_receptive_field_that_the_code_computes(page):
    script = """
      type("field-layer", DATA.field.layers.indexOf("fire2"));
      const frame = byId("field-photo").getBoundingClientRect();
      const click = (row, column) => byId("field-photo").dispatchEvent(new MouseEvent("click", {
        clientX: frame.left + frame.width * (column + 0.5) / 96,
        clientY: frame.top + frame.height * (row + 0.5) / 64 }));
      const box = () => {
        const rect = [...byId("field-boxes").querySelectorAll("rect")].pop();
        return ["y", "height", "x", "width"].map((key) => Number(rect.getAttribute(key)));
      };
      click(30, 50);
      const clicked = box();
      const side = text("field-after-side");
      byId("field-photo").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown" }));
      return { clicked, moved: box(), message: text("field-message"), side };
    """
    found = in_browser(page, script)
    layers = layer_table.layers_of(FCN(3, 3))
    # fire2's pixels lie at 2 + 4 i of the photo: 30 and 50 belong to i = 7 and i = 12.
    for (low, high), start in zip(
        (layer_table.box(layers, "fire2", i, i) for i in (7, 12)), (0, 2), strict=True
    ):
        assert found["clicked"][start : start + 2] == [low, high - low + 1]
    assert found["moved"][0] == found["clicked"][0] + 4
    assert "fire2" in found["message"] and "19 × 19" in found["message"]
    assert re.fullmatch(r"\d+ × \d+", found["side"])


def test_the_sliders_of_the_checkerboard_count_the_writes(page):
    script = """
      const message = (kernel, stride) => {
        type("board-kernel", kernel);
        type("board-stride", stride);
        return text("board-message");
      };
      return [message(16, 4), message(15, 4), message(3, 5), writesPerPixel(3, 2, 3)];
    """
    even, uneven, holes, writes = in_browser(page, script)
    assert "Even" in even and "16 times" in even
    assert "between 9 and 16" in uneven
    assert "Holes" in holes
    assert writes == [1, 1, 2, 1, 2, 1, 1]


def test_a_phase_has_16_weights_and_every_fourth_output_pixel(page):
    script = """
      type("phase", 6);  // rows 1, columns 2
      const on = (id) => [...byId(id).children].flatMap((cell, i) =>
        cell.classList.contains("on") ? [[Math.floor(i / 16), i % 16]] : []);
      return { kernel: on("phase-kernel"), output: on("phase-output") };
    """
    found = in_browser(page, script)
    assert found["kernel"] == [[r, c] for r in range(1, 16, 4) for c in range(2, 16, 4)]
    # (Y + 6) mod 4 = 1 and (X + 6) mod 4 = 2.
    assert found["output"] == [[r, c] for r in range(3, 16, 4) for c in range(0, 16, 4)]


def test_painted_pixels_give_the_figures_of_the_evaluator(page):
    script = """
      document.querySelectorAll("#presets button")[1].click();
      document.querySelectorAll("#brushes input")[2].click();
      byId("predicted-cells").children[0].click();
      byId("truth-cells").children[35].dispatchEvent(
        new KeyboardEvent("keydown", { key: "4", bubbles: true }));
      byId("truth-cells").children[35].click();
      return { rows: cells("iou-table"), message: text("iou-message") };
    """
    found = in_browser(page, script)
    truth, predicted = np.zeros((2, 6, 6), int)
    truth[1:4, 1:4] = 1
    predicted[1:4, 2:5] = 1
    predicted[0, 0] = 2
    truth[5, 5] = 3
    confusion = np.zeros((5, 5), np.int64)
    np.add.at(confusion, (truth.ravel(), predicted.ravel()), 1)
    figures, summary = class_figures(confusion, absent=np.nan), summarize(confusion)
    for c, row in enumerate(found["rows"][1:6]):
        wanted = [figures[key][c] for key in ("recall", "precision", "iou")]
        wanted = ["–" if np.isnan(v) else f"{100 * v:.1f} %" for v in wanted]
        assert row[3:6] == wanted
    assert f"{100 * summary['pixel_accuracy']:.1f} %" in found["message"]
    assert found["rows"][6][5] == f"{100 * summary['mean_iou']:.1f} %"


def test_all_background_has_many_pixels_right_and_little_mean_iou(page):
    script = """
      document.querySelectorAll("#presets button")[0].click();
      return text("iou-message");
    """
    assert "88.9 %, mean IoU 17.8 %" in in_browser(page, script)


def test_arrow_keys_go_from_cell_to_cell(page):
    script = """
      const grid = byId("truth-cells");
      grid.children[0].focus();
      for (const key of ["ArrowRight", "ArrowDown"]) {
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      }
      return document.activeElement.dataset.index;
    """
    assert in_browser(page, script) == "7"


@pytest.mark.parametrize("name", ["learn.html", "learn.ja.html"])
def test_no_text_is_cut_and_every_picture_is_described_on_a_phone(page, name):
    # A headless window is never narrower than 500 pixels; the body can be.
    script = """
      document.documentElement.style.width = "390px";
      const wide = [...document.querySelectorAll("p, h1, h2, h3, figure, .controls")]
        .filter((item) => item.scrollWidth > item.clientWidth + 1 && !item.closest(".scroll"));
      const silent = [...document.images, ...document.querySelectorAll("svg, canvas")]
        .filter((item) => !(item.alt || item.ariaLabel || item.ariaHidden));
      return [document.body.scrollWidth, wide.length, silent.length];
    """
    width, cut, silent = in_browser(page, script, name, width=500)
    assert (cut, silent) == (0, 0)
    assert width <= 390
