// What moves on the dashboard: live runs, windows into logs, keys. Pages work without it. Text only ever becomes text.
"use strict";

const HEIGHT = 20;      // of a line, in pixels, as in style.css
const TALLEST = 8e6;    // of a scrolled area: browsers have a limit, and longer logs are scrolled in larger steps
const BLOCK = 500;      // lines that are asked for at once
const KEPT = 40;        // blocks that are kept

// --- A window into a log -------------------------------------------------------------------------------------------

class Log {
  constructor(address) {
    this.address = address;
    this.total = 0;
    this.blocks = new Map();
    this.asked = new Set();
    this.follows = true;
    this.element = document.createElement("div");
    this.element.className = "log window";
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "log");
    this.space = this.element.appendChild(document.createElement("div"));
    this.space.className = "space";
    this.element.addEventListener("scroll", () => this.scrolled());
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  get scale() { return Math.max(1, this.total * HEIGHT / TALLEST); }
  get first() { return Math.floor(this.element.scrollTop * this.scale / HEIGHT); }
  get fits() { return Math.ceil(this.element.clientHeight / HEIGHT) + 1; }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    this.follows = scrollTop + clientHeight >= scrollHeight - 2 * HEIGHT;
    this.draw();
  }

  // Lines that came by the stream, or from the server's answer.
  take({ total, from, lines }) {
    lines.forEach((line, at) => this.put(from + at, line));
    if (total !== this.total) {
      this.total = total;
      this.space.style.height = `${Math.min(total * HEIGHT, TALLEST)}px`;
      this.element.style.height = `${total * HEIGHT + 24}px`;
    }
    if (this.follows) this.element.scrollTop = this.element.scrollHeight;
    this.draw();
  }

  put(number, line) {
    const key = Math.floor(number / BLOCK);
    let block = this.blocks.get(key);
    if (!block) {
      block = [];
      this.blocks.set(key, block);
      if (this.blocks.size > KEPT) this.forget(key);
    }
    block[number % BLOCK] = line;
  }

  forget(but) {
    const here = Math.floor(this.first / BLOCK);
    const far = [...this.blocks.keys()].filter((key) => key !== but)
      .sort((a, b) => Math.abs(b - here) - Math.abs(a - here))[0];
    this.blocks.delete(far);
  }

  async ask(key) {
    if (this.asked.has(key)) return;
    this.asked.add(key);
    try {
      const answer = await fetch(`${this.address}/lines?from=${key * BLOCK}&count=${BLOCK}`);
      if (answer.ok) this.take(await answer.json());
    } catch { /* The next look asks again. */ } finally { this.asked.delete(key); }
  }

  draw() {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => { this.waits = false; this.paint(); });
  }

  paint() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    const last = Math.max(0, this.total - this.fits + 1);
    const atEnd = scrollTop + clientHeight >= scrollHeight - 1;
    const first = this.scale > 1 && atEnd ? last : Math.min(this.first, last);
    const end = Math.min(this.total, first + this.fits);
    // Where a pixel is more than a line, lines stand where one looks, and the last ones at the very end.
    const scaled = end === this.total ? this.space.clientHeight - (end - first) * HEIGHT : scrollTop;
    const offset = this.scale > 1 ? scaled : first * HEIGHT;
    const rows = [];
    for (let number = first; number < end; number++) {
      const key = Math.floor(number / BLOCK);
      const line = this.blocks.get(key)?.[number % BLOCK];
      if (!line) this.ask(key);
      const row = document.createElement("div");
      row.className = "line";
      row.style.top = `${offset + (number - first) * HEIGHT}px`;
      const label = row.appendChild(document.createElement("span"));
      label.className = "n";
      label.textContent = number + 1;
      for (const [look, text] of line ?? []) {
        const piece = row.appendChild(document.createElement("span"));
        piece.className = look;
        piece.textContent = text;
      }
      rows.push(row);
    }
    this.space.replaceChildren(...rows);
  }
}

// --- A run ---------------------------------------------------------------------------------------------------------

const run = document.getElementById("run");
const logs = new Map();
let stream;
let shown;

function show(status, word) {
  if (!status || status.classList.contains(word)) return;
  status.className = `status ${word}`;
  status.lastChild.textContent = word;
}

function update(state) {
  show(run.querySelector(".status"), state.status);
  if (state.took) run.querySelector(".run-took").textContent = state.took;
  state.jobs.forEach((job, at) => {
    const section = document.querySelector(`[data-job="${at}"]`);
    if (!section) return;
    show(section.querySelector("h2 .status"), job.status);
    if (job.took) section.querySelector("h2 .took").textContent = job.took;
    document.querySelector(`[data-node="${at}"]`)?.setAttribute("class", `node ${job.status}`);
    job.steps.forEach((step, place) => {
      const details = section.querySelector(`[data-step="${place}"]`);
      show(details.querySelector(".status"), step.status);
      if (step.took) details.querySelector(".took").textContent = step.took;
      if (step.message) details.querySelector(".why").textContent = step.message;
      if (step.begun) details.dataset.begun = "";
      // The first step that runs is what people want to see.
      if (step.status === "running" && !document.querySelector(".step[open]")) details.open = true;
    });
  });
}

function watch(details) {
  stream?.close();
  if (!run || !("live" in run.dataset)) return;
  const step = details && `?job=${details.closest("[data-job]").dataset.job}&step=${details.dataset.step}`;
  stream = new EventSource(`/runs/${run.dataset.run}/live${step ?? ""}`);
  stream.addEventListener("state", (event) => update(JSON.parse(event.data)));
  stream.addEventListener("log", (event) => logs.get(details)?.take(JSON.parse(event.data)));
  stream.addEventListener("end", () => {
    stream.close();
    delete run.dataset.live;
    // What can be done with the run is another now, and what failed stands on top.
    if (!shown || shown.follows) location.reload();
  });
}

async function open(details) {
  const job = details.closest("[data-job]").dataset.job;
  const address = `/runs/${run.dataset.run}/log/${job}/${details.dataset.step}`;
  let log = logs.get(details);
  if (!log) {
    log = new Log(address);
    logs.set(details, log);
    details.append(log.element);
    const answer = await fetch(`${address}/lines?count=${BLOCK}`);
    if (answer.ok) log.take(await answer.json());
  }
  shown = log;
  watch(details);
}

if (run) {
  for (const details of document.querySelectorAll(".step")) {
    details.addEventListener("toggle", () => {
      if (details.open) {
        for (const other of document.querySelectorAll(".step[open]")) if (other !== details) other.open = false;
        open(details);
      }
    });
  }
  watch();
  const failed = document.querySelector(".step .status.failure, .step .status.error")?.closest(".step");
  if (!("live" in run.dataset) && failed && location.hash === "#log") failed.open = true;
}

// --- Keys and theme ------------------------------------------------------------------------------------------------

const theme = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
if (theme) document.documentElement.dataset.theme = theme;

function turn() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try { localStorage.setItem("theme", next); } catch { /* Then it lasts as long as the page. */ }
}

function step(by) {
  const all = [...document.querySelectorAll(".runs a, .step summary")];
  const at = all.indexOf(document.activeElement);
  all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))]?.focus();
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  t: turn,
  g: () => { location.href = "/"; },
  h: () => { location.href = "/runs"; },
  "/": () => {
    const search = document.querySelector("input[type=search]");
    if (search) search.focus(); else location.href = "/runs";
  },
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const act = KEYS[event.key];
  if (act) { event.preventDefault(); act(); }
});
