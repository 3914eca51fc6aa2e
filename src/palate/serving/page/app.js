// The page of the person who decides: a history goes in, recommendations come out, live.

import { api, item as noted, knownItem } from "./api.js";
import { art, facts, frame, mark, poster, price, reasons } from "./cards.js";
import { Choices } from "./choices.js";
import { announce, arrange, arrowKeys, calm, debounced, find, fly, h, plural } from "./dom.js";
import { brief, Pane } from "./panes.js";
import { attempt, settle, shell } from "./shell.js";

const SHOWN = 21; // with a first cover of four cells this fills rows of three, four and six
const FRAMES = 60;
const SIMILAR = 12;

const state = {
  user: null, // null: somebody new, with nothing stored
  history: [], // {id, key}, oldest first; what the page shows and asks with
  changed: false, // whether the history differs from what is stored of the user
  mood: "",
  models: [],
  open: null,
};
let counter = 0;
const event = (id) => ({ id: String(id), key: ++counter });

const film = find("#film");
const panes = find("#panes");
const chosenIds = () => new Set(state.history.map(({ id }) => id));
const itemOf = (id, title = id) => knownItem(id) ?? { id, title, whole: false, brand: null, categories: [], price: null, description: null, inStock: true, hasImage: false };

// --- asking -------------------------------------------------------------------------------------

const recording = () => state.user !== null && find("#record").checked;

/** Who asks: the stored user, or the history as the page has it. */
function asker() {
  if (state.user !== null && !state.changed) return { user_id: state.user };
  return { history: state.history.slice(-200).map(({ id }) => id) };
}

function question(pane) {
  const body = { ...asker(), n: SHOWN, exclude_seen: true, explain: true };
  if (state.mood) body.prompt = state.mood;
  if (choices.filter) body.filter = choices.filter;
  if (pane.model) body.model = pane.model;
  return body;
}

const shownPanes = [];
let asking = new AbortController();

function recommend() {
  return attempt("recommend", async () => {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    panes.setAttribute("aria-busy", "true");
    remember();
    try {
      const answers = await Promise.all(shownPanes.map((pane) => answered(pane, signal)));
      put(answers);
    } finally {
      if (!signal.aborted) panes.setAttribute("aria-busy", "false");
    }
  });
}

/** A model's answer, or its refusal where it cannot do what was asked. */
async function answered(pane, signal) {
  try {
    return await api.recommend(question(pane), signal);
  } catch (error) {
    if (![400, 404, 409, 413, 422].includes(error.status)) throw error;
    return error;
  }
}

function put(answers) {
  find("#waiting")?.remove();
  const context = { chosen: chosenIds(), featured: shownPanes.length === 1 };
  let fresh = 0;
  answers.forEach((answer, at) => {
    if (answer instanceof Error) shownPanes[at].fail(answer, wayOut());
    else fresh += shownPanes[at].show(answer, context);
  });
  const [one, two] = shownPanes;
  one.against(two);
  two?.against(one);
  told(answers, fresh);
}

function wayOut() {
  if (!state.mood) return "";
  return h("button", { type: "button", class: "pill", onclick: () => moodIs("") }, "Leave the mood out");
}

function told(answers, fresh) {
  const lists = answers.filter((answer) => !(answer instanceof Error));
  if (!lists.length || !lists[0].items.length) return announce("No recommendations.");
  const [one, two] = lists;
  if (two) {
    const ids = new Set(one.items.map(({ id }) => id));
    const both = two.items.filter(({ id }) => ids.has(id)).length;
    const words = `${both} of ${one.items.length} in both lists`;
    find("#recommended-title").textContent = `Side by side: ${words}`;
    return announce(words);
  }
  find("#recommended-title").textContent = one.fallback === "popular" ? "Popular" : "Recommended";
  return announce(`${plural(one.items.length, "recommendation")}, ${fresh} new. First: ${one.items[0].title}.`);
}

