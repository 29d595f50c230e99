// Figure 2: the receptive field of the clicked pixel, and the gradient computed nearest to it.
{
  const { field, height, width } = DATA;
  const layers = DATA.layers[DATA.network];
  const rows = layerRows(layers, height, width);
  let [y, x] = [Math.floor(height / 2), Math.floor(width / 2)];

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  // The output pixel of a layer whose receptive field is centred nearest to the clicked one.
  function nearest(row, position, axis) {
    return clamp(Math.round((position - row.start) / row.jump), 0, row.out[axis] - 1);
  }

  function boxOf(name) {
    const row = rows[name];
    const pixel = name === "upsample_final" ? [y, x] : [nearest(row, y, 0), nearest(row, x, 1)];
    const [top, bottom] = fieldBox(layers, name, pixel[0], pixel[0]);
    const [left, right] = fieldBox(layers, name, pixel[1], pixel[1]);
    return { pixel, top, left, height: bottom - top + 1, width: right - left + 1 };
  }

  function drawBoxes(chosen) {
    const svg = byId("field-boxes");
    svg.replaceChildren();
    field.layers.slice(0, chosen + 1).forEach((name, index) => {
      const box = boxOf(name);
      const isChosen = index === chosen;
      svg.append(element("rect", {
        x: box.left, y: box.top, width: box.width, height: box.height, fill: "none",
        stroke: isChosen ? "#ffd400" : "#ffffff", "stroke-opacity": isChosen ? 1 : 0.55,
        "stroke-width": isChosen ? 1.6 : 0.6,
      }));
    });
    svg.append(element("circle", { cx: x + 0.5, cy: y + 0.5, r: 1.6, fill: "#ff3b30", stroke: "#fff", "stroke-width": 0.5 }));
  }

  function showEffective() {
    const distance = ([row, column]) => (row - y) ** 2 + (column - x) ** 2;
    const index = field.places.reduce((best, p, i) => (distance(p) < distance(field.places[best]) ? i : best), 0);
    const [row, column] = [Math.floor(index / field.columns), index % field.columns];
    for (const when of ["before", "after"]) {
      const sprite = byId(`field-${when}`);
      sprite.style.backgroundPosition = `${(100 * column) / (field.columns - 1)}% ${(100 * row) / (field.rows - 1)}%`;
      const side = field[`sides_${when}`][index];
      byId(`field-${when}-side`).textContent = `${side} × ${side}`;
    }
  }

  function showField() {
    const chosen = Number(byId("field-layer").value);
    const name = field.layers[chosen];
    const box = boxOf(name);
    drawBoxes(chosen);
    showEffective();
    byId("field-message").textContent = say.field_message
      .replace("{layer}", name).replace("{pixel}", `(${box.pixel.join(", ")})`)
      .replace("{size}", `${box.height} × ${box.width}`).replace("{click}", `(${y}, ${x})`);
    const isInside = box.top >= 0 && box.left >= 0 && box.top + box.height <= height && box.left + box.width <= width;
    if (!isInside) byId("field-message").textContent += ` ${say.field_beyond}`;
  }

  const photo = byId("field-photo");
  photo.addEventListener("click", (event) => {
    const frame = photo.getBoundingClientRect();
    y = clamp(Math.floor(((event.clientY - frame.top) / frame.height) * height), 0, height - 1);
    x = clamp(Math.floor(((event.clientX - frame.left) / frame.width) * width), 0, width - 1);
    showField();
  });
  photo.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const far = event.shiftKey ? 1 : 4;
    [y, x] = [clamp(y + far * step[0], 0, height - 1), clamp(x + far * step[1], 0, width - 1)];
    showField();
  });
  byId("field-layer").addEventListener("input", showField);
  showField();
}
