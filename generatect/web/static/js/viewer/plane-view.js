// One plane of a volume on a canvas: draws a slice at true proportions, and says what the pointer does.
import { paint } from "./colours.js";
import { PLANES, planeSize, toIndex, toRowColumn } from "./geometry.js";
import { drawOverlay } from "./overlay.js";

export class PlaneView {
  // `owner` holds meta, window, table, crosshair and index, and is told of point(), scroll(), hover() and drag().
  constructor(owner, name) {
    Object.assign(this, { owner, name, hu: null, shown: -1, wanted: -1 });
    this.size = planeSize(owner.meta, name);
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${name} plane`);
    this.canvas.dataset.plane = name;
    this.picture = document.createElement("canvas");
    this.picture.width = this.size.columns;
    this.picture.height = this.size.rows;
    this.image = new ImageData(this.size.columns, this.size.rows);
    this.listen();
  }

  get axis() {
    return PLANES[this.name].axis;
  }

  // The slice that the owner's index asks for; of several asked for at once, the last.
  async load() {
    const index = this.owner.index[this.axis];
    this.wanted = index;
    if (index === this.shown) return this.draw();
    const hu = await this.owner.source.slice(this.name, index);
    if (this.wanted !== index) return undefined;
    Object.assign(this, { hu, shown: index });
    return this.repaint();
  }

  repaint() {
    if (!this.hu) return;
    paint(this.hu, this.owner.window, this.owner.table, this.image);
    this.picture.getContext("2d").putImageData(this.image, 0, 0);
    this.draw();
  }

  layout() {
    const view = { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
    const pxPerMm = Math.min(view.width / this.size.width_mm, view.height / this.size.height_mm);
    const [width, height] = [this.size.width_mm * pxPerMm, this.size.height_mm * pxPerMm];
    return { view, pxPerMm, box: { x: (view.width - width) / 2, y: (view.height - height) / 2, width, height } };
  }

  draw() {
    const { view, pxPerMm, box } = this.layout();
    if (!view.width || !this.hu) return;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [Math.round(view.width * ratio), Math.round(view.height * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, view.width, view.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.picture, box.x, box.y, box.width, box.height);
    const [row, column] = toRowColumn(this.owner.meta, this.name, this.owner.index);
    const cross = {
      x: box.x + ((column + 0.5) / this.size.columns) * box.width,
      y: box.y + ((row + 0.5) / this.size.rows) * box.height,
    };
    drawOverlay(context, {
      box,
      view,
      pxPerMm,
      letters: PLANES[this.name].letters,
      label: `${this.shown + 1} / ${this.owner.meta.shape_zyx[this.axis]}`,
      cross: this.owner.crosshair ? cross : null,
      gap: 10,
    });
  }

  at(event) {
    const { box } = this.layout();
    const bounds = this.canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - bounds.left - box.x) / box.width) * this.size.columns);
    const row = Math.floor(((event.clientY - bounds.top - box.y) / box.height) * this.size.rows);
    const inside = row >= 0 && column >= 0 && row < this.size.rows && column < this.size.columns;
    return { row, column, inside };
  }

  listen() {
    let held = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      this.owner.active = this.name;
      this.canvas.setPointerCapture(event.pointerId);
      held = event.button === 2 || event.shiftKey ? { x: event.clientX, y: event.clientY } : "point";
      if (held === "point") this.point(event);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const { row, column, inside } = this.at(event);
      const index = toIndex(this.owner.meta, this.name, row, column, this.owner.index);
      const hu = inside && this.hu ? this.hu[row * this.size.columns + column] : null;
      this.owner.hover(inside ? index : null, hu);
      if (held === "point") this.point(event);
      else if (held) {
        this.owner.drag(event.clientX - held.x, event.clientY - held.y);
        held = { x: event.clientX, y: event.clientY };
      }
    });
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => (held = null));
    this.canvas.addEventListener("pointerenter", () => (this.owner.active = this.name));
    this.canvas.addEventListener("pointerleave", () => this.owner.hover(null, null));
    this.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    this.canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.owner.active = this.name;
        this.owner.step(event.deltaY < 0 ? 1 : -1);
      },
      { passive: false },
    );
  }

  point(event) {
    const { row, column, inside } = this.at(event);
    if (inside) this.owner.moveTo(toIndex(this.owner.meta, this.name, row, column, this.owner.index));
  }
}