/** Keep the question in the address, so that it can be shared and survives a reload. */
function remember() {
  const kept = new URLSearchParams();
  if (state.user !== null) kept.set("user", state.user);
  if (state.mood) kept.set("mood", state.mood);
  const words = kept.toString();
  history.replaceState(null, "", words ? `?${words}` : location.pathname);
}

// --- the history --------------------------------------------------------------------------------

const frames = new Map();

function drawHistory() {
  const newest = state.history.slice(-FRAMES).reverse();
  const keys = new Set(newest.map(({ key }) => key));
  for (const key of frames.keys()) if (!keys.has(key)) frames.delete(key);
  const fixed = recording();
  const drawn = newest.map(({ id, key }) => {
    const item = itemOf(id);
    let kept = frames.get(key);
    if (!kept || kept.whole !== item.whole || kept.fixed !== fixed) {
      kept = { whole: item.whole, fixed, element: frame(item, { open: openItem, remove: fixed ? null : () => remove(key) }) };
      frames.set(key, kept);
    }
    return kept.element;
  });
  arrange(film, drawn.length ? drawn : [h("li", { class: "empty" }, h("i"), h("i"), h("i"), h("span", {}, "Nothing yet. Pick any cover below, and the list follows."))]);
  const more = state.history.length - newest.length;
  find("#history-count").textContent = state.history.length || "";
  find("#history-reset").hidden = !state.changed;
  find("#history-reset").textContent = state.user === null ? "Empty it" : "As stored";
  find("#record-switch").hidden = state.user === null;
  find("#history-note").textContent = [note(fixed), more ? `${plural(more, "earlier event")} not drawn` : ""].filter(Boolean).join("; ");
  const chosen = chosenIds();
  for (const card of document.querySelectorAll(".card")) mark(card, itemOf(card.dataset.id), chosen.has(card.dataset.id));
}

function note(fixed) {
  if (fixed) return "each pick is stored as a click";
  if (state.user !== null && state.changed) return "trying out, nothing is stored";
  return "";
}

function choose(item, card, pane = null) {
  const last = state.history.findLast(({ id }) => id === item.id);
  if (last && !recording()) return remove(last.key);
  const added = event(item.id);
  state.history.push(added);
  if (!recording()) state.changed = true;
  drawHistory();
  const arrived = frames.get(added.key)?.element;
  film.scrollTo({ left: 0, behavior: calm() ? "auto" : "smooth" });
  if (arrived && card) fly(card.querySelector(".art"), arrived.querySelector(".art"));
  announce(`${item.title} added to the history.`);
  return recording() ? record(item, pane) : recommend();
}

