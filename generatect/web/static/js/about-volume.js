// What is known of a volume, and what can be done with it.
import { post } from "./api.js";
import { el, say } from "./dom.js";
import { fill } from "./form.js";
import { made } from "./history.js";
import { follow } from "./jobs.js";

function actions(meta) {
  const id = meta.volume;
  const others = made().filter(({ volume }) => volume !== id);
  const source = meta.sidecar?.source;
  const select = el(
    "select",
    {
      id: "compare",
      title: "Compare with another volume",
      onchange: () => (location.hash = `#/compare/${encodeURIComponent(select.value)}/${encodeURIComponent(id)}`),
    },
    el("option", { value: "" }, "Compare with …"),
    source ? el("option", { value: source }, "its original") : null,
    others.map((entry) =>
      el(
        "option",
        { value: entry.volume },
        `${entry.title.slice(0, 60)}${entry.seed === null ? "" : ` · seed ${entry.seed}`}`,
      ),
    ),
    phantoms(id),
  );
  const again =
    meta.text && meta.is_made
      ? el(
          "button",
          {
            className: "secondary",
            title: "Put this report into the form",
            onclick: () => fill(meta.text, meta.sidecar?.seed ?? null),
          },
          "Edit report",
        )
      : null;
  const reconstruct = el(
    "button",
    {
      className: "secondary",
      title: "What the tokenizer makes of this volume",
      onclick: async () => {
        try {
          const job = await post("/api/jobs", { kind: "reconstruct", volume: id });
          location.hash = `#/job/${job.id}`;
          follow();
        } catch (error) {
          say(error.message);
        }
      },
    },
    "Reconstruct",
  );
  return el("div", { className: "actions" }, select, again, reconstruct);
}

function phantoms(id) {
  return Array.from({ length: 6 }, (_, place) => place + 1)
    .filter((number) => `phantom/${number}` !== id)
    .map((number) => el("option", { value: `phantom/${number}` }, `True phantom ${number}`));
}

export function downloads(meta) {
  const kinds = [
    ["nifti", "NIfTI, in HU"],
    ["png", "PNG, three planes"],
    ["gif", "GIF, through the slices"],
  ];
  if (meta.sidecar) kinds.push(["json", "Sidecar, JSON"]);
  const links = kinds.map(([format, text]) => {
    const shown = new URLSearchParams({ volume: meta.volume, state: meta.state, format }); // not what came after
    return el("a", { href: `/api/file?${shown}`, download: "", data: { format } }, text);
  });
  const menu = el(
    "details",
    { className: "menu", id: "download" },
    el("summary", {}, "Download"),
    el("div", {}, links),
  );
  menu.addEventListener("focusout", (event) => {
    if (!menu.contains(event.relatedTarget)) setTimeout(() => (menu.open = false), 200);
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  return menu;
}

export function aboutVolume(meta) {
  const [z, y, x] = meta.shape_zyx;
  const facts = [
    ["Voxels", `${z} × ${y} × ${x}`],
    ["Spacing", `${meta.spacing_mm_zyx.map((mm) => mm.toPrecision(3)).join(" × ")} mm`],
  ];
  for (const [key, name] of [
    ["seed", "Seed"],
    ["reconstruction_of", "Of"],
    ["grid_psnr_db", "PSNR, model's grid"],
    ["grid_ssim", "SSIM, model's grid"],
  ]) {
    const value = meta.sidecar?.[key];
    if (value !== undefined && value !== null)
      facts.push([name, typeof value === "number" && !Number.isInteger(value) ? value.toFixed(3) : String(value)]);
  }
  const { tokens, upscale } = meta.sidecar ?? {};
  for (const [name, value] of [
    ["Token steps", tokens?.steps],
    ["Guidance", tokens?.guidance],
    ["Upscaling steps", upscale?.steps],
  ])
    if (typeof value === "number") facts.push([name, value]);
  if (meta.hu && !meta.is_made) facts.push(["HU", meta.hu]);
  return el(
    "aside",
    { className: "about", "aria-label": "About this volume" },
    el("h2", {}, meta.title),
    meta.notice ? el("p", { className: "stamp" }, meta.notice) : null,
    meta.doubt ? el("p", { className: "error" }, meta.doubt) : null,
    actions(meta),
    el("h3", {}, "Report"),
    meta.text
      ? el("p", { className: "report" }, meta.text)
      : el("p", { className: "quiet small" }, "None is known for this volume."),
    el(
      "dl",
      { className: "facts" },
      facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]),
    ),
    meta.sidecar
      ? el("details", {}, el("summary", {}, "Sidecar"), el("pre", {}, JSON.stringify(meta.sidecar, null, 1)))
      : null,
  );
}
