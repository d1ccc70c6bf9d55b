// A volume without WebGL: planes on canvases, each slice fetched when it is looked at. NiivueViewer has the same face.
import { TABLES } from "./colours.js";
import { PLANES, apply, clampIndex } from "./geometry.js";
import { PlaneView } from "./plane-view.js";
import { ProjectionView } from "./projection-view.js";

export class SliceViewer {
  // `source` has meta, slice(plane, index) and projection(kind, plane); `options`: window, table, layout, index.
  constructor(host, source, options = {}) {
    Object.assign(this, { host, source, meta: source.meta, crosshair: true, active: "axial", kind: "slices" });
    this.window = options.window ?? { width: 1500, level: -600 };
    this.table = TABLES[options.table ?? "grey"];
    this.index = clampIndex(this.meta.shape_zyx, options.index ?? this.meta.shape_zyx.map((count) => count / 2));
    this.onmove = this.onhover = this.onwindow = () => {};
    this.views = [];
    this.observer = new ResizeObserver(() => this.views.forEach((view) => view.draw()));
    this.ready = this.setLayout(options.layout ?? "grid");
  }

  async setLayout(layout) {
    this.layout = layout;
    const names = PLANES[layout] ? [layout] : layout === "render" ? [] : Object.keys(PLANES);
    if (PLANES[layout]) this.active = layout;
    this.views = names.map((name) => new PlaneView(this, name));
    if (layout === "grid" || layout === "render") this.views.push(new ProjectionView(this));
    const box = document.createElement("div");
    box.className = `planes ${this.views.length === 1 ? "single" : ""} ${layout === "column" ? "column" : ""}`;
    for (const view of this.views) {
      const cell = document.createElement("div");
      cell.append(view.canvas);
      box.append(cell);
    }
    this.host.replaceChildren(box);
    this.observer.disconnect();
    this.observer.observe(this.host);
    await Promise.all(this.views.map((view) => view.load()));
  }

  setWindow(window) {
    this.window = window;
    this.views.forEach((view) => view.repaint());
  }

  setCrosshair(shown) {
    this.crosshair = shown;
    this.views.forEach((view) => view.draw());
  }

  moveTo(index, quiet = false) {
    this.index = clampIndex(this.meta.shape_zyx, index);
    const loaded = Promise.all(this.views.map((view) => view.load()));
    if (!quiet) this.onmove(this.index, apply(this.meta.affine, this.index));
    return loaded;
  }

  step(count) {
    const axis = PLANES[this.active].axis;
    const index = [...this.index];
    index[axis] += count;
    return this.moveTo(index);
  }

  hover(index, hu) {
    this.onhover(index && apply(this.meta.affine, index), hu);
  }

  drag(right, down) {
    const width = Math.max(1, this.window.width + 4 * right);
    this.setWindow({ width, level: this.window.level + 2 * down });
    this.onwindow(this.window);
  }

  destroy() {
    this.observer.disconnect();
    this.host.replaceChildren();
  }
}
