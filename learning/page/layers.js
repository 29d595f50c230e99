// Figure 1: sizes, costs and receptive fields, as learning/layer_table.py computes them.
const say = DATA.say;
const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, text = "") {
  const svg = ["svg", "rect", "path", "text", "circle", "line", "g", "title"];
  const made = svg.includes(name)
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function outSize(layer, n) {
  if (layer.kind === "deconv") return layer.stride * (n - 1) + layer.ksize - 2 * layer.pad;
  const steps = (n - layer.dilate * (layer.ksize - 1) - 1 + 2 * layer.pad) / layer.stride;
  return (layer.kind === "pool" ? Math.ceil(steps) : Math.floor(steps)) + 1;
}

// Rows of the photo that rows first to last of a layer's output depend on.
function fieldBox(layers, name, first, last) {
  const needed = { [name]: [first, last] };
  for (const layer of [...layers].reverse()) {
    if (!(layer.name in needed)) continue;
    let [low, high] = needed[layer.name];
    if (layer.kind === "deconv") {
      low = Math.ceil((low + layer.pad - layer.ksize + 1) / layer.stride);
      high = Math.floor((high + layer.pad) / layer.stride);
    } else {
      low = low * layer.stride - layer.pad;
      high = high * layer.stride - layer.pad + layer.dilate * (layer.ksize - 1);
    }
    for (const source of layer.inputs) {
      const [a, b] = needed[source] ?? [low, high];
      needed[source] = [Math.min(a, low), Math.max(b, high)];
    }
  }
  return needed.photo;
}

function layerRows(layers, height, width) {
  const rows = {};
  for (const layer of layers) {
    let [size, jump, start] = [[height, width], 1, 0];
    if (layer.inputs[0] !== "photo") {
      const widest = layer.inputs.map((name) => rows[name]).reduce((a, b) => (b.field > a.field ? b : a));
      [size, jump, start] = [widest.out, widest.jump, widest.start];
    }
    const out = size.map((n) => outSize(layer, n));
    const reach = (layer.ksize - 1) / 2;
    if (layer.kind === "deconv") {
      start += ((layer.pad - reach) / layer.stride) * jump;
      jump /= layer.stride;
    } else {
      start += (layer.dilate * reach - layer.pad) * jump;
      jump *= layer.stride;
    }
    let field = 0;
    for (let pixel = 0; pixel < 16; pixel++) {
      const [low, high] = fieldBox(layers, layer.name, pixel, pixel);
      field = Math.max(field, high - low + 1);
    }
    const [h, w] = layer.kind === "deconv" ? size : out;
    const computes = ["conv", "deconv"].includes(layer.kind);
    const multiplications = computes ? h * w * layer.ksize ** 2 * layer.in_maps * layer.maps : 0;
    const bytes = layer.kind === "concat" ? 0 : 4 * layer.maps * out[0] * out[1];
    rows[layer.name] = { layer, size, out, multiplications, bytes, field, jump, start };
  }
  return rows;
}

function sumOf(rows, key) {
  return rows.reduce((sum, row) => sum + (key === "parameters" ? row.layer.parameters : row[key]), 0);
}

function cellsOf(row, counted) {
  const { layer } = row;
  const shape = [layer.ksize, layer.stride, layer.pad, layer.dilate];
  const number = (value, digits = 0) =>
    value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return [
    layer.name.split("/").pop(),
    ...(layer.kind === "concat" ? ["–", "–", "–", "–"] : shape),
    `${layer.in_maps} × ${row.size.join(" × ")}`,
    `${layer.maps} × ${row.out.join(" × ")}`,
    number(sumOf(counted, "parameters")),
    number(sumOf(counted, "multiplications") / 1e6, 2),
    number(sumOf(counted, "bytes") / 1024),
    row.field, row.jump, row.start,
  ];
}

function line(cells, tag, kind = "") {
  const tr = element("tr", kind ? { class: kind } : {});
  for (const cell of cells) tr.append(element(tag, {}, String(cell)));
  return tr;
}

function fillTable(rows, showParts) {
  const table = byId("layer-table");
  table.replaceChildren(line(say.columns, "th"));
  const all = Object.values(rows);
  for (const row of all) {
    const name = row.layer.name;
    if (name.includes("/")) continue;
    const parts = all.filter((other) => other.layer.name.startsWith(`${name}/`));
    const tr = line(cellsOf(row, parts.length ? parts : [row]), "td");
    tr.dataset.layer = name;
    table.append(tr);
    if (!showParts) continue;
    for (const part of parts) {
      const inner = line(cellsOf(part, [part]), "td", "part");
      inner.dataset.layer = part.layer.name;
      table.append(inner);
    }
  }
  const total = cellsOf(all[all.length - 1], all);
  table.append(line([say.sum, "", "", "", "", "", "", ...total.slice(7, 10), "", "", ""], "td", "sum"));
}

// The network as a drawing: further right is later, further down is smaller maps.
function drawNetwork(rows) {
  const shown = Object.values(rows).filter((row) => !row.layer.name.includes("/"));
  const [columnWidth, lane, boxWidth, boxHeight] = [101, 74, 94, 40];
  const place = { photo: { depth: 0, y: 0 } };
  for (const row of shown) {
    const name = row.layer.name;
    const isFire = name.startsWith("fire");
    const sources = isFire ? rows[`${name}/conv1`].layer.inputs : row.layer.inputs;
    const depth = 1 + Math.max(...sources.map((source) => place[source].depth));
    const y = Math.log2(row.jump) - (name.startsWith("score_pool") ? 0.66 : 0);
    place[name] = { depth, y, sources, text: `${row.layer.maps} × ${row.out.join(" × ")}` };
  }
  const size = shown[0].size;
  place.photo = { depth: 0, y: 0, sources: [], text: `${shown[0].layer.in_maps} × ${size.join(" × ")}` };
  const lanes = 1 + Math.max(...Object.values(place).map((p) => p.y));
  const depths = 1 + Math.max(...Object.values(place).map((p) => p.depth));
  const left = (p) => 6 + p.depth * columnWidth;
  const top = (p) => 12 + p.y * lane;
  const svg = byId("drawing");
  svg.setAttribute("viewBox", `0 0 ${depths * columnWidth + 6} ${lanes * lane - 10}`);
  svg.replaceChildren();
  for (const p of Object.values(place)) {
    for (const source of p.sources) {
      const from = place[source];
      const [x1, y1, x2, y2] = [left(from) + boxWidth, top(from) + boxHeight / 2, left(p), top(p) + boxHeight / 2];
      svg.append(element("path", { d: `M${x1} ${y1} C${x1 + 22} ${y1} ${x2 - 22} ${y2} ${x2} ${y2}` }));
    }
  }
  for (const [name, p] of Object.entries(place)) {
    svg.append(element("rect", { x: left(p), y: top(p), width: boxWidth, height: boxHeight, rx: 4 }));
    const x = left(p) + boxWidth / 2;
    const label = { upsample_pool4: "up_pool4", upsample_pool9: "up_pool9", upsample_final: "up_final" }[name] ?? name;
    svg.append(element("text", { x, y: top(p) + 17 }, label));
    svg.append(element("text", { x, y: top(p) + 32, class: "size" }, p.text));
  }
}

function chosenLayers() {
  return DATA.layers[byId("network").value];
}

function showLayers() {
  const sides = [byId("size-height"), byId("size-width")].map((input) => Number(input.value));
  const multiple = byId("network").value === "dilated" ? 8 : 16;
  const fits = sides.every((n) => Number.isInteger(n) && n >= multiple && n <= 4096 && n % multiple === 0);
  byId("size-message").className = fits ? "" : "error";
  byId("size-message").textContent = fits ? "" : say.size_error.replace("{multiple}", multiple);
  if (!fits) return;
  const rows = layerRows(chosenLayers(), ...sides);
  fillTable(rows, byId("show-parts").checked);
  drawNetwork(rows);
}

for (const id of ["size-height", "size-width", "network", "show-parts"]) {
  byId(id).addEventListener("input", showLayers);
}
byId("size-form").addEventListener("submit", (event) => event.preventDefault());
showLayers();
