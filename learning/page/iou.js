// Figure 10: a 6 x 6 picture to paint, and its figures as evaluator.py computes them.
function confusionOf(truth, predicted, classes) {
  const counts = Array.from({ length: classes }, () => new Array(classes).fill(0));
  truth.forEach((t, i) => { counts[t][predicted[i]] += 1; });
  return counts;
}

function figuresOf(confusion) {
  const total = confusion.flat().reduce((a, b) => a + b, 0);
  const classes = confusion.map((row, c) => {
    const right = row[c];
    const inTruth = row.reduce((a, b) => a + b, 0);
    const predicted = confusion.reduce((sum, other) => sum + other[c], 0);
    if (inTruth === 0) return { inTruth, predicted, iou: null, recall: null, precision: null, dice: null };
    return {
      inTruth, predicted,
      iou: right / (inTruth + predicted - right), recall: right / inTruth,
      precision: predicted ? right / predicted : 0, dice: (2 * right) / (inTruth + predicted),
    };
  });
  const mean = (key) => {
    const present = classes.filter((c) => c.inTruth > 0);
    return present.reduce((sum, c) => sum + c[key], 0) / present.length;
  };
  const right = confusion.reduce((sum, row, c) => sum + row[c], 0);
  return { classes, accuracy: right / total, mean };
}

{
  const side = 6;
  const colors = ["#d8dde3", "#8e6bbf", "#2f7fd1", "#e0a100", "#3a9d5d"];
  const truthOfPreset = [
    0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  ];
  const block = (top, left) => Array.from({ length: 36 }, (_, i) => {
    const [row, column] = [Math.floor(i / side), i % side];
    return row >= top && row < top + 3 && column >= left && column < left + 3 ? 1 : 0;
  });
  const presets = {
    all_background: [truthOfPreset, new Array(36).fill(0)],
    shifted: [block(1, 1), block(1, 2)],
    perfect: [truthOfPreset, truthOfPreset],
  };
  const grids = { truth: [], predicted: [] };
  let brush = 1;
  let isPainting = false;

  const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)} %`);

  function showCells() {
    for (const [which, values] of Object.entries(grids)) {
      [...byId(`${which}-cells`).children].forEach((cell, i) => {
        cell.style.background = colors[values[i]];
        cell.style.color = values[i] === 1 || values[i] === 2 ? "#fff" : "#111";
        cell.textContent = say.letters[values[i]];
        cell.setAttribute("aria-label", `${Math.floor(i / side) + 1}, ${(i % side) + 1}: ${say.painted[values[i]]}`);
        cell.classList.toggle("wrong", which === "predicted" && values[i] !== grids.truth[i]);
      });
    }
  }

  function showFigures() {
    const { classes, accuracy, mean } = figuresOf(confusionOf(grids.truth, grids.predicted, colors.length));
    const table = byId("iou-table");
    table.replaceChildren(line(say.iou_columns, "th"));
    classes.forEach((c, i) => {
      const shares = [c.recall, c.precision, c.iou, c.dice].map(percent);
      table.append(line([say.painted[i], c.inTruth, c.predicted, ...shares], "td"));
    });
    const means = ["recall", "precision", "iou", "dice"].map((key) => percent(mean(key)));
    table.append(line([say.mean_present, "", "", ...means], "td", "sum"));
    byId("iou-message").textContent = say.iou_message
      .replace("{accuracy}", percent(accuracy)).replace("{iou}", percent(mean("iou")));
  }

  function show() {
    showCells();
    showFigures();
  }

  function paint(cell) {
    grids[cell.dataset.grid][Number(cell.dataset.index)] = brush;
    show();
  }

  function makeGrid(which) {
    const grid = byId(`${which}-cells`);
    for (let i = 0; i < side * side; i++) {
      const cell = element("button", { type: "button", "data-grid": which, "data-index": i, tabindex: i ? -1 : 0 });
      cell.addEventListener("click", () => paint(cell));
      grid.append(cell);
    }
    grid.addEventListener("pointerdown", (event) => {
      isPainting = true;
      if (event.target.dataset.grid) paint(event.target);
    });
    // A finger stays captured by the cell it came down on: ask which one it is over.
    grid.addEventListener("pointermove", (event) => {
      const cell = isPainting && document.elementFromPoint(event.clientX, event.clientY);
      if (cell && cell.dataset.grid === which) paint(cell);
    });
    grid.addEventListener("keydown", (event) => {
      const step = { ArrowUp: -side, ArrowDown: side, ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const from = Number(event.target.dataset.index);
      if (event.key >= "1" && event.key <= String(colors.length)) chooseBrush(Number(event.key) - 1);
      if (step === undefined) return;
      event.preventDefault();
      const to = grid.children[from + step];
      if (!to) return;
      event.target.tabIndex = -1;
      to.tabIndex = 0;
      to.focus();
    });
  }

  function chooseBrush(number) {
    brush = number;
    document.querySelectorAll("#brushes input")[number].checked = true;
  }

  say.painted.forEach((name, i) => {
    const label = element("label");
    const input = element("input", { type: "radio", name: "brush", value: i });
    input.addEventListener("change", () => { brush = i; });
    label.append(input, element("i", { style: `background: ${colors[i]}` }), document.createTextNode(name));
    byId("brushes").append(label);
  });
  for (const button of document.querySelectorAll("#presets button")) {
    button.addEventListener("click", () => {
      [grids.truth, grids.predicted] = presets[button.dataset.preset].map((values) => [...values]);
      show();
    });
  }
  addEventListener("pointerup", () => { isPainting = false; });
  for (const which of Object.keys(grids)) makeGrid(which);
  chooseBrush(1);
  [grids.truth, grids.predicted] = presets.all_background.map((values) => [...values]);
  show();
}
