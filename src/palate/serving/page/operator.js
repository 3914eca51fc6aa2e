// The page of the person who runs the service: figures, models, data, events, and users' rights.

import { api, item as noted, knownItem } from "./api.js";
import { bars, lines } from "./chart.js";
import { announce, calm, find, h, icon, plural } from "./dom.js";
import { attempt, shell } from "./shell.js";

const EVERY = 5000;
const KEPT = 200;
const number = (value) => Number(value ?? 0).toLocaleString("en-GB");
const percent = (part, whole) => (whole > 0 ? `${((100 * part) / whole).toFixed(part / whole < 0.1 ? 1 : 0)}%` : "–");
const ms = (value) => (value === null || value === undefined ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);

// --- figures ------------------------------------------------------------------------------------

/** The summary as it is drawn: minutes without an answer are gaps, not noughts. */
function figures(raw) {
  const points = raw.minutes.map((minute) => ({ ...minute, at: minute.minute, answered: minute.requests - minute.fallbacks }));
  const sum = (name) => points.reduce((whole, point) => whole + point[name], 0);
  return {
    ...raw,
    points,
    requests: sum("requests"),
    fallbacks: sum("fallbacks"),
    latest: points.findLast((point) => point.p95_ms !== null)?.p95_ms ?? null,
    checks: [...raw.health, lost(raw.answers_not_recorded)],
  };
}

const lost = (count) => ({
  name: "Recorded",
  state: count ? "warn" : "ok",
  text: count ? `${plural(count, "answer")} could not be recorded: click-through is counted too low.` : "Every answer is recorded, so click-through can be counted.",
});

const words = (name) => name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");

function draw(shown) {
  const { counts, cache } = shown;
  const tiles = [
    ["Users stored", number(counts.users)],
    ["Items stored", number(counts.items)],
    ["Events stored", number(counts.events)],
    ["Requests, last hour", number(shown.requests)],
    ["Latency, p95 now", ms(shown.latest)],
    ["Fallbacks, last hour", percent(shown.fallbacks, shown.requests)],
    ["Cache hits", percent(cache.hits, cache.hits + cache.misses)],
    ["Waiting now", number(shown.queue_length)],
  ];
  find("#tiles").replaceChildren(...tiles.map(([name, value]) => h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value))));
  find("#mode").textContent = shown.open ? "Open mode: this server asks for no key, and answers this machine alone." : "";
  drawCharts(shown);
  find("#models").replaceChildren(...shown.models.map(model));
  find("#health").replaceChildren(...shown.checks.map(check));
  drawRoutes(shown.routes);
}

function drawCharts({ points }) {
  const latency = find("#latency");
  const fallbacks = find("#fallbacks");
  if (latency.contains(document.activeElement) || fallbacks.contains(document.activeElement)) return; // somebody reads the numbers
  if ([...document.querySelectorAll(".numbers")].some((details) => details.open)) return;
  if (points.length < 2) {
    for (const place of [latency, fallbacks]) place.replaceChildren(h("p", { class: "soft" }, "Nothing was asked yet."));
    return;
  }
  const kinds = [["p50_ms", "p50", "one"], ["p95_ms", "p95", "two"], ["p99_ms", "p99", "three"]];
  latency.replaceChildren(lines(points, kinds.map(([name, label, kind]) => ({ name, label, class: kind })), "Latency by minute in milliseconds"));
  fallbacks.replaceChildren(
    bars(points, [{ name: "answered", label: "by a model", class: "one" }, { name: "fallbacks", label: "by a fallback", class: "two" }], "Answers by minute, by a model and by a fallback"),
  );
}

function model(one) {
  const tasks = [...one.tasks.map(({ family }) => family), ...(one.answers_in_words ?? []).map((family) => `${family} in words`)];
  const lacks = one.cannot.map(({ what }) => what.replaceAll("_", " "));
  return h(
    "li",
    { class: "model" },
    h("div", { class: "model-head" }, h("h3", { dir: "auto" }, one.name), h("code", {}, one.version), h("span", { class: "share" }, `${Math.round(one.share * 100)}% of the traffic`)),
    h("div", { class: "meter", vars: { "--share": one.share }, "aria-hidden": "true" }),
    h("p", {}, h("span", { class: "soft" }, "Answers "), tasks.join(", ") || "–"),
    lacks.length > 0 && h("p", {}, h("span", { class: "soft" }, "Cannot "), lacks.join(", ")),
    h("p", {}, h("span", { class: "soft" }, "Followed "), `${percent(one.clicked, one.shown)} of ${plural(one.shown, "answer")}`),
  );
}

