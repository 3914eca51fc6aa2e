// What an item looks like: a poster with its caption, a frame of the film strip, bars of reasons.

import { api } from "./api.js";
import { cover } from "./cover.js";
import { h, icon } from "./dom.js";

const pictures = new Map(); // item id -> a promise of the loaded picture
const loaded = new Map(); // item id -> the same, once it is there
const watching = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watching.unobserve(entry.target);
      show(entry.target);
    }
  },
  { rootMargin: "300px" },
);

async function fetched(id) {
  const picture = h("img", { src: URL.createObjectURL(await api.image(id)), alt: "" });
  await picture.decode();
  loaded.set(id, picture);
  return picture;
}

async function show(shown) {
  const id = shown.dataset.picture;
  if (!pictures.has(id)) pictures.set(id, fetched(id));
  try {
    hang(shown, await pictures.get(id));
  } catch {
    pictures.delete(id); // no picture after all: the drawn cover stays
  }
}

/** A picture as tall as a poster fills the cover; any other takes the place of what was drawn. */
function hang(shown, original) {
  const picture = original.cloneNode();
  const { naturalWidth: width, naturalHeight: height } = original;
  picture.classList.toggle("coarse", width < 100);
  const drawn = shown.querySelector(".cover");
  if (height >= width * 1.25 || !drawn) return shown.replaceChildren(picture);
  drawn.classList.remove("label");
  drawn.querySelector("svg, img").replaceWith(picture);
}

/** The item's picture when it has one, else its drawn cover (which also waits for the picture). */
export function art(item) {
  const shown = h("span", { class: "art" }, cover(item));
  if (loaded.has(item.id)) hang(shown, loaded.get(item.id));
  else if (item.hasImage) {
    shown.dataset.picture = item.id;
    watching.observe(shown);
  }
  return shown;
}

const money = new Intl.NumberFormat("en-GB", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const price = (item) => (item.price === null ? "" : money.format(item.price));

/** Brand, price and stock in one line; categories where an item has neither. */
export function facts(item) {
  const told = [item.brand, price(item), item.inStock ? "" : "sold out"].filter(Boolean);
  const parts = told.length ? told : item.categories.slice(0, 2);
  return h("p", { class: "facts" }, ...parts.map((part, at) => [at > 0 && " · ", h("bdi", {}, part)]).flat());
}

/** The reasons with the share that each has of the weight of all. */
export function shares(why) {
  const whole = why.reduce((sum, reason) => sum + Math.abs(reason.weight), 0) || 1;
  return why.map((reason) => ({ ...reason, share: Math.abs(reason.weight) / whole, against: reason.weight < 0 }));
}

/** The events that weighed most, as bars. */
export function reasons(why, itemOf) {
  if (!why.length) return null;
  return h(
    "ul",
    { class: "why", "aria-label": "Why: the events that weighed most" },
    shares(why).map(({ id, title, share, against }) =>
      h(
        "li",
        { class: against ? "against" : null, title },
        h("span", { class: "why-art", "aria-hidden": "true" }, art(itemOf(id, title))),
        h("span", { class: "why-title", dir: "auto" }, title),
        h("span", { class: "why-share" }, against && h("span", { class: "only-read" }, "against: "), `${Math.round(share * 100)}%`),
        h("span", { class: "why-bar", vars: { "--share": share.toFixed(3) }, "aria-hidden": "true" }),
      ),
    ),
  );
}

/**
 * A poster card. `choose(item, card)` is called when the cover is clicked, `open(item)` for the
 * title; `chosen` says whether the item is in the history.
 */
export function poster(item, { choose, open }) {
  const button = h("button", { type: "button", class: "poster", onclick: () => choose(item, card) }, art(item), h("span", { class: "plus" }, icon("plus")));
  const card = h(
    "li",
    { class: "card", "data-id": item.id },
    button,
    h(
      "div",
      { class: "caption" },
      h("button", { type: "button", class: "name", "aria-haspopup": "dialog", onclick: () => open(item) }, h("bdi", {}, item.title)),
      facts(item),
      h("div", { class: "badges" }),
      h("div", { class: "because" }),
    ),
  );
  mark(card, item, false);
  return card;
}

/** Show on a card whether its item is in the history. */
export function mark(card, item, chosen) {
  card.classList.toggle("chosen", chosen);
  card.classList.toggle("sold-out", !item.inStock);
  const label = chosen ? `Take ${item.title} out of the history` : `Add ${item.title} to the history`;
  const button = card.querySelector(".poster");
  if (button.getAttribute("aria-label") === label) return;
  button.setAttribute("aria-label", label);
  button.querySelector(".plus").replaceChildren(icon(chosen ? "check" : "plus"));
}

/** One frame of the film strip: opens the item, and its cross takes the event out. */
export function frame(item, { open, remove }) {
  return h(
    "li",
    { class: "frame", "data-id": item.id },
    h("button", { type: "button", class: "thumb", "aria-haspopup": "dialog", "aria-label": item.title, title: item.title, onclick: () => open(item) }, art(item)),
    remove && h("button", { type: "button", class: "cross", "aria-label": `Remove ${item.title}`, onclick: () => remove() }, icon("close")),
  );
}
