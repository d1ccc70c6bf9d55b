// The page without a server: the volume is in it, and is looked at as there.
import { el } from "./dom.js";
import { keys } from "./keys.js";
import { Tools, readout, stampOf } from "./tools.js";
import { PLANES, planeSize } from "./viewer/geometry.js";
import { SliceViewer } from "./viewer/slice-viewer.js";

class MemorySource {
  constructor(meta, hu) {
    Object.assign(this, { meta, hu });
  }

  at(z, y, x) {
    const [, rows, columns] = this.meta.shape_zyx;
    return this.hu[(z * rows + y) * columns + x];
  }

  gather(name, value) {
    const { rows, columns } = planeSize(this.meta, name);
    const result = new Int16Array(rows * columns);
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) result[row * columns + column] = value(row, column);
    }
    return result;
  }

  place(name, row, column, across) {
    const up = this.meta.shape_zyx[0] - 1 - row;
    return name === "axial" ? [across, row, column] : name === "coronal" ? [up, across, column] : [up, column, across];
  }

  async slice(name, index) {
    return this.gather(name, (row, column) => this.at(...this.place(name, row, column, index)));
  }

  async projection(_kind, name) {
    const count = this.meta.shape_zyx[PLANES[name].axis];
    return this.gather(name, (row, column) => {
      let most = -32768;
      for (let across = 0; across < count; across += 1)
        most = Math.max(most, this.at(...this.place(name, row, column, across)));
      return most;
    });
  }
}

async function unpack(meta) {
  const packed = Uint8Array.from(atob(document.getElementById("voxels").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = planes.length / 2;
  const columns = meta.shape_zyx[2];
  const hu = new Int16Array(count);
  let steps = 0;
  for (let place = 0; place < count; place += 1) {
    const difference = ((planes[count + place] << 24) >> 16) | planes[place];
    steps = place % columns === 0 ? difference : steps + difference;
    hu[place] = steps * meta.step_hu + meta.low_hu;
  }
  return hu;
}

function about(meta) {
  const { shape_zyx: shape, spacing_mm_zyx: spacing } = meta.original;
  const facts = [
    ["Voxels", shape.join(" × ")],
    ["Spacing", `${spacing.map((mm) => mm.toPrecision(3)).join(" × ")} mm`],
    ["HU here", `to the nearest ${meta.step_hu}`],
  ];
  if (meta.is_averaged) facts.push(["Shown", `averaged to ${meta.shape_zyx.join(" × ")}`]);
  return el(
    "aside",
    { className: "about" },
    el("h2", {}, meta.title),
    meta.notice ? el("p", { className: "stamp" }, meta.notice) : null,
    meta.text ? [el("h3", {}, "Report"), el("p", { className: "report" }, meta.text)] : null,
    el(
      "dl",
      { className: "facts" },
      facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
    ),
    el("p", { className: "quiet small" }, "Keys: ? for all of them."),
  );
}

async function start() {
  const meta = JSON.parse(document.getElementById("meta").textContent);
  const area = el("div", { className: "stagearea" }, el("div", { className: "wait" }, "Unpacking …"));
  let viewer = null;
  const tools = new Tools({
    windows: meta.windows,
    layouts: ["grid", "axial", "coronal", "sagittal", "render"],
    viewers: () => (viewer ? [viewer] : []),
    scrolled: () => viewer ?? { step() {} },
  });
  const line = readout(stampOf(meta), tools.level);
  document
    .getElementById("main")
    .append(
      el("div", { className: "tools" }, tools.elements),
      el("div", { className: "work" }, el("div", { className: "stagebox" }, area, line.box), about(meta)),
    );
  const source = new MemorySource(meta, await unpack(meta));
  viewer = new SliceViewer(area, source, { window: meta.windows.lung, index: meta.centre_zyx });
  viewer.onmove = (_index, position) => line.at(position);
  viewer.onhover = (position, hu) => line.at(position, hu);
  viewer.onwindow = (window) => tools.show(window);
  tools.show(viewer.window);
  tools.layoutBox.mark(viewer.layout);
  addEventListener("keydown", (event) => keys(event, () => tools), { capture: true });
  await viewer.ready;
  area.dataset.drawn = "slices";
}

start();
