// Volumes that lie elsewhere: in the opened folders, or a file from this computer.
import { get, send } from "./api.js";
import { el, say } from "./dom.js";

const view = (volume) => (location.hash = `#/view/${encodeURIComponent(volume)}`);

export function makeOpening(host, about) {
  const rows = el("div", { className: "rows" });
  const where = el("p", { className: "small quiet" });
  const roots = () => {
    where.textContent = about.folders.length ? "Opened folders" : "";
    rows.replaceChildren(
      ...(about.folders.length
        ? about.folders.map((name, number) => row("folder", name, () => enter(String(number), [name])))
        : [
            el(
              "p",
              { className: "empty" },
              "No folder is open. Start the server with ",
              el("code", {}, "browse=FOLDER"),
              " to look through one.",
            ),
          ]),
    );
  };
  const enter = async (place, names) => {
    try {
      const { folders, volumes, is_cut: isCut } = await get("/api/folder", { place });
      where.textContent = names.join(" / ");
      const back = () =>
        names.length > 1 ? enter(place.slice(0, place.lastIndexOf("/")), names.slice(0, -1)) : roots();
      rows.replaceChildren(
        row("back", "‥", back),
        ...folders.map((folder) => row("folder", folder.name, () => enter(folder.place, [...names, folder.name]))),
        ...volumes.map((volume) => row("CT", volume.name, () => view(volume.volume))),
        ...(folders.length + volumes.length ? [] : [el("p", { className: "empty" }, "No volumes here.")]),
        ...(isCut ? [el("p", { className: "small quiet" }, "There is more than can be listed.")] : []),
      );
    } catch (error) {
      say(error.message);
    }
  };
  const phantoms = about.examples
    .filter(({ truth }) => truth)
    .map(({ title, text, truth }) =>
      el("button", { className: "chip", title: text, onclick: () => view(truth) }, title),
    );
  host.replaceChildren(
    where,
    rows,
    drop(about),
    el("h3", { className: "quiet" }, "True phantoms"),
    el("div", { className: "chips" }, phantoms),
  );
  roots();
}

function row(kind, name, open) {
  return el("button", { onclick: open }, el("span", { className: "kind" }, kind), el("span", {}, name));
}

function drop(about) {
  const megabytes = about.max_upload_bytes / 1e6;
  const input = el("input", { id: "file", type: "file", accept: ".nii,.gz" });
  const place = el(
    "div",
    { className: "drop" },
    input,
    el("label", { for: "file" }, "Open a NIfTI file"),
    ` or drop it here. At most ${megabytes} MB; it is read into memory and kept nowhere.`,
  );
  const take = async (file) => {
    if (!file) return;
    if (file.size > about.max_upload_bytes) {
      say(
        `${file.name} has ${(file.size / 1e6).toFixed(0)} MB; at most ${megabytes} MB may be sent. Open its folder with browse=FOLDER instead.`,
      );
      return;
    }
    try {
      view((await send(`/api/uploads?${new URLSearchParams({ name: file.name })}`, file)).volume);
    } catch (error) {
      say(error.message);
    }
    input.value = "";
  };
  input.addEventListener("change", () => take(input.files[0]));
  for (const [name, over] of [
    ["dragover", true],
    ["dragleave", false],
    ["drop", false],
  ]) {
    place.addEventListener(name, (event) => {
      event.preventDefault();
      place.classList.toggle("over", over);
      if (name === "drop") take(event.dataTransfer.files[0]);
    });
  }
  return place;
}
