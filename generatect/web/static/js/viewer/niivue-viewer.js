// A volume in NiiVue: three planes on one canvas, a rendering on another. SliceViewer has the same face.
import { HttpSource } from "../http-source.js";
import { loadNiivue } from "../webgl.js";
import { PLANES, apply, clampIndex, planeSize, toRowColumn } from "./geometry.js";
import { RENDERED_HU, RENDER_FROM, SURFACES, settings } from "./niivue-settings.js";
import { drawOverlay } from "./overlay.js";
import { ProjectionView } from "./projection-view.js";

const FEW_SLICES = 40; // a surface through fewer is shreds: they are projected instead
const NAMES = { "niivue-planes": "axial, coronal and sagittal planes", "niivue-render": "rendering" };
const SLICE_TYPES = { axial: 0, coronal: 1, sagittal: 2 };
const GRID = [
  { sliceType: 0, position: [0, 0, 0.5, 0.5] },
  { sliceType: 1, position: [0.5, 0, 0.5, 0.5] },
  { sliceType: 2, position: [0, 0.5, 0.5, 0.5] },
];
export class NiivueViewer {
  static async create(host, meta, options = {}) {
    const niivue = await loadNiivue();
    const viewer = new NiivueViewer(host, meta, options, niivue);
    await viewer.load();
    return viewer;
  }

  constructor(host, meta, options, niivue) {
    Object.assign(this, { host, meta, niivue, crosshair: true, active: "axial", kind: "niivue", rendering: null });
    this.window = options.window ?? { width: 1500, level: -600 };
    this.layout = options.layout ?? "grid";
    this.index = clampIndex(meta.shape_zyx, options.index ?? meta.shape_zyx.map((count) => count / 2));
    this.onmove = this.onhover = this.onwindow = () => {};
    this.box = document.createElement("div");
    this.box.className = "gl";
    this.planes = this.canvas("niivue-planes");
    this.frame = document.createElement("div");
    this.frame.className = "render";
    this.surface = this.canvas("niivue-render");
    this.frame.append(this.surface);
    const flat = document.createElement("div");
    this.notes = this.canvas("notes");
    flat.append(this.planes, this.notes);
    this.box.append(flat, this.frame);
    host.replaceChildren(this.box);
  }

  canvas(name) {
    const canvas = document.createElement("canvas");
    canvas.dataset.plane = name;
    if (NAMES[name]) canvas.setAttribute("aria-label", NAMES[name]);
    canvas.setAttribute("role", NAMES[name] ? "img" : "presentation");
    return canvas;
  }

  async load() {
    const { Niivue } = this.niivue;
    this.nv = new Niivue(settings(this.niivue));
    const draw = this.nv.drawScene.bind(this.nv);
    this.nv.drawScene = () => {
      draw();
      this.annotate();
    };
    await this.nv.attachToCanvas(this.planes);
    const low = this.window.level - this.window.width / 2;
    const url = `/api/nifti?${new URLSearchParams({ volume: this.meta.volume, state: this.meta.state })}`;
    const range = { cal_min: low, cal_max: low + this.window.width };
    await this.nv.loadVolumes([{ url, name: "volume.nii", colormap: "gray", ...range }]);
    this.nv.onLocationChange = () => this.told();
    this.nv.onIntensityChange = (volume) => {
      this.window = { width: volume.cal_max - volume.cal_min, level: (volume.cal_max + volume.cal_min) / 2 };
      this.onwindow(this.window);
    };
    this.planes.addEventListener("pointermove", (event) => this.hover(event));
    this.planes.addEventListener("pointerleave", () => this.onhover(null, null));
    this.setLayout(this.layout);
    this.moveTo(this.index, true);
  }

  // The rendering is a second instance, for it has colours of its own; made when it is first looked at.
  async render() {
    if (this.meta.shape_zyx[0] < FEW_SLICES) return this.project();
    this.rendered = new this.niivue.Niivue({ ...settings(this.niivue), sliceType: 4 });
    await this.rendered.attachToCanvas(this.surface);
    const volume = this.nv.volumes[0].clone();
    this.rendered.addColormap("surfaces", SURFACES);
    volume.colormap = "surfaces";
    [volume.cal_min, volume.cal_max] = RENDERED_HU;
    this.rendered.addVolume(volume);
    this.rendered.setRenderAzimuthElevation(...RENDER_FROM);
    this.rendered.setScale(1.15);
  }

  async project() {
    const view = new ProjectionView({ meta: this.meta, source: new HttpSource(this.meta) });
    this.frame.replaceChildren(view.canvas);
    this.observer = new ResizeObserver(() => view.draw());
    this.observer.observe(this.frame);
    return view.load();
  }

