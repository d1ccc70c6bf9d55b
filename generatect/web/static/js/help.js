// The keys, in a box.
import { el } from "./dom.js";

const KEYS = [
  [["↑", "↓"], "next or previous slice of the plane under the pointer; the wheel does the same"],
  [["PgUp", "PgDn"], "ten slices"],
  [["Home", "End"], "first or last slice"],
  [["1", "2", "3"], "lung, mediastinum, bone window; drag with the right button for others"],
  [["c"], "crosshair"],
  [["g"], "all planes"],
  [["a", "o", "s", "r"], "axial, coronal, sagittal plane alone; rendering"],
  [["f"], "full view"],
  [["Ctrl", "Enter"], "generate, from the report"],
  [["?"], "these keys"],
];

export function showHelp() {
  const dialog = el(
    "dialog",
    { "aria-label": "Keys" },
    el("h2", {}, "Keys"),
    el(
      "dl",
      {},
      KEYS.flatMap(([names, text]) => [
        el(
          "dt",
          {},
          names.map((name) => el("kbd", {}, name)),
        ),
        el("dd", {}, text),
      ]),
    ),
    el("button", { className: "secondary", onclick: () => dialog.close() }, "Close"),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
