// One list of recommendations; two of them stand side by side to compare models.

import { knownItem } from "./api.js";
import { mark, poster, reasons, shares } from "./cards.js";
import { arrange, arrowKeys, h } from "./dom.js";
import { link, unlink } from "./ribbons.js";

const FALLBACKS = {
  popular: "The history says too little yet, so this is what everybody likes.",
  base: "The language model gave no answer that could be read, so this is the list it was asked about.",
};

export class Pane {
  /** `choose(item, card, pane)` and `open(item, why, version)` answer clicks, `remodel(version)` the choice. */
  constructor({ choose, open, film, remodel }) {
    Object.assign(this, { choose, open, film, model: null, answer: null, cards: new Map() });
    this.grid = h("ol", { class: "grid ranked" });
    this.select = h("select", { "aria-label": "Model of this list", onchange: () => remodel(this.select.value || null) });
    this.meta = h("p", { class: "meta" });
    this.flag = h("p", { class: "flag", hidden: true });
    this.said = h("div", { class: "said", role: "alert", hidden: true });
    this.head = h("div", { class: "pane-head" }, this.select, this.meta);
    this.element = h("div", { class: "pane" }, this.flag, this.said, this.grid);
    arrowKeys(this.grid, ".poster");
    for (const [on, off] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
      this.grid.addEventListener(on, (event) => this.linked(event.target.closest(".card")));
      this.grid.addEventListener(off, () => unlink(film));
    }
  }

  linked(card) {
    const item = card && this.answer?.items.find(({ id }) => id === card.dataset.id);
    if (item) link(card, shares(item.why), this.film);
  }

  /** Offer the loaded models; the first choice leaves it to the shares of traffic. */
  offer(models, free) {
    const option = (value, text) => h("option", { value }, text);
    this.select.replaceChildren(
      ...(free ? [option("", "Any model")] : []),
      ...models.map((model) => option(model.version, `${model.name ?? "model"} · ${brief(model.version)}`)),
    );
    this.select.value = this.model ?? "";
    this.select.hidden = models.length < 2;
  }

  /** Put a new answer in place; what stays glides to its new rank. */
  show(answer, { chosen, featured }) {
    unlink(this.film);
    const before = new Set(this.answer?.items.map(({ id }) => id));
    this.answer = answer;
    this.said.hidden = true;
    this.flag.hidden = !answer.fallback;
    this.flag.textContent = answer.fallback ? FALLBACKS[answer.fallback] ?? `A fallback answered: ${answer.fallback}` : "";
    this.meta.textContent = [this.model ? "" : brief(answer.version), answer.tookMs === null ? "" : `${formatted(answer.tookMs)} ms`].filter(Boolean).join(" · ");
    const old = this.cards;
    this.cards = new Map(answer.items.map((item, at) => [item.id, this.card(item, at, old.get(item.id), chosen)]));
    const list = [...this.cards.values()];
    list.forEach((card, at) => card.classList.toggle("top", featured && at === 0));
    arrange(this.grid, list);
    if (!list.length) this.say("Nothing fits", "No item passes the filters. Loosen them.");
    return answer.items.filter(({ id }) => !before.has(id)).length;
  }

  card(item, at, old, chosen) {
    const card = old ?? poster(item, { choose: (picked, from) => this.choose(picked, from, this), open: (picked) => this.open(picked, this.whyOf(picked.id), this.answer?.version) });
    const rank = h("span", { class: "rank" }, h("span", { class: "only-read" }, "Rank "), String(at + 1));
    card.querySelector(".badges").replaceChildren(rank);
    this.because(card, item);
    mark(card, item, chosen.has(item.id));
    return card;
  }

  /** Draw the reasons anew, once more is known of the items they name. */
  redraw() {
    for (const item of this.answer?.items ?? []) this.because(this.cards.get(item.id), item);
  }

  because(card, item) {
    const itemOf = (id, title) => knownItem(id) ?? { id, title, categories: [], hasImage: false };
    card.querySelector(".because").replaceChildren(...[reasons(item.why, itemOf)].filter(Boolean));
  }

  whyOf(id) {
    return this.answer?.items.find((item) => item.id === id)?.why ?? [];
  }

  /** Tell on each card where the other list has the item. */
  against(other) {
    const ranks = new Map(other?.answer?.items.map(({ id }, at) => [id, at]));
    [...this.cards].forEach(([id, card], at) => {
      card.querySelector(".moved")?.remove();
      if (!other?.answer) return;
      card.querySelector(".badges").append(moved(at, ranks.get(id)));
    });
  }

  /** Show words in place of the list: a model that cannot answer, or filters that leave nothing. */
  say(title, advice, ...more) {
    this.said.replaceChildren(h("strong", { dir: "auto" }, title), advice ? h("p", { dir: "auto" }, advice) : "", ...more);
    this.said.hidden = false;
  }

  fail(error, ...more) {
    this.answer = null;
    this.cards = new Map();
    this.flag.hidden = true;
    this.meta.textContent = "";
    arrange(this.grid, []);
    this.say(error.title, error.advice, ...more);
  }
}

function moved(here, there) {
  if (there === undefined) return h("span", { class: "moved only" }, "only here");
  const up = there - here;
  if (up === 0) return h("span", { class: "moved same" }, "same rank");
  const words = `${Math.abs(up)} ${up > 0 ? "higher" : "lower"}`;
  return h("span", { class: `moved ${up > 0 ? "up" : "down"}` }, h("span", { "aria-hidden": "true" }, up > 0 ? "▲ " : "▼ "), words, h("span", { class: "only-read" }, " than in the other list"));
}

/** A version short enough to read. */
export const brief = (version) => (version && version.length > 12 ? version.slice(0, 8) : version ?? "");

const formatted = (ms) => (ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString("en-GB"));