  setLayout(layout) {
    this.layout = layout;
    this.box.classList.toggle("only-render", layout === "render");
    this.box.classList.toggle("no-render", layout in SLICE_TYPES);
    if (layout in SLICE_TYPES) {
      this.active = layout;
      this.nv.setCustomLayout([{ sliceType: SLICE_TYPES[layout], position: [0, 0, 1, 1] }]);
    } else {
      this.nv.setCustomLayout(GRID);
      this.rendering ??= this.render().catch(() => this.box.classList.add("no-render"));
    }
  }

  setWindow(window) {
    this.window = window;
    const volume = this.nv.volumes[0];
    volume.cal_min = window.level - window.width / 2;
    volume.cal_max = window.level + window.width / 2;
    this.nv.updateGLVolume();
  }

  setCrosshair(shown) {
    this.crosshair = shown;
    this.annotate();
  }

  moveTo(index, quiet = false) {
    this.index = clampIndex(this.meta.shape_zyx, index);
    const [z, y, x] = this.index;
    this.nv.scene.crosshairPos = this.nv.vox2frac([x, y, z], 0);
    this.nv.drawScene();
    if (!quiet) this.onmove(this.index, apply(this.meta.affine, this.index));
  }

  told() {
    const [x, y, z] = this.nv.frac2vox(this.nv.scene.crosshairPos, 0);
    this.index = clampIndex(this.meta.shape_zyx, [z, y, x]);
    this.onmove(this.index, apply(this.meta.affine, this.index));
  }

  step(count) {
    const index = [...this.index];
    index[PLANES[this.active].axis] += count;
    this.moveTo(index);
  }

  // Sides, scale and slice of each plane, on a canvas above NiiVue's.
  annotate() {
    const ratio = devicePixelRatio || 1;
    if (this.notes.width !== this.planes.width || this.notes.height !== this.planes.height) {
      Object.assign(this.notes, { width: this.planes.width, height: this.planes.height });
    }
    const context = this.notes.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.notes.width, this.notes.height);
    if (!this.nv.volumes?.length) return;
    for (const { axCorSag, leftTopWidthHeight } of this.nv.screenSlices) {
      const name = Object.keys(SLICE_TYPES).find((key) => SLICE_TYPES[key] === axCorSag);
      if (!name) continue;
      const [left, top, width, height] = leftTopWidthHeight.map((value) => value / ratio);
      const size = planeSize(this.meta, name);
      const pxPerMm = Math.min(width / size.width_mm, height / size.height_mm);
      const box = { width: size.width_mm * pxPerMm, height: size.height_mm * pxPerMm };
      Object.assign(box, { x: (width - box.width) / 2, y: (height - box.height) / 2 });
      context.setTransform(ratio, 0, 0, ratio, left * ratio, top * ratio);
      const { axis, letters } = PLANES[name];
      const label = `${this.index[axis] + 1} / ${this.meta.shape_zyx[axis]}`;
      const [row, column] = toRowColumn(this.meta, name, this.index);
      const x = box.x + ((column + 0.5) / size.columns) * box.width;
      const y = box.y + ((row + 0.5) / size.rows) * box.height;
      const cross = this.crosshair ? { x, y } : null;
      drawOverlay(context, { box, view: { width, height }, pxPerMm, letters, label, cross, gap: 10 });
    }
  }

  hover(event) {
    const bounds = this.planes.getBoundingClientRect();
    const ratio = this.planes.width / bounds.width;
    const place = [(event.clientX - bounds.left) * ratio, (event.clientY - bounds.top) * ratio];
    const tile = this.nv.screenSlices.find(
      ({ leftTopWidthHeight: [left, top, width, height] }) =>
        place[0] >= left && place[0] < left + width && place[1] >= top && place[1] < top + height,
    );
    if (tile) this.active = Object.keys(SLICE_TYPES).find((name) => SLICE_TYPES[name] === tile.axCorSag) ?? this.active;
    const fraction = this.nv.canvasPos2frac(place);
    if (!tile || fraction[0] < 0) return this.onhover(null, null);
    const [x, y, z] = this.nv.frac2vox(fraction, 0);
    const index = clampIndex(this.meta.shape_zyx, [z, y, x]);
    return this.onhover(apply(this.meta.affine, index), this.nv.volumes[0].getValue(x, y, z));
  }

  destroy() {
    const release = (instance) => {
      instance?.cleanup();
      instance?.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    };
    this.observer?.disconnect();
    this.host.replaceChildren();
    release(this.nv);
    Promise.resolve(this.rendering).then(() => release(this.rendered)); // never in the middle of its work
  }
}
