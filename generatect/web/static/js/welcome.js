// The first page: what this is, and what to do.
import { el } from "./dom.js";
import { fill } from "./form.js";

const STEPS = [
  ["Write a report", "In a radiologist's words: what is there, on which side, and what is not."],
  ["Watch it appear", "Tokens first, decoded as they come; then slice by slice at full resolution."],
  ["Look and compare", "Three planes in HU and millimetres, beside another volume, with what differs."],
];

export async function showWelcome(main, about) {
  const [z, y, x] = about.grid.shape_zyx;
  const [dz, dy, dx] = about.grid.spacing_mm_zyx.map((mm) => mm.toFixed(mm < 10 ? 2 : 1));
  main.replaceChildren(
    el(
      "div",
      { className: "welcome" },
      el("h1", {}, "From a radiology report to a chest CT"),
      about.notice
        ? el(
            "p",
            {},
            "These weights were trained on computed phantoms: shapes of a chest, not patients. They show that the pipeline follows a report; nothing here is for medicine.",
          )
        : el("p", {}, "Whatever is generated here is synthetic: made by a model, not taken of a patient."),
      el(
        "p",
        { className: "small" },
        `Volumes of ${z} × ${y} × ${x} voxels of ${dz} × ${dy} × ${dx} mm, made on ${about.device} and kept in ${about.output}.`,
      ),
      el(
        "ol",
        {},
        STEPS.map(([title, text]) => el("li", {}, el("h2", {}, title), el("p", {}, text))),
      ),
      el(
        "div",
        { className: "examples" },
        el("span", { className: "quiet small" }, "Begin with"),
        about.examples
          .slice(0, 4)
          .map((example) =>
            el("button", { className: "chip", title: example.text, onclick: () => fill(example.text) }, example.title),
          ),
      ),
    ),
  );
  return { close() {} };
}
