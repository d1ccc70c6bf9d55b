// Two volumes side by side, and what differs: one crosshair, one window, one scroll for all.
import { get } from "./api.js";
import { el } from "./dom.js";
import { HttpSource } from "./http-source.js";
import { Tools, readout, stampOf } from "./tools.js";
import { apply } from "./viewer/geometry.js";
import { SliceViewer } from "./viewer/slice-viewer.js";

const CHANGE_HU = 1200; // from the least to the most of the colours

export async function showComparison(main, first, second) {
  const [a, b] = await Promise.all([get("/api/volume", { volume: first }), get("/api/volume", { volume: second })]);
  const pair = await get("/api/pair", { a: first, b: second });
  const changed = { ...a, volume: second, state: b.state };
  const places = [el("div"), el("div"), el("div")];
  const seed = (meta) => (meta.sidecar?.seed === undefined ? "" : ` · seed ${meta.sidecar.seed}`);
  const captions = telling(a.text ?? a.title, b.text ?? b.title);
  const caption = (letter, meta, text) =>
    el(
      "figcaption",
      { title: meta.text ?? meta.title },
      el("b", {}, letter),
      el("span", {}, `${text}${seed(meta)}`),
      meta.notice ? el("em", { className: "tag", title: meta.notice }, stampOf(meta)) : null,
    );
  const figures = [
    el("figure", {}, caption("A", a, captions[0]), places[0]),
    el("figure", {}, caption("B", b, captions[1]), places[1]),
  ];
  if (!pair.no_difference) {
    const legend = el("span", { className: "scale" }, `−${CHANGE_HU / 2}`, el("i"), `+${CHANGE_HU / 2} HU`);
    figures.push(el("figure", {}, el("figcaption", {}, el("b", {}, "B − A"), legend), places[2]));
  }
  let viewers = [];
  let active = null;
  const tools = new Tools({
    windows: a.windows,
    layouts: ["column", "axial", "coronal", "sagittal"],
    viewers: () => viewers,
    scrolled: () => active ?? viewers[0],
  });
  const line = readout("", tools.level); // what is synthetic is said of each
  const swap = el(
    "button",
    {
      className: "secondary",
      onclick: () => (location.hash = `#/compare/${encodeURIComponent(second)}/${encodeURIComponent(first)}`),
    },
    "Swap",
  );
  const open = (text, meta) => el("a", { className: "small", href: `#/view/${encodeURIComponent(meta.volume)}` }, text);
  main.replaceChildren(
    el(
      "div",
      { className: "tools" },
      tools.elements,
      el("span", { className: "push" }),
      pair.no_difference
        ? el("span", { className: "small quiet", title: pair.no_difference }, "no difference map: other axes")
        : null,
      open("A alone", a),
      open("B alone", b),
      swap,
    ),
    el(
      "div",
      { className: "work" },
      el(
        "div",
        { className: "stagebox" },
        el(
          "div",
          { className: "stagearea" },
          el("div", { className: `pair ${figures.length === 2 ? "two" : ""}` }, figures),
        ),
        line.box,
      ),
    ),
  );

  const options = { layout: "axial", window: a.windows.lung };
  viewers = [
    new SliceViewer(places[0], new HttpSource(a), { ...options, index: a.centre_zyx }),
    new SliceViewer(places[1], new HttpSource(b), { ...options, index: b.centre_zyx }),
  ];
  if (!pair.no_difference) {
    const change = { ...options, table: "change", window: { width: CHANGE_HU, level: 0 }, index: a.centre_zyx };
    const viewer = new SliceViewer(places[2], new HttpSource(changed, a), change);
    viewer.setWindow = () => {}; // its colours mean HU, whatever the window of the others
    viewer.isFixed = true;
    viewers.push(viewer);
  }
  link(viewers, pair.offset_mm, line, tools, (viewer) => (active = viewer));
  tools.show(options.window);
  tools.layoutBox.mark("axial");
  await Promise.all(viewers.map((viewer) => viewer.ready));
  viewers[0].moveTo(a.centre_zyx);
  return { viewer: tools, metas: [a, b], close: () => viewers.forEach((viewer) => viewer.destroy()) };
}

// Two texts, each from a little before the first word in which they differ: what is compared shall be readable.
function telling(first, second) {
  const words = [first, second].map((text) => text.split(/\s+/));
  const same = words[0].findIndex((word, place) => word !== words[1][place]);
  const start = Math.max(0, same - 4);
  return words.map((list) => `${start ? "… " : ""}${list.slice(start).join(" ")}`);
}

// A move in one is a move in all, to the like place in millimetres.
function link(viewers, offset, line, tools, activate) {
  const toFirst = (place) => (viewers.indexOf(place) === 1 ? -1 : 0);
  const shift = (position, factor) => position.map((mm, axis) => mm + factor * offset[axis]);
  for (const viewer of viewers) {
    viewer.host.addEventListener("pointerenter", () => activate(viewer));
    viewer.onmove = (_index, position) => {
      line.at(position);
      const inFirst = shift(position, toFirst(viewer));
      for (const other of viewers) {
        if (other === viewer) continue;
        const [right, anterior, superior] = shift(inFirst, -toFirst(other));
        other.moveTo(apply(other.meta.inverse, [right, anterior, superior]), true);
      }
    };
    viewer.onhover = (position, hu) => line.at(position, hu);
    viewer.onwindow = (window) => {
      if (viewer.isFixed) return;
      viewers.forEach((other) => other !== viewer && other.setWindow(window));
      tools.show(window);
    };
  }
}