const SAID = { ok: "fine", warn: "look at this", bad: "wrong" };

function check({ name, state, text }) {
  return h("li", { class: `check-line ${state}` }, icon(SAID[state] ? state : "warn"), h("div", {}, h("strong", {}, name, h("span", { class: "only-read" }, `: ${SAID[state] ?? state}`)), h("p", { dir: "auto" }, text)));
}

function drawRoutes(routes) {
  const busiest = routes.filter(({ route }) => route.startsWith("/v1/")).sort((one, two) => (two.requests ?? 0) - (one.requests ?? 0));
  find("#routes").replaceChildren(
    ...busiest.map((route) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, route.route)), [number(route.requests), ms(route.p50_ms), ms(route.p95_ms), ms(route.p99_ms)].map((cell) => h("td", {}, cell)))),
  );
}

let looking;
function look() {
  clearTimeout(looking);
  return attempt("summary", async () => {
    draw(figures(await api.summary()));
    clearTimeout(looking);
    looking = setTimeout(() => (document.hidden ? null : look()), EVERY);
  });
}

// --- the stream of events -----------------------------------------------------------------------

const stream = find("#stream");
let paused = false;
let held = [];
let following = new AbortController();
let last = null;
const untitled = [];
let asking = false;

function state(text, kind) {
  find("#stream-state").replaceChildren(h("span", { class: `dot ${kind}` }), text);
}

function put(event) {
  if (paused) {
    held.push(event);
    held = held.slice(-KEPT);
    find("#pause").textContent = `Go on (${held.length} waiting)`;
    return;
  }
  const row = line(event);
  stream.prepend(row);
  while (stream.children.length > KEPT) stream.lastChild.remove();
  find("#stream-empty").hidden = true;
  if (!calm()) row.animate([{ opacity: 0, transform: "translateY(-8px)" }, { opacity: 1, transform: "none" }], { duration: 260, easing: "ease-out" });
}

function line(event) {
  const at = new Date(1000 * (event.received_at ?? event.timestamp));
  const title = h("bdi", { class: "what" }, event.title ?? knownItem(event.item_id)?.title ?? event.item_id);
  if (!event.title) entitle(event.item_id, title);
  return h(
    "li",
    {},
    h("time", { datetime: at.toISOString() }, at.toLocaleTimeString("en-GB")),
    h("span", { class: "kind" }, event.event_type, event.value === null || event.value === undefined ? "" : ` ${event.value}`),
    h("button", { type: "button", class: "link", onclick: () => meet(String(event.user_id)), "aria-label": `Look up the user ${event.user_id}` }, h("bdi", {}, String(event.user_id))),
    title,
    event.recommendation_id && h("span", { class: "from" }, "recommended"),
  );
}

/** Put the title where the id stands; one at a time, the newest first, and never too many. */
async function entitle(id, place) {
  if (knownItem(id)) return;
  untitled.push([id, place]);
  if (untitled.length > 30) untitled.shift();
  if (asking) return;
  asking = true;
  for (let next = untitled.pop(); next; next = untitled.pop()) {
    const [wanted, there] = next;
    try {
      there.textContent = (knownItem(wanted) ?? (await api.item(wanted))).title;
    } catch {
      noted({ item_id: wanted }); // the id stays; it is not asked for again
    }
  }
  asking = false;
}

async function follow() {
  following.abort();
  following = new AbortController();
  const { signal } = following;
  for (let wait = 1; !signal.aborted; wait = Math.min(30, wait * 2)) {
    try {
      state("connecting", "idle");
      const opened = () => state("live", "live");
      for await (const event of api.events({ after: last, opened }, signal)) {
        wait = 1;
        last = event.sequence ?? last;
        put(event);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401 || error.status === 403) return state("needs a key", "bad");
    }
    if (signal.aborted) return;
    state(`connecting again in ${wait} s`, "bad");
    await new Promise((done) => { setTimeout(done, wait * 1000); });
  }
}

