// Figure 6: which weights of a 16 x 16 kernel make which output pixels at stride 4.
{
  const [ksize, stride] = [16, 4];

  function drawCells(id, isOn) {
    const svg = byId(id);
    svg.replaceChildren();
    for (let row = 0; row < ksize; row++) {
      for (let column = 0; column < ksize; column++) {
        const name = isOn(row, column) ? { class: "on" } : {};
        svg.append(element("rect", { x: 10 * column, y: 10 * row, width: 10, height: 10, ...name }));
      }
    }
  }

  function showPhase() {
    const number = Number(byId("phase").value);
    const [down, across] = [Math.floor(number / stride), number % stride];
    drawCells("phase-kernel", (row, column) => row % stride === down && column % stride === across);
    // Row Y of the output takes the kernel's rows (Y + pad) modulo stride; pad is 6.
    drawCells("phase-output", (row, column) => (row + 6) % stride === down && (column + 6) % stride === across);
    byId("phase-message").textContent = say.phase_message.replace("{phase}", `(${down}, ${across})`);
  }

  byId("phase").addEventListener("input", showPhase);
  showPhase();
}
