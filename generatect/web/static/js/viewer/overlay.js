// What is drawn over a picture: the patient's sides, a bar of known length, the slice, the crosshair.
const AMBER = "#f0b429";
const BAR_MM = [200, 100, 50, 20, 10, 5];

function lettered(context, text, x, y, align, colour) {
  context.textAlign = align;
  context.lineWidth = 3;
  context.strokeStyle = "rgb(0 0 0 / 80%)";
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

export function drawOverlay(context, { box, view, letters, label, pxPerMm, cross, gap }) {
  context.font = "600 12px system-ui, sans-serif";
  context.textBaseline = "middle";
  const [left, right, top, bottom] = letters;
  const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  lettered(context, left, Math.max(6, box.x + 5), middle.y, "left", AMBER);
  lettered(context, right, Math.min(view.width - 6, box.x + box.width - 5), middle.y, "right", AMBER);
  lettered(context, top, middle.x, Math.max(11, box.y + 11), "center", AMBER);
  lettered(context, bottom, middle.x, Math.min(view.height - 11, box.y + box.height - 11), "center", AMBER);
  context.font = "12px ui-monospace, Menlo, Consolas, monospace";
  lettered(context, label, 8, 13, "left", "#cfd6dc");
  drawBar(context, view, pxPerMm);
  if (cross) drawCross(context, cross, view, gap);
}

function drawBar(context, view, pxPerMm) {
  const millimetres = BAR_MM.find((length) => length * pxPerMm <= view.width * 0.32) ?? BAR_MM.at(-1);
  const length = millimetres * pxPerMm;
  const y = view.height - 11;
  context.fillStyle = "rgb(0 0 0 / 70%)";
  context.fillRect(8, y - 2, length + 4, 5);
  context.fillStyle = "#e8eaed";
  context.fillRect(10, y - 1, length, 2);
  context.font = "11px ui-monospace, Menlo, Consolas, monospace";
  lettered(context, `${millimetres} mm`, 10, y - 11, "left", "#e8eaed");
}

function drawCross(context, { x, y }, view, gap) {
  context.strokeStyle = "rgb(240 180 41 / 75%)";
  context.lineWidth = 1;
  context.beginPath();
  const [column, row] = [Math.round(x) + 0.5, Math.round(y) + 0.5];
  context.moveTo(0, row);
  context.lineTo(column - gap, row);
  context.moveTo(column + gap, row);
  context.lineTo(view.width, row);
  context.moveTo(column, 0);
  context.lineTo(column, row - gap);
  context.moveTo(column, row + gap);
  context.lineTo(column, view.height);
  context.stroke();
}
