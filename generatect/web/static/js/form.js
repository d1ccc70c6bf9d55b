// What is to be generated: a report, a seed, how many steps, how closely the text is followed; and what that costs.
import { get, post } from "./api.js";
import { el } from "./dom.js";
import { follow } from "./jobs.js";

let report = null;

export function fill(text, seed = null) {
  document.querySelector('[data-tab="new"]').click();
  report.value = text;
  if (seed !== null) document.getElementById("seed").value = seed;
  report.focus();
}

function number(id, label, value, limits, title) {
  const input = el("input", { id, type: "number", value, required: true, ...limits });
  return el("label", { title }, label, input);
}

function settings() {
  const value = (id) => document.getElementById(id).valueAsNumber;
  return { steps: value("steps"), guidance: value("guidance"), upscale_steps: value("upscale-steps") };
}

export function makeForm(host, about) {
  report = el("textarea", {
    id: "report",
    placeholder: "There is a large pleural effusion on the right. The heart is enlarged. No nodule is seen.",
    maxLength: 20000,
    spellcheck: false,
  });
  const chips = el("div", { className: "chips" });
  about.examples.forEach((example) => {
    chips.append(
      el(
        "button",
        { type: "button", className: "chip", title: example.text, onclick: () => fill(example.text) },
        example.title,
      ),
    );
  });
  const seed = el("input", { id: "seed", type: "number", value: 0, min: 0, max: 4294967295, step: 1, required: true });
  const dice = el(
    "button",
    {
      type: "button",
      className: "secondary",
      title: "Another seed",
      onclick: () => (seed.value = Math.floor(Math.random() * 2 ** 32)),
    },
    "Random",
  );
  const cost = el("p", { id: "cost", className: "cost" });
  const error = el("p", { className: "error", hidden: true, role: "alert" });
  const button = el("button", { id: "generate", className: "primary", type: "submit" }, "Generate");
  const truth = el("p", { className: "small", hidden: true });
  const form = el(
    "form",
    { className: "form", noValidate: true },
    el("label", { for: "report" }, "Report", report),
    truth,
    el("details", {}, el("summary", { className: "small quiet" }, "Examples"), chips),
    el("label", { for: "seed" }, "Seed", el("span", { className: "seed" }, seed, dice)),
    el(
      "div",
      { className: "numbers" },
      number(
        "steps",
        "Token steps",
        about.defaults.steps,
        { min: 1, max: 1000, step: 1 },
        "How many rounds reveal the tokens",
      ),
      number(
        "guidance",
        "Guidance",
        about.defaults.guidance,
        { min: 0, max: 100, step: "any" },
        "How closely the report is followed; 1 is without guidance",
      ),
      number(
        "upscale-steps",
        "Upscaling steps",
        about.defaults.upscale_steps,
        { min: 1, max: 1000, step: 1 },
        "Denoising steps of each slice",
      ),
    ),
    cost,
    error,
    button,
  );
  form.querySelector("details").open = innerHeight > 800;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.hidden = true;
    button.disabled = true;
    try {
      const job = await post("/api/jobs", { prompt: report.value, seed: seed.valueAsNumber, ...settings() });
      location.hash = `#/job/${job.id}`;
      follow();
    } catch (refusal) {
      show(error, refusal.message, "request");
    }
    button.disabled = false;
  });
  report.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  const reportChanged = () => showTruth(truth, about.examples);
  report.addEventListener("input", reportChanged);
  report.addEventListener("focus", reportChanged);
  form.addEventListener("input", () => showCost(cost, error));
  host.replaceChildren(form);
  showCost(cost, error);
}

function showTruth(place, examples) {
  const example = examples.find(({ text, truth }) => truth && text === report.value);
  place.hidden = !example;
  if (example)
    place.replaceChildren(
      el("a", { href: `#/view/${encodeURIComponent(example.truth)}` }, "See the true phantom of this report"),
    );
}

function show(error, text, of) {
  error.textContent = text;
  error.dataset.of = of;
  error.hidden = false;
}

let asked = 0;

// The cost; what keeps it from being known is said where every error of the form is said.
async function showCost(place, error, delay = 250) {
  const mine = (asked += 1);
  await new Promise((resolve) => setTimeout(resolve, delay));
  if (mine !== asked) return;
  const query = Object.fromEntries(Object.entries(settings()).filter(([, value]) => Number.isFinite(value)));
  try {
    const { cost } = await get("/api/cost", query);
    if (mine !== asked) return;
    place.textContent = cost ? `One volume: ${cost}.` : "Timing the networks …";
    if (error.dataset.of === "settings") error.hidden = true;
    if (!cost) showCost(place, error, 1000);
  } catch (refusal) {
    place.textContent = "";
    show(error, refusal.message, "settings");
  }
}
