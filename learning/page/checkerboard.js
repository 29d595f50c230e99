// Figure 5: how many times a deconvolution writes each output pixel.
function writesPerPixel(kernel, stride, inputs) {
  const counts = new Array(stride * (inputs - 1) + kernel).fill(0);
  for (let i = 0; i < inputs; i++) {
    for (let tap = 0; tap < kernel; tap++) counts[i * stride + tap] += 1;
  }
  return counts;
}

{
  const size = 48; // output pixels shown, far from the border

  function showBoard() {
    const [kernel, stride] = ["kernel", "stride"].map((what) => Number(byId(`board-${what}`).value));
    byId("board-kernel-value").textContent = kernel;
    byId("board-stride-value").textContent = stride;
    const margin = stride * Math.ceil(kernel / stride);
    const all = writesPerPixel(kernel, stride, Math.ceil((size + 2 * margin) / stride) + 1);
    const counts = all.slice(margin, margin + size);
    const period = counts.slice(0, stride);
    const [low, high] = [Math.min(...period) ** 2, Math.max(...period) ** 2];
    byId("board-message").textContent = (low === high ? say.board_even : low === 0 ? say.board_holes : say.board_uneven)
      .replace("{low}", low).replace("{high}", high).replace("{period}", period.join(", "));
    const context = byId("board").getContext("2d");
    const cell = byId("board").width / size;
    counts.forEach((down, row) => counts.forEach((across, column) => {
      const share = (down * across) / high;
      context.fillStyle = `hsl(205 75% ${Math.round(96 - 66 * share)}%)`;
      context.fillRect(column * cell, row * cell, cell, cell);
    }));
  }

  for (const what of ["kernel", "stride"]) byId(`board-${what}`).addEventListener("input", showBoard);
  showBoard();
}
