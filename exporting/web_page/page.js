// Applies the model of model.js to a photo or to the camera's pictures, with ONNX Runtime Web
// (runtime.js). All parts are plain scripts, not modules and fetched files, so that the page
// also works when index.html is opened from the disk.
"use strict";

const byId = (id) => document.getElementById(id);
const photo = byId("photo"), overlay = byId("overlay");
const shown = { classes: null };  // of the picture on the page

// ---- The network, in a worker: the page stays usable while it computes ----------------------

let engine = null;

function startEngine() {
  const source = new Blob([`(${engineMain})()`], { type: "text/javascript" });
  const worker = new Worker(URL.createObjectURL(source));
  const waiting = [];  // the worker answers in the order of the questions
  const ask = (message) => new Promise((resolve, reject) => {
    waiting.push({ resolve, reject });
    worker.postMessage(message);
  });
  worker.onmessage = ({ data }) => {
    const { resolve, reject } = waiting.shift();
    data.error ? reject(new Error(data.error)) : resolve(data);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    waiting.splice(0).forEach(({ reject }) => reject(new Error(event.message)));
  };
  const ready = ask({ runtime: RUNTIME.module, wasm: bytesOf(RUNTIME.wasm), model: bytesOf(MODEL.onnx) });
  ready.catch(() => {});  // whoever waits for it is told
  return { ready, ask, stop: () => worker.terminate() };
}

// Runs in the worker; it sees nothing of this file.
function engineMain() {
  let ort, session;
  const start = async ({ runtime, wasm, model }) => {
    ort = await import(URL.createObjectURL(new Blob([runtime], { type: "text/javascript" })));
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.numThreads = 1;  // more need headers that a page from the disk does not have
    session = await ort.InferenceSession.create(model);
    return {};
  };
  const segment = async ({ pixels, shape }) => {
    const { classes } = await session.run({ photo: new ort.Tensor("uint8", pixels, shape) });
    return { classes: classes.data };
  };
  self.onmessage = async ({ data }) => {
    try {
      self.postMessage(await (data.runtime ? start(data) : segment(data)));
    } catch (error) {
      self.postMessage({ error: String(error && error.message || error) });
    }
  };
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// ---- One picture ---------------------------------------------------------------------------

// The canvas's RGBA as the network's input: RGB, or grey with the weights and rounding of OpenCV.
function networkInput(rgba) {
  const channels = MODEL.in_ch;
  const pixels = new Uint8Array(rgba.length / 4 * channels);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    const [r, g, b] = [rgba[from], rgba[from + 1], rgba[from + 2]];
    if (channels === 1) {
      pixels[to++] = (9798 * r + 19235 * g + 3735 * b + 16384) >> 15;
    } else {
      pixels[to++] = r; pixels[to++] = g; pixels[to++] = b;
    }
  }
  return pixels;
}

// Segments an image or a video frame, and draws it with the classes over it.
async function show(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0, width, height);
  const pixels = networkInput(context.getImageData(0, 0, width, height).data);
  engine ??= startEngine();
  await engine.ready;
  const { classes } = await engine.ask({ pixels, shape: [1, height, width, MODEL.in_ch] });
  for (const target of [photo, overlay]) Object.assign(target, { width, height });
  byId("stage").style.setProperty("--aspect", width / height);
  photo.getContext("2d").drawImage(canvas, 0, 0);
  draw(classes);
  byId("result").hidden = false;
  shown.classes = classes;
}

function draw(classes) {
  const context = overlay.getContext("2d");
  const colors = context.createImageData(overlay.width, overlay.height);
  const words = new Uint32Array(colors.data.buffer);  // one RGBA pixel a word
  const palette = new Uint32Array(new Uint8Array(MODEL.colors.flatMap((c) => [...c, 255])).buffer);
  const counts = new Array(MODEL.names.length).fill(0);
  classes.forEach((number, i) => { words[i] = palette[number]; counts[number]++; });
  context.putImageData(colors, 0, 0);
  drawLegend(counts, classes.length);
}

