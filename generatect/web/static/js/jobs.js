// Jobs while they run: a line each beneath the column, and the whole stage for the one that is watched.
import { cancel, get } from "./api.js";
import { el, say } from "./dom.js";
import { refreshHistory } from "./history.js";

const EVERY_MS = 350;
const NAMES = { tokens: "Tokens", slices: "Slices", reconstruction: "Reconstruction" };
const watchers = new Set();
let timer = null;
let turn = 0;
const seen = new Map();

const isOpen = (job) => job.state === "waiting" || job.state === "running";

// Asks how far the jobs are until none is left to wait for.
export async function follow() {
  clearTimeout(timer);
  const mine = (turn += 1);
  let jobs = [];
  try {
    jobs = await get("/api/jobs");
  } catch (error) {
    say(error.message);
    return;
  }
  if (mine !== turn) return; // asked anew meanwhile
  showQueue(jobs);
  for (const job of jobs) {
    if (seen.get(job.id) !== job.state && job.state === "done") refreshHistory();
    seen.set(job.id, job.state);
  }
  watchers.forEach((watcher) => watcher(jobs));
  if (jobs.some(isOpen)) timer = setTimeout(follow, EVERY_MS);
}

function stop(job) {
  cancel(job).then(follow, (error) => say(error.message));
}

function share(job) {
  const stage = job.stages.at(-1);
  return stage ? stage.done / stage.total : 0;
}

function showQueue(jobs) {
  const place = document.getElementById("queue");
  const open = jobs.filter(isOpen);
  place.hidden = !open.length;
  place.replaceChildren(
    ...open.map((job) =>
      el(
        "div",
        { className: "job" },
        el(
          "div",
          { className: "line" },
          el("a", { className: "title", href: `#/job/${job.id}`, title: job.title }, job.title),
          el("span", { className: "quiet small" }, job.stopping ? "stopping" : job.state),
          el("button", { className: "link small", onclick: () => stop(job) }, "Cancel"),
        ),
        job.state === "running" ? el("progress", { max: 1, value: share(job), "aria-label": "progress" }) : null,
      ),
    ),
  );
}

function settings(job) {
  return Object.entries(job.settings)
    .map(([name, value]) => `${name} ${value}`)
    .join("  ·  ");
}

function stages(job) {
  return job.stages.map(({ label, done, total }) =>
    el(
      "div",
      { className: "stage" },
      el("span", {}, NAMES[label] ?? label),
      el("progress", { max: total, value: done, "aria-label": label }),
      el("span", { className: "small" }, `${done} of ${total}`),
    ),
  );
}

// What was made; a reconstruction beside its original.
async function open(job) {
  const volume = encodeURIComponent(job.volume);
  const { sidecar } = job.kind === "reconstruct" ? await get("/api/volume", { volume: job.volume }) : {};
  location.replace(sidecar?.source ? `#/compare/${encodeURIComponent(sidecar.source)}/${volume}` : `#/view/${volume}`);
}

const TITLES = {
  waiting: "Waiting for its turn",
  running: "Being made",
  cancelled: "Cancelled",
  failed: "Not made",
  done: "Made",
};

// The stage of one job; opens the volume when it is made.
export async function showJob(main, id) {
  const picture = el("img", { alt: "the volume so far", hidden: true });
  const waiting = el("span", { className: "small" }, "The first picture comes after the first step.");
  const parts = {
    title: el("h1"),
    text: el("blockquote"),
    meta: el("p", { className: "quiet small" }),
    stages: el("div", { className: "stages" }),
    error: el("p", { className: "error", hidden: true }),
  };
  const button = el("button", { className: "secondary", id: "cancel" }, "Cancel");
  const film = el("div", { className: "film" }, picture, waiting, el("span", { className: "tag" }, "SYNTHETIC"));
  main.replaceChildren(
    el(
      "div",
      { className: "making" },
      parts.title,
      parts.text,
      film,
      parts.stages,
      parts.error,
      parts.meta,
      el("div", {}, button),
    ),
  );
  let pictures = 0;
  const watcher = (jobs) => {
    const job = jobs.find((other) => other.id === id);
    if (!job) {
      parts.title.textContent = "This job is no longer known";
      film.hidden = button.hidden = true;
      return;
    }
    if (job.state === "done") {
      watchers.delete(watcher);
      open(job).catch((error) => say(error.message));
      return;
    }
    parts.title.textContent = job.stopping ? "Stopping" : TITLES[job.state];
    parts.text.textContent = job.title;
    const took = job.seconds === null ? "" : `${Math.round(job.seconds)} s`;
    const left = job.left === null ? "" : `about ${job.left} left`;
    parts.meta.textContent = [settings(job), took, left].filter(Boolean).join("  ·  ");
    parts.stages.replaceChildren(...stages(job));
    parts.error.textContent = job.error ?? "";
    parts.error.hidden = !job.error;
    button.hidden = !isOpen(job);
    button.onclick = () => stop(job);
    film.hidden = !isOpen(job);
    if (job.pictures > pictures && job.state === "running") {
      pictures = job.pictures;
      picture.src = `/api/jobs/${job.id}/picture?number=${pictures}`;
      picture.hidden = false;
      waiting.hidden = true;
    }
  };
  watchers.add(watcher);
  await follow();
  return { close: () => watchers.delete(watcher) };
}
