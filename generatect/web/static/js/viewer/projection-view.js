// The whole volume at once: what is densest along lines from the front, as an angiogram is looked at.
import { TABLES, paint } from "./colours.js";
import { PLANES, planeSize } from "./geometry.js";
import { drawOverlay } from "./overlay.js";

const WINDOW = { width: 1800, level: 400 };

export class ProjectionView {
  constructor(owner, name = "coronal") {
    Object.assign(this, { owner, name, hu: null });
    this.size = planeSize(owner.meta, name);
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "maximum projection from the front");
    this.canvas.dataset.plane = "projection";
    this.picture = document.createElement("canvas");
    this.picture.width = this.size.columns;
    this.picture.height = this.size.rows;
  }

  async load() {
    if (!this.hu) this.hu = await this.owner.source.projection("maximum", this.name);
    const image = paint(this.hu, WINDOW, TABLES.grey, new ImageData(this.size.columns, this.size.rows));
    this.picture.getContext("2d").putImageData(image, 0, 0);
    this.draw();
  }

  repaint() {} // its window is its own

  draw() {
    const view = { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
    if (!view.width || !this.hu) return;
    const ratio = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: Math.round(view.width * ratio), height: Math.round(view.height * ratio) });
    const pxPerMm = Math.min(view.width / this.size.width_mm, view.height / this.size.height_mm);
    const [width, height] = [this.size.width_mm * pxPerMm, this.size.height_mm * pxPerMm];
    const box = { x: (view.width - width) / 2, y: (view.height - height) / 2, width, height };
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.picture, box.x, box.y, box.width, box.height);
    drawOverlay(context, { box, view, pxPerMm, letters: PLANES[this.name].letters, label: "maximum" });
  }
}
