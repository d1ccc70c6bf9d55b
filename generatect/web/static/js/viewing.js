// One volume on the stage: NiiVue where WebGL is there, else slices from the server; its report and files beside it.
import { aboutVolume, downloads } from "./about-volume.js";
import { get } from "./api.js";
import { el, say } from "./dom.js";
import { HttpSource } from "./http-source.js";
import { Tools, readout, stampOf } from "./tools.js";
import { SliceViewer } from "./viewer/slice-viewer.js";
import { NiivueViewer } from "./viewer/niivue-viewer.js";
import { hasWebGL } from "./webgl.js";

const LARGE = 120e6; // voxels; NiiVue would need gigabytes, and the slices come at once
const DRAWN_BY = "drawn-by"; // "niivue" or "slices", where the user has chosen

export async function showVolume(main, id) {
  const meta = await get("/api/volume", { volume: id });
  const area = el("div", { className: "stagearea" }, el("div", { className: "wait" }, "Loading the volume …"));
  let viewer = null;
  const tools = new Tools({
    windows: meta.windows,
    layouts: ["grid", "axial", "coronal", "sagittal", "render"],
    viewers: () => (viewer ? [viewer] : []),
    scrolled: () => viewer ?? { step() {} },
  });
  const line = readout(stampOf(meta), tools.level);
  const drawn = el("button", {
    className: "secondary",
    id: "drawn",
    title: "How the volume is drawn",
    hidden: !hasWebGL(),
  });
  main.replaceChildren(
    el("div", { className: "tools" }, tools.elements, el("span", { className: "push" }), drawn, downloads(meta)),
    el("div", { className: "work" }, el("div", { className: "stagebox" }, area, line.box), aboutVolume(meta)),
  );

  const draw = async (kind) => {
    const options = {
      window: viewer?.window ?? meta.windows.lung,
      layout: viewer?.layout ?? "grid",
      index: viewer?.index ?? meta.centre_zyx,
    };
    viewer?.destroy();
    viewer = null;
    let next = null;
    if (kind === "niivue") {
      try {
        next = await NiivueViewer.create(area, meta, options);
      } catch (error) {
        say(`Without WebGL: ${error.message}`);
        kind = "slices";
      }
    }
    next ??= new SliceViewer(area, new HttpSource(meta), options);
    await next.ready;
    viewer = next;
    viewer.onmove = (_index, position) => line.at(position);
    viewer.onhover = (position, hu) => line.at(position, hu);
    viewer.onwindow = (window) => tools.show(window);
    viewer.setCrosshair(tools.crosshair);
    tools.show(viewer.window);
    tools.layoutBox.mark(viewer.layout);
    area.dataset.drawn = viewer.kind;
    drawn.textContent = kind === "niivue" ? "NiiVue" : "Slices";
    drawn.onclick = () => {
      const other = kind === "niivue" ? "slices" : "niivue";
      localStorage.setItem(DRAWN_BY, other);
      draw(other).catch((error) => say(error.message));
    };
  };
  const isLarge = meta.shape_zyx.reduce((product, count) => product * count) > LARGE;
  await draw(!hasWebGL() || isLarge ? "slices" : (localStorage.getItem(DRAWN_BY) ?? "niivue"));
  return { viewer: tools, metas: [meta], close: () => viewer?.destroy() };
}