function drawLegend(counts, total) {
  const found = [...counts.keys()].filter((n) => counts[n]).sort((a, b) => counts[b] - counts[a]);
  byId("legend").replaceChildren(...found.map((number) => {
    const [swatch, name, share] = ["swatch", "name", "share"].map((kind) =>
      Object.assign(document.createElement("span"), { className: kind }));
    swatch.style.background = `rgb(${MODEL.colors[number]})`;
    name.textContent = MODEL.names[number];
    const percent = 100 * counts[number] / total;
    share.textContent = percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
    const item = document.createElement("li");
    item.append(swatch, name, share);
    return item;
  }));
  photo.setAttribute("aria-label", `The photo, with ${found.map((n) => MODEL.names[n]).join(", ")}`);
}

// ---- Photos and camera ---------------------------------------------------------------------

let turn = 0;  // counts what the user asked for; what is overtaken is dropped

async function showFile(file) {
  stopCamera();
  const mine = ++turn;
  tell(`Looking at ${file.name} …`);
  let image;
  try {
    // As predict.py: the stored colours, turned upright.
    image = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    return complain(`${file.name} is no image that this browser can read. Use a JPEG or PNG file.`);
  }
  const { width, height } = image;
  const start = performance.now();
  try {
    await show(image, width, height);
    if (mine === turn) tell(`${file.name}: ${width} × ${height} pixels, ${seconds(start).toFixed(1)} s`);
  } catch (error) {
    engine.stop();
    engine = null;  // after running out of memory it cannot go on
    if (mine !== turn) return;
    complain(`The network could not be applied to ${file.name} (${width} × ${height} pixels). ` +
      `If it is large, use a smaller copy of it. The browser says: ${error.message}`);
  }
}

let stream = null;

async function startCamera() {
  const mine = ++turn;
  if (!navigator.mediaDevices) {
    return complain("The camera can only be used on pages opened by https:// or from localhost.");
  }
  tell("Waiting for the camera …");
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  try {
    const size = { width: { ideal: 640 }, height: { ideal: 480 } };
    const opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", ...size } });
    if (mine !== turn) return opened.getTracks().forEach((track) => track.stop());
    stream = opened;
    video.srcObject = stream;
    setCameraButton(true);
    await video.play();
    while (mine === turn) {
      const start = performance.now();
      await show(video, video.videoWidth, video.videoHeight);
      if (mine === turn) tell(`Camera: ${(1 / seconds(start)).toFixed(1)} pictures a second`);
      await new Promise(requestAnimationFrame);
    }
  } catch (error) {
    stopCamera();
    complain(cameraProblem(error));
  }
}

function cameraProblem(error) {
  const sentences = {
    NotAllowedError: "The browser was not allowed to use the camera. Allow it beside the address of the page.",
    NotFoundError: "There is no camera on this machine.",
    NotReadableError: "The camera is in use by another program. Close it and try again.",
  };
  return sentences[error.name] || `The camera cannot be used: ${error.message}`;
}

function stopCamera() {
  turn++;
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  setCameraButton(false);
}

function setCameraButton(isOn) {
  byId("camera").setAttribute("aria-pressed", isOn);
  byId("camera").textContent = isOn ? "Stop the camera" : "Use the camera";
}

const seconds = (start) => Math.max(performance.now() - start, 1) / 1000;

function tell(sentence) {
  byId("error").hidden = true;
  byId("status").textContent = sentence;
}

function complain(sentence) {
  byId("status").textContent = "";
  byId("error").textContent = sentence;
  byId("error").hidden = false;
}

byId("file").addEventListener("change", ({ target }) => {
  if (target.files.length) showFile(target.files[0]);
  target.value = "";  // the same photo may be chosen again
});
byId("camera").addEventListener("click", () => {
  if (!stream) return startCamera();
  stopCamera();
  tell("The camera is off.");
});
byId("opacity").addEventListener("input", ({ target }) => {
  overlay.style.opacity = target.value / 100;
  byId("percent").textContent = `${target.value} %`;
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dragging", kind === "dragenter" || kind === "dragover");
  });
}
document.addEventListener("drop", ({ dataTransfer }) => {
  if (dataTransfer.files.length) return showFile(dataTransfer.files[0]);
  complain("What was dropped is no file. Drop a photo from a folder of this machine.");
});
byId("about").textContent = `${MODEL.names.length} classes; weights ${MODEL.weights_sha256.slice(0, 12)}; ` +
  `ONNX Runtime Web ${RUNTIME.version}`;
engine = startEngine();  // it takes a second, in which the user chooses