/** Store the pick for the user; only then is the next list asked for. */
function record(item, pane) {
  const body = {
    user_id: state.user,
    item_id: item.id,
    event_type: "click",
    timestamp: Math.round(Date.now() / 1000),
    idempotency_key: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`,
  };
  if (pane?.answer?.id) body.recommendation_id = pane.answer.id;
  return attempt("record", async () => {
    await api.feedback(body);
    await recommend();
  });
}

function remove(key) {
  const at = state.history.findIndex((entry) => entry.key === key);
  if (at < 0) return;
  const [{ id }] = state.history.splice(at, 1);
  state.changed = state.user !== null || state.history.length > 0;
  const held = frames.get(key)?.element.contains(document.activeElement);
  drawHistory();
  if (held && !film.contains(document.activeElement)) find("#who").focus();
  announce(`${itemOf(id).title} removed from the history.`);
  recommend();
}

/** Ask for the titles of the items of the history that no list has brought yet. */
async function nameHistory() {
  const unknown = [...new Set(state.history.slice(-FRAMES).map(({ id }) => id))].filter((id) => !knownItem(id)?.whole).reverse();
  const worker = async () => {
    for (let id = unknown.shift(); id !== undefined; id = unknown.shift()) {
      try {
        await api.item(id);
      } catch (error) {
        if (error.status !== 404) return; // a deleted item keeps its id as its title
        noted({ item_id: id, categories: [] });
      }
    }
  };
  if (!unknown.length) return;
  await Promise.all([worker(), worker(), worker(), worker()]);
  drawHistory();
  for (const shown of shownPanes) shown.redraw();
}

/** Put a user in the centre, or somebody new. */
async function meet(user) {
  state.user = user;
  state.changed = false;
  state.history = [];
  frames.clear();
  find("#record").checked = false;
  find("#who-name").textContent = user ?? "somebody new";
  drawHistory();
  if (user === null) {
    settle("history");
    return recommend();
  }
  return attempt("history", async () => {
    let past = [];
    try {
      past = await api.history(user);
    } catch (error) {
      if (error.status !== 404) throw error; // a user whom nobody has seen has no history
    }
    if (state.user !== user) return;
    state.history = past.map(({ id }) => event(id));
    drawHistory();
    await Promise.all([recommend(), nameHistory()]);
  });
}

// --- choosing the user --------------------------------------------------------------------------

const whoDialog = find("#who-dialog");
const whoFind = find("#who-find");
let people = [];
let finding = new AbortController();

function drawPeople() {
  const typed = whoFind.value.trim();
  const wanted = typed.toLowerCase();
  const distance = (id) => (id === typed ? 0 : id.toLowerCase().startsWith(wanted) ? 1 : 2);
  const fitting = people.filter((id) => id.toLowerCase().includes(wanted)).sort((one, two) => distance(one) - distance(two)).slice(0, 100);
  const person = (id, text, ...more) =>
    h("button", { type: "button", class: "person", "aria-current": id === state.user ? "true" : null, onclick: () => { whoDialog.close(); meet(id); } }, face(id), h("span", {}, h("bdi", {}, text), ...more));
  const list = [];
  if (!typed) list.push(person(null, "Somebody new", h("small", {}, "start from an empty history")));
  list.push(...fitting.map((id) => person(id, id)));
  if (typed && !people.includes(typed)) list.push(person(typed, typed, h("small", {}, "use this id as it is")));
  find("#who-list").replaceChildren(...list);
}

/** A small round mark whose colours follow from the id. */
function face(id) {
  const letters = [...(id ?? "")];
  const turn = letters.reduce((sum, letter) => (sum * 31 + letter.codePointAt(0) * 137) % 360, 7);
  const shown = id === null ? "+" : /\d$/.test(id) ? letters.slice(-2).join("") : letters[0].toUpperCase();
  return h("span", { class: id === null ? "face new" : "face", "aria-hidden": "true", vars: { "--turn": turn } }, shown);
}

const findPeople = debounced(() => {
  finding.abort();
  finding = new AbortController();
  attempt("users", async () => {
    const { rows } = await api.users({ q: whoFind.value.trim() }, finding.signal);
    people = [...new Set([...rows, ...people])];
    drawPeople();
  });
}, 180);

function openWho() {
  whoFind.value = "";
  drawPeople();
  whoDialog.showModal();
  whoFind.focus();
  findPeople();
}

// --- the mood -----------------------------------------------------------------------------------

const mood = find("#mood");

function moodIs(words) {
  mood.value = words;
  sizeMood();
  find("#mood-clear").hidden = !words;
  if (words.trim() === state.mood) return;
  state.mood = words.trim();
  recommend();
}

function sizeMood() {
  const ruler = find(".mood");
  ruler.dataset.words = mood.value || mood.placeholder; // the width follows the words, by CSS
}

const moodTyped = debounced(() => moodIs(mood.value), 600);

// --- the search ---------------------------------------------------------------------------------

const search = find("#search");
const foundGrid = find("#found-grid");
let seeking = new AbortController();
const foundCards = new Map();

const seek = debounced(() => lookUp(search.value.trim()), 160);

function lookUp(words) {
  seeking.abort();
  if (!words) return closeSearch();
  seeking = new AbortController();
  const { signal } = seeking;
  return attempt("search", async () => {
    const [titles, meant] = await Promise.all([api.items({ q: words, limit: 24 }, signal), byMeaning(words, signal)]);
    if (signal.aborted) return;
    const byTitle = titles.rows.filter((item) => choices.keeps(item));
    if (meant.fallback) showFound(words, [...byTitle, ...meant.items], []);
    else showFound(words, byTitle, meant.items);
  });
}

/** What the model finds for the words; nothing where it cannot search. */
async function byMeaning(words, signal) {
  try {
    return await api.search({ query: words, n: 24, ...(choices.filter ? { filter: choices.filter } : {}) }, signal);
  } catch (error) {
    if ([400, 404, 409, 422].includes(error.status)) return { fallback: null, items: [] };
    throw error;
  }
}

function showFound(words, byTitle, meant) {
  const titles = [...new Map(byTitle.map((item) => [item.id, item])).values()];
  const all = [...new Map([...titles, ...meant].map((item) => [item.id, item])).values()];
  find("#found").hidden = false;
  find("#found-title").replaceChildren("Found for “", h("bdi", {}, words), "”");
  const extra = all.length - titles.length;
  const counts = all.length ? [titles.length && `${titles.length} by title`, extra && `${extra} by meaning`].filter(Boolean).join(", ") : "Nothing. Try other words.";
  find("#found-meta").textContent = counts;
  arrange(foundGrid, all.map((item) => kept(foundCards, item)));
  announce(`Search: ${counts}`);
}

function closeSearch() {
  seeking.abort();
  settle("search");
  search.value = "";
  find("#found").hidden = true;
  foundGrid.replaceChildren();
}

function kept(cards, item) {
  if (!cards.has(item.id)) cards.set(item.id, poster(item, { choose, open: openItem }));
  const card = cards.get(item.id);
  mark(card, item, chosenIds().has(item.id));
  return card;
}

// --- the catalogue ------------------------------------------------------------------------------

const shelf = { rows: [], next: null, cards: new Map(), asking: new AbortController() };
const STEP = 24; // covers that one click on "Show more" brings at least, if there are as many
const PAGES = 6; // but no more requests than this for one click
const onShelf = () => shelf.rows.filter((item) => choices.keeps(item));

/** Go on through the catalogue until so many more items than `from` pass the filters. */
function browse({ fresh = false, from = onShelf().length } = {}) {
  shelf.asking.abort();
  shelf.asking = new AbortController();
  const { signal } = shelf.asking;
  return attempt("catalogue", async () => {
    if (fresh) Object.assign(shelf, { rows: [], next: null });
    for (let pages = 0; pages < PAGES; pages++) {
      const { rows, next } = await api.items({ cursor: shelf.next, limit: 48 }, signal);
      shelf.rows.push(...rows);
      shelf.next = next;
      if (!next || onShelf().length >= from + STEP) break;
    }
    drawShelf();
  });
}

function drawShelf() {
  const rows = onShelf();
  arrange(find("#catalogue-grid"), rows.map((item) => kept(shelf.cards, item)));
  find("#catalogue-more").hidden = !shelf.next;
}

// --- one item -----------------------------------------------------------------------------------

const itemDialog = find("#item-dialog");
let looking = new AbortController();

/** `version` names the model that recommended the item, if one did. */
function openItem(item, why = [], version = null) {
  looking.abort();
  looking = new AbortController();
  const { signal } = looking;
  drawItem(item, why);
  if (explains(version)) attempt("words", () => tellWhy(item, version, signal));
  if (!itemDialog.open) itemDialog.showModal();
  find("#item-title").focus();
  itemDialog.scrollTo(0, 0);
  attempt("item", async () => {
    const [full, similar] = await Promise.all([api.item(item.id, signal), near(item.id, signal)]);
    if (signal.aborted) return;
    find("#item-more").replaceChildren(...details(full));
    const grid = find("#item-similar");
    grid.replaceChildren(...similar.map((other) => poster(other, { choose: (picked) => openItem(picked), open: (picked) => openItem(picked) })));
    for (const card of grid.children) card.querySelector(".poster").setAttribute("aria-label", `Open ${itemOf(card.dataset.id).title}`);
    find("#item-similar-head").hidden = !similar.length;
  });
}

const explains = (version) => state.models.find((model) => model.version === version)?.answers_in_words?.includes("explanation") ?? false;

/** Put the model's own words above the reasons that were measured; they are shown as plain text. */
async function tellWhy(item, version, signal) {
  const said = await inWords({ ...asker(), item_id: item.id, form: "text", n: 1, model: version }, signal);
  if (signal.aborted || !said.text) return;
  find("#item-words").textContent = said.text;
  find("#item-words-note").hidden = !said.mended;
  find("#item-words-quoted").hidden = !said.quoted;
  for (const part of ["#item-because", "#item-words"]) find(part).hidden = false;
}

/** The text about an item; none where the model cannot write it. */
async function inWords(body, signal) {
  try {
    return await api.explain(body, signal);
  } catch (error) {
    if ([400, 404, 409, 422].includes(error.status)) return { text: "" };
    throw error;
  }
}

async function near(id, signal) {
  try {
    return await api.similar(id, SIMILAR, signal);
  } catch (error) {
    if ([400, 404, 409, 422].includes(error.status)) return [];
    throw error;
  }
}

function details(item) {
  const told = [
    item.brand && ["Brand", item.brand],
    item.categories.length && ["Category", item.categories.join(", ")],
    item.price !== null && ["Price", price(item)],
    ["Stock", item.inStock ? "in stock" : "sold out"],
  ].filter(Boolean);
  return [
    item.description && h("p", { class: "story", dir: "auto" }, item.description),
    h("dl", {}, told.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", { dir: "auto" }, value)))),
  ].filter(Boolean);
}

function drawItem(item, why) {
  const inside = () => chosenIds().has(item.id);
  const pick = h("button", { type: "button", class: "pill strong", onclick: () => { choose(item, null); named(); } });
  const named = () => { pick.textContent = inside() && !recording() ? "Take out of the history" : "Add to the history"; };
  named();
  const because = reasons(why, itemOf);
  find("#item-body").replaceChildren(
    h(
      "div",
      { class: "item" },
      art(item),
      h(
        "div",
        { class: "item-text" },
        h("h2", { id: "item-title", tabindex: -1, dir: "auto" }, item.title),
        facts(item),
        pick,
        h("h3", { id: "item-because", hidden: !because }, "Why it is recommended"),
        h("p", { id: "item-words", class: "words", dir: "auto", "aria-live": "polite", hidden: true }),
        h("p", { id: "item-words-quoted", class: "soft", hidden: true }, "In the words of a review of it."),
        h("p", { id: "item-words-note", class: "soft", hidden: true }, "Sentences without ground in the catalogue were left out."),
        because,
        h("div", { id: "item-more" }, ...details(item)),
      ),
    ),
    h("h3", { id: "item-similar-head", hidden: true }, "Similar"),
    h("ul", { class: "grid small", id: "item-similar", "aria-label": "Similar items" }),
  );
  arrowKeys(find("#item-similar"), ".poster");
}

// --- models -------------------------------------------------------------------------------------

function pane(model = null) {
  const made = new Pane({
    choose,
    open: openItem,
    film,
    remodel: (version) => {
      made.model = version;
      recommend();
    },
  });
  made.model = model;
  return made;
}

function setPanes(...wanted) {
  shownPanes.splice(0, shownPanes.length, ...wanted);
  panes.classList.toggle("two", wanted.length === 2);
  for (const shown of wanted) {
    shown.offer(state.models, wanted.length === 1);
    if (wanted.length === 2) shown.element.prepend(shown.head);
    else find("#recommended-title").after(shown.head);
  }
  panes.replaceChildren(...[...panes.children].filter(({ id }) => id === "waiting"), ...wanted.map(({ element }) => element));
}

function compared(on) {
  const [first] = shownPanes;
  const versions = state.models.map(({ version }) => version);
  if (on) {
    first.model ??= versions[0];
    setPanes(first, pane(versions.find((version) => version !== first.model)));
  } else {
    first.model = null;
    setPanes(first);
  }
  choices.comparing(on);
  recommend();
}

const loadFacets = () => attempt("filters", async () => choices.offer(await api.facets()));

function loadModels() {
  return attempt("models", async () => {
    const { open, models } = await api.models();
    Object.assign(state, { open, models });
    choices.compare.hidden = models.length < 2;
    const deaf = models.length > 0 && models.every((model) => model.free_text === false);
    for (const part of document.querySelectorAll(".wordy")) part.hidden = deaf;
    for (const shown of shownPanes) shown.offer(models, shownPanes.length === 1);
    const names = models.map(({ name, version }) => `${name ?? "model"} ${brief(version)}`).join(", ");
    find("#mode").textContent = [names && `Answered by ${names}`, open && "open mode: this server asks for no key"].filter(Boolean).join("; ");
  });
}

// --- together -----------------------------------------------------------------------------------

const choices = new Choices(find("#filters"), {
  changed: () => {
    recommend();
    drawShelf();
    if (shelf.next && onShelf().length < STEP) browse({ from: 0 });
    if (search.value.trim()) lookUp(search.value.trim());
  },
  compared,
});

function start() {
  const asked = new URLSearchParams(location.search);
  loadModels();
  loadFacets();
  browse({ fresh: true, from: 0 });
  meet(state.user ?? asked.get("user"));
}

state.mood = new URLSearchParams(location.search).get("mood")?.trim() ?? "";
mood.value = state.mood;
find("#mood-clear").hidden = !state.mood;
sizeMood();
setPanes(pane());
arrowKeys(foundGrid, ".poster");
arrowKeys(find("#catalogue-grid"), ".poster");
arrowKeys(film, ".thumb");

find("#who").addEventListener("click", openWho);
whoFind.addEventListener("input", () => { drawPeople(); findPeople(); });
whoFind.addEventListener("keydown", (press) => {
  if (press.key === "Enter") find("#who-list .person")?.click();
  if (press.key === "ArrowDown") find("#who-list .person")?.focus();
  if (["Enter", "ArrowDown"].includes(press.key)) press.preventDefault();
});
arrowKeys(find("#who-list"), ".person");
mood.addEventListener("input", () => { sizeMood(); moodTyped(); });
find("#intent").addEventListener("submit", (submit) => { submit.preventDefault(); moodIs(mood.value); });
find("#mood-clear").addEventListener("click", () => { moodIs(""); mood.focus(); });
for (const idea of document.querySelectorAll(".idea")) idea.addEventListener("click", () => moodIs(idea.textContent));
find("#search-form").addEventListener("submit", (submit) => { submit.preventDefault(); lookUp(search.value.trim()); });
search.addEventListener("input", seek);
search.addEventListener("keydown", (press) => { if (press.key === "Escape") closeSearch(); });
find("#found-close").addEventListener("click", () => { closeSearch(); search.focus(); });
find("#catalogue-more").addEventListener("click", () => browse());
find("#history-reset").addEventListener("click", () => meet(state.user));
find("#record").addEventListener("change", () => (state.changed ? meetRecording() : drawHistory()));

/** Recording starts from what is stored: what was only tried out is dropped. */
async function meetRecording() {
  const wanted = find("#record").checked;
  await meet(state.user);
  find("#record").checked = wanted;
  drawHistory();
}

shell(start);
start();