function pause() {
  paused = !paused;
  find("#pause").setAttribute("aria-pressed", String(paused));
  find("#pause").textContent = paused ? "Go on" : "Pause";
  if (!paused) for (const event of held.splice(0)) put(event);
}

// --- one user -----------------------------------------------------------------------------------

const panel = find("#user");

function meet(id) {
  find("#user-id").value = id;
  return attempt("user", async () => {
    let past;
    try {
      past = await api.history(id);
    } catch (error) {
      if (error.status !== 404) throw error;
      past = [];
    }
    panel.hidden = false;
    panel.replaceChildren(
      h("h3", {}, h("bdi", {}, id)),
      h("p", { class: "soft" }, past.length ? `${plural(past.length, "event")} in the history` : "No events are known of this user."),
      past.length > 0 && h("ul", { class: "chips" }, past.slice(-8).reverse().map((event) => h("li", { dir: "auto" }, knownItem(event.id)?.title ?? event.id))),
      h(
        "p",
        { class: "actions" },
        h("a", { class: "pill", href: `./?${new URLSearchParams({ user: id })}` }, "See the recommendations"),
        h("button", { type: "button", class: "pill", onclick: () => save(id) }, "Export"),
        h("button", { type: "button", class: "pill danger", onclick: () => really(id) }, "Delete…"),
      ),
    );
    announce(`${id}: ${plural(past.length, "event")}`);
  });
}

function save(id) {
  return attempt("export", async () => {
    const known = await api.exported(id);
    const address = URL.createObjectURL(new Blob([JSON.stringify(known, null, 2)], { type: "application/json" }));
    const link = h("a", { href: address, download: `${id.replace(/[^\w.-]+/g, "_").slice(0, 60) || "user"}.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    announce("The export is saved.");
  });
}

const dialog = find("#erase-dialog");
let leaving = null;

function really(id) {
  leaving = id;
  find("#erase-name").textContent = id;
  find("#erase-typed").value = "";
  find("#erase-do").disabled = true;
  find("#erase-form").hidden = false;
  find("#erase-done").hidden = true;
  dialog.showModal();
  find("#erase-typed").focus();
}

const GONE = {
  events: ["event", "events"],
  recommendations: ["recommendation", "recommendations"],
  idempotency_keys: ["idempotency key", "idempotency keys"],
  training_events: ["event of the model's training", "events of the model's training"],
};

/** What was deleted, in words: numbers of things, and records that were there or not. */
function gone(answer) {
  return Object.entries(answer.erased)
    .map(([name, value]) => {
      if (typeof value === "boolean") return `${words(name)}: ${value ? "deleted" : "there was none"}`;
      return GONE[name] ? plural(value, ...GONE[name]) : `${words(name)}: ${number(value)}`;
    });
}

async function erase() {
  const id = leaving;
  find("#erase-do").disabled = true;
  try {
    const answer = await api.erase(id);
    find("#erase-form").hidden = true;
    find("#erase-done").hidden = false;
    find("#erase-list").replaceChildren(...gone(answer).map((text) => h("li", {}, text)));
    find("#erase-close").focus();
    panel.hidden = true;
    announce(`Everything about ${id} is deleted.`);
    look();
  } catch (error) {
    if (error.status === undefined) throw error;
    find("#erase-said").replaceChildren(h("strong", {}, error.title), " ", error.advice);
    find("#erase-said").hidden = false;
    find("#erase-do").disabled = false;
  }
}

function start() {
  look();
  last = null;
  stream.replaceChildren();
  follow();
}

find("#pause").addEventListener("click", pause);
find("#user-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = find("#user-id").value.trim();
  if (id) meet(id);
});
find("#erase-typed").addEventListener("input", () => {
  find("#erase-do").disabled = find("#erase-typed").value.trim() !== leaving;
  find("#erase-said").hidden = true;
});
find("#erase-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!find("#erase-do").disabled) erase();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });

attempt("people", async () => {
  const { rows } = await api.users({ limit: 100 });
  find("#people").replaceChildren(...rows.map((id) => h("option", { value: id })));
});
shell(start);
start();
