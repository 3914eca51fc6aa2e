// What both pages share: messages when something fails, the key dialog, the shortcut of the search.

import { key } from "./api.js";
import { closable, find, h, icon } from "./dom.js";

const failed = new Map();
let counting;

/**
 * Run `act`; when it fails, say so with a way to try again, and when it succeeds, take that back.
 * A busy server is asked again by itself, after as long as it wants.
 */
export async function attempt(name, act, { tries = 0 } = {}) {
  try {
    const result = await act();
    if (failed.delete(name)) draw();
    return result;
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    if (error.status === undefined) throw error;
    failed.set(name, { error, again: () => attempt(name, act, { tries: tries + 1 }), tries });
    draw();
    return undefined;
  }
}

/** Forget a failure that no longer matters. */
export function settle(name) {
  if (failed.delete(name)) draw();
}

function again() {
  clearInterval(counting);
  const waiting = [...failed.values()];
  failed.clear();
  draw();
  for (const { again: retry } of waiting) retry();
}

function draw() {
  clearInterval(counting);
  const shown = find("#notices");
  const kinds = new Map();
  for (const failure of failed.values()) kinds.set(failure.error.title, failure);
  shown.replaceChildren(...[...kinds.values()].map(notice));
  const busy = [...failed.values()].find(({ error, tries }) => error.status === 503 && tries < 5);
  if (busy) countdown(busy.error.retryAfter ?? 2);
}

function notice({ error }) {
  const locked = error.status === 401 || error.status === 403;
  return h(
    "div",
    { class: "notice", role: "alert", "data-status": error.status },
    icon("warn"),
    h("div", {}, h("strong", { dir: "auto" }, error.title), error.advice && h("p", { dir: "auto" }, error.advice), h("p", { class: "soft wait" })),
    h(
      "div",
      { class: "notice-do" },
      locked && h("button", { type: "button", class: "pill strong", onclick: openKey }, "Enter a key"),
      h("button", { type: "button", class: "pill", onclick: again }, "Try again"),
    ),
  );
}

function countdown(seconds) {
  let left = Math.min(30, Math.ceil(seconds));
  const tell = () => {
    const line = find('[data-status="503"] .wait');
    if (line) line.textContent = `Asking again in ${left} s.`;
  };
  tell();
  counting = setInterval(() => {
    left -= 1;
    if (left > 0) tell();
    else again();
  }, 1000);
}

function openKey() {
  const dialog = find("#key-dialog");
  find("#key").value = key.get();
  dialog.showModal();
}

/** Wire what both pages have. `start` loads the page anew, as after a new key. */
export function shell(start) {
  for (const dialog of document.querySelectorAll("dialog")) closable(dialog);
  find("[data-key-open]").addEventListener("click", openKey);
  find("#key-form").addEventListener("submit", () => {
    key.set(find("#key").value.trim());
    failed.clear();
    draw();
    start();
  });
  find("#key-forget").addEventListener("click", () => {
    key.set("");
    find("#key-dialog").close();
    start();
  });
  addEventListener("online", again);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog")) return;
    event.preventDefault();
    const search = find("#search");
    search?.focus();
    search?.select();
  });
  // a popover made of <details> closes by Escape and by a click elsewhere
  document.addEventListener("click", (event) => {
    for (const pop of document.querySelectorAll("details.pop[open]")) if (!pop.contains(event.target)) pop.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const pop = event.key === "Escape" && event.target.closest?.("details.pop[open]");
    if (!pop) return;
    pop.open = false;
    find("summary", pop).focus();
  });
}
