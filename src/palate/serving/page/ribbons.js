// Ribbons from the events of the history to the cover that they brought up.

import { calm, s } from "./dom.js";

const layer = s("svg", { class: "ribbons", "aria-hidden": "true" });
const LANDING = 0.72; // share of the cover's width that all ribbons of it fill together

let shown = null;

/** Draw a ribbon for each reason; at the cover it is as wide as its share of the weight. */
export function link(card, reasons, film) {
  unlink(film);
  shown = { card, reasons, film };
  if (draw() && !calm()) layer.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 200, easing: "ease-out" });
}

function draw() {
  const { card, reasons, film } = shown;
  clear(film);
  const cover = card.querySelector(".poster").getBoundingClientRect();
  const edge = film.getBoundingClientRect();
  if (!reasons.length || cover.top < edge.bottom + 36) return false;
  const linked = reasons
    .map(({ id, share }) => ({ share, thumb: [...film.children].find((child) => child.dataset.id === id) }))
    .filter(({ thumb }) => thumb)
    .map(({ share, thumb }) => ({ share, thumb, box: thumb.getBoundingClientRect() }))
    .sort((one, two) => one.box.left - two.box.left); // so that they do not cross
  if (!linked.length) return false;
  const whole = linked.reduce((sum, { share }) => sum + share, 0);
  let x = cover.left + (cover.width * (1 - LANDING * whole)) / 2;
  const drawn = linked.map(({ share, box }) => {
    const wide = share * LANDING * cover.width;
    const middle = Math.min(Math.max(box.left + box.width / 2, edge.left), edge.right);
    const d = ribbon({ x: middle, y: box.bottom, wide: Math.min(box.width * 0.7, wide) }, { x: x + wide / 2, y: cover.top, wide });
    x += wide;
    return s("path", { d });
  });
  for (const { thumb } of linked) thumb.classList.add("linked");
  film.classList.add("linking");
  card.classList.add("linked");
  layer.replaceChildren(...drawn);
  if (!layer.isConnected) document.body.append(layer);
  return true;
}

addEventListener("scroll", () => requestAnimationFrame(() => shown && draw()), { passive: true, capture: true });

function ribbon(from, to) {
  const bend = (to.y - from.y) * 0.5;
  const side = (sign) => [from.x + (sign * from.wide) / 2, to.x + (sign * to.wide) / 2];
  const [a, b] = side(-1);
  const [c, d] = side(1);
  return `M${a} ${from.y}C${a} ${from.y + bend} ${b} ${to.y - bend} ${b} ${to.y}H${d}C${d} ${to.y - bend} ${c} ${from.y + bend} ${c} ${from.y}z`;
}

/** Take the ribbons away. */
export function unlink(film) {
  shown = null;
  clear(film);
}

function clear(film) {
  layer.replaceChildren();
  film.classList.remove("linking");
  for (const linked of document.querySelectorAll(".linked")) linked.classList.remove("linked");
}
