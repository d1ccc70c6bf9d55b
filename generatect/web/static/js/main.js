// The page: what its address names is shown on the stage, the column beside it makes and opens.
import { get } from "./api.js";
import { el, say } from "./dom.js";
import { showComparison } from "./comparing.js";
import { makeForm } from "./form.js";
import { showHelp } from "./help.js";
import { refreshHistory } from "./history.js";
import { follow, showJob } from "./jobs.js";
import { keys } from "./keys.js";
import { makeOpening } from "./opening.js";
import { showVolume } from "./viewing.js";
import { showWelcome } from "./welcome.js";

const main = document.getElementById("main");
let shown = { close() {} };
let turn = 0;
let again = null;

function address() {
  const [name = "", ...values] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return { name, values };
}

const PAGES = {
  view: ([volume], about) => showVolume(main, volume, about),
  compare: ([first, second]) => showComparison(main, first, second),
  job: ([id]) => showJob(main, id),
  "": (_values, about) => showWelcome(main, about),
};

async function show(about) {
  const mine = (turn += 1);
  shown.close();
  shown = { close() {} };
  main.replaceChildren(el("p", { className: "welcome quiet" }, "Opening …"));
  try {
    const { name, values } = address();
    const page = await (PAGES[name] ?? PAGES[""])(values, about);
    if (mine !== turn) return page.close();
    shown = page;
    scrollTo(0, 0); // where the page is narrow, the stage is above
    document.getElementById("notice").hidden = !isOfWeights(about.notice, page.metas ?? []);
  } catch (error) {
    if (mine !== turn) return;
    const back = el("p", {}, el("a", { href: "#/" }, "Back to the beginning"));
    main.replaceChildren(el("div", { className: "welcome" }, el("p", { className: "error" }, error.message), back));
  }
}

// Whether all that is shown, if anything is, was made by weights of which that must be said: a scan was not.
function isOfWeights(notice, metas) {
  const said = (meta) => `${meta.notice ?? ""} ${meta.sidecar?.weights_notice ?? ""}`;
  return Boolean(notice) && metas.every((meta) => said(meta).includes(notice));
}

function tabs() {
  const buttons = [...document.querySelectorAll("[data-tab]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) {
        other.setAttribute("aria-selected", String(other === button));
        document.getElementById(other.dataset.tab).hidden = other !== button;
      }
    });
  }
}

function bar() {
  document.getElementById("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem("theme", theme);
    document.documentElement.dataset.theme = theme;
  });
  document.getElementById("help").addEventListener("click", showHelp);
  document.getElementById("panels").addEventListener("click", () => document.body.classList.toggle("full"));
}

async function start() {
  history.replaceState(null, "", `/${location.hash}`); // the token is in a cookie now, and need not be seen
  const about = await get("/api/about");
  if (about.notice) {
    const notice = document.getElementById("notice");
    notice.textContent = `Weights: ${about.notice.split(";")[0]}`;
    notice.title = about.notice;
  }
  tabs();
  bar();
  makeForm(document.getElementById("new"), about);
  makeOpening(document.getElementById("open"), about);
  refreshHistory();
  follow();
  addEventListener("hashchange", () => show(about));
  addEventListener("changed", () => {
    say("The file has changed; this is what it holds now.");
    clearTimeout(again); // several requests may have met it
    again = setTimeout(() => show(about), 100);
  });
  addEventListener("keydown", (event) => keys(event, () => shown.viewer), { capture: true });
  await show(about);
}

start().catch((error) => say(error.message));
