// What was made, newest first.
import { get } from "./api.js";
import { el, say } from "./dom.js";
import { stampOf } from "./tools.js";

let known = [];

export const made = () => known;

export function card(entry) {
  const source = { volume: entry.volume, state: entry.state }; // a replaced file has another picture
  return el(
    "button",
    {
      className: "card",
      title: entry.title,
      data: { volume: entry.volume },
      "aria-current": String(location.hash.endsWith(`/${encodeURIComponent(entry.volume)}`)),
      onclick: () => (location.hash = `#/view/${encodeURIComponent(entry.volume)}`),
    },
    el("img", { src: `/api/thumbnail?${new URLSearchParams(source)}`, alt: "", loading: "lazy" }),
    el("span", { className: "title" }, entry.title),
    el(
      "span",
      { className: "meta" },
      el("span", { className: "tag" }, stampOf(entry)),
      entry.seed === null ? null : el("span", {}, `seed ${entry.seed}`),
      el("span", {}, entry.made),
    ),
  );
}

export async function refreshHistory() {
  const place = document.getElementById("history");
  try {
    known = await get("/api/history");
  } catch (error) {
    say(error.message);
    return;
  }
  place.replaceChildren(
    known.length
      ? el("div", { className: "cards" }, known.map(card))
      : el(
          "p",
          { className: "empty" },
          "Nothing has been made yet. What you generate is kept here, also after a restart.",
        ),
  );
}
