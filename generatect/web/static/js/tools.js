// The tools above a picture, and the one object that keys and buttons act on.
import { el } from "./dom.js";

const TITLES = { grid: "All", axial: "Axial", coronal: "Coronal", sagittal: "Sagittal", render: "3-D", column: "All" };

function segments(label, entries, choose) {
  const buttons = entries.map(([key, text, title]) =>
    el("button", { data: { key }, title, "aria-pressed": "false", onclick: () => choose(key) }, text),
  );
  const box = el("div", { className: "segments", role: "group", "aria-label": label }, buttons);
  const mark = (key) =>
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.key === key)));
  return { box, mark };
}

export class Tools {
  // `windows`: name → {width, level}; `layouts`: names; `viewers`: whom windows, layouts and the crosshair are for.
  constructor({ windows, layouts, viewers, scrolled }) {
    Object.assign(this, { windows, layouts, viewers, scrolled, crosshair: true });
    const names = Object.entries(windows).map(([name, { width, level }], place) => [
      name,
      name[0].toUpperCase() + name.slice(1),
      `W ${width}  L ${level}  (${place + 1})`,
    ]);
    this.windowBox = segments("Window", names, (name) => this.chooseWindow(Object.keys(windows).indexOf(name)));
    this.layoutBox = segments(
      "Planes",
      layouts.map((name) => [name, TITLES[name], TITLES[name]]),
      (name) => this.chooseLayout(name),
    );
    this.cross = el(
      "button",
      { className: "secondary", title: "Crosshair (c)", "aria-pressed": "true", onclick: () => this.toggleCrosshair() },
      "Crosshair",
    );
    this.level = el("span", { id: "level" });
    this.elements = [this.windowBox.box, this.layoutBox.box, this.cross];
  }

  show(window) {
    const name = Object.keys(this.windows).find(
      (key) => this.windows[key].width === window.width && this.windows[key].level === window.level,
    );
    this.windowBox.mark(name);
    this.level.textContent = `W ${Math.round(window.width)} L ${Math.round(window.level)}`;
  }

  chooseWindow(place) {
    const window = Object.values(this.windows)[place];
    if (!window) return;
    this.viewers().forEach((viewer) => viewer.setWindow({ ...window }));
    this.show(window);
  }

  chooseLayout(wanted) {
    const layout = wanted === "grid" && this.layouts.includes("column") ? "column" : wanted;
    if (!this.layouts.includes(layout)) return;
    this.viewers().forEach((viewer) => viewer.setLayout(layout));
    this.layoutBox.mark(layout);
  }

  toggleCrosshair() {
    this.crosshair = !this.crosshair;
    this.viewers().forEach((viewer) => viewer.setCrosshair(this.crosshair));
    this.cross.setAttribute("aria-pressed", String(this.crosshair));
  }

  step(count) {
    this.scrolled().step(count);
  }
}

// What must be said of a volume at all times, in two words.
export function stampOf({ notice }) {
  return notice?.includes("PHANTOM") ? "PHANTOM · SYNTHETIC" : notice ? "SYNTHETIC" : "";
}

export function readout(label, level) {
  const place = el("span");
  const value = el("b", { id: "hu" }, "– HU");
  const box = el(
    "div",
    { className: "readout" },
    value,
    place,
    level,
    el("span", { className: "label", title: label }, label),
  );
  return {
    box,
    at(position, hu) {
      if (hu !== undefined) value.textContent = hu === null ? "– HU" : `${Math.round(hu)} HU`;
      if (position) {
        const [right, anterior, superior] = position;
        const side = (mm, positive, negative) => `${mm >= 0 ? positive : negative} ${Math.abs(mm).toFixed(1)}`;
        place.textContent = `${side(right, "R", "L")}  ${side(anterior, "A", "P")}  ${side(superior, "S", "I")} mm`;
      }
    },
  };
}
