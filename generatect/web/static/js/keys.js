// Keys for whatever viewer is shown.
import { showHelp } from "./help.js";

const STEPS = {
  ArrowUp: 1,
  ArrowRight: 1,
  ArrowDown: -1,
  ArrowLeft: -1,
  PageUp: 10,
  PageDown: -10,
  Home: -1e9,
  End: 1e9,
};
const LAYOUTS = { g: "grid", a: "axial", o: "coronal", s: "sagittal", r: "render" };

export function keys(event, viewerOf) {
  const isTyping = event.target.closest?.("input, textarea, select");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "?") showHelp();
  else if (event.key === "f") document.body.classList.toggle("full");
  else if (!handled(event.key, viewerOf())) return;
  event.preventDefault();
  event.stopPropagation();
}

function handled(key, viewer) {
  if (!viewer) return false;
  if (key in STEPS) viewer.step(STEPS[key]);
  else if (key in LAYOUTS) viewer.chooseLayout(LAYOUTS[key]);
  else if (key === "c") viewer.toggleCrosshair();
  else if (["1", "2", "3"].includes(key)) viewer.chooseWindow(Number(key) - 1);
  else return false;
  return true;
}
