// Small tools for the document. Text only ever enters it as text nodes.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "vars") {
      for (const [key, setting] of Object.entries(value)) element.style.setProperty(key, setting);
    } else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element: h("p", { class: "soft" }, "text", child). */
export const h = (tag, props = {}, ...children) => fill(document.createElement(tag), props, children);

/** The same for SVG. */
export const s = (tag, props = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), props, children);

export const find = (selector, within = document) => within.querySelector(selector);

const ICONS = {
  close: "M6 6 18 18M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  check: "M5 12.5 10 17.5 19 7",
  down: "m6 9.5 6 6 6-6",
  warn: "M12 4 2.8 20h18.4zM12 10v4.5M12 17.2v.4",
  bad: "M8 3h8l5 5v8l-5 5H8l-5-5V8zM12 8v5M12 16v.4",
  ok: "M4 12.5 9.5 18 20 6.5",
};

/** One of the line icons above; decoration, so hidden from screen readers. */
export const icon = (name) =>
  s("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, s("path", { d: ICONS[name] }));

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

let telling;
let pending = [];
/** Say something in the live region; what comes within a moment is said together. */
export function announce(text) {
  clearTimeout(telling);
  pending = [...pending.slice(-1), text];
  telling = setTimeout(() => {
    find("#announcer").textContent = pending.join(" ");
    pending = [];
  }, 250);
}

const EASE = "cubic-bezier(.2,.8,.2,1)";

/**
 * Make `list` hold `nodes` in order; what moved glides, what came fades in, what left fades out.
 * Positions are read before and after, and only the difference is animated. The focus stays with
 * its node, or goes to what took that node's place.
 */
export function arrange(list, nodes) {
  const moving = !calm() && document.visibilityState === "visible";
  const before = new Map();
  if (moving) for (const child of list.children) before.set(child, child.getBoundingClientRect());
  const held = document.activeElement;
  const place = [...list.children].findIndex((child) => child.contains(held));
  list.replaceChildren(...nodes);
  if (place >= 0) {
    const heir = list.contains(held) ? held : nodes[Math.min(place, nodes.length - 1)]?.querySelector("button");
    heir?.focus({ preventScroll: true });
  }
  if (!moving) return;
  let late = 0;
  for (const node of nodes) {
    const now = node.getBoundingClientRect();
    if (now.top > innerHeight + 200 || now.bottom < -200) continue;
    const was = before.get(node);
    if (was) glide(node, was, now);
    else appear(node, Math.min(late++, 10) * 22);
  }
}

function glide(node, was, now) {
  const x = was.left - now.left;
  const y = was.top - now.top;
  if (Math.abs(x) + Math.abs(y) < 1 && Math.abs(was.width - now.width) < 1) return;
  const scale = was.width / now.width || 1;
  node.animate(
    [
      { transform: `translate(${x}px, ${y}px) scale(${scale})`, transformOrigin: "0 0" },
      { transform: "none", transformOrigin: "0 0" },
    ],
    { duration: 460, easing: EASE },
  );
}

function appear(node, delay) {
  node.animate(
    [
      { opacity: 0, transform: "translateY(14px) scale(.97)" },
      { opacity: 1, transform: "none" },
    ],
    { duration: 380, delay, easing: EASE, fill: "backwards" },
  );
}

/** Let a copy of `from` fly to where `to` is: what was clicked is what arrives. */
export function fly(from, to) {
  if (calm()) return;
  const start = from.getBoundingClientRect();
  const end = to.getBoundingClientRect();
  if (!start.width || !end.width) return;
  const copy = from.cloneNode(true);
  copy.classList.add("flying");
  copy.setAttribute("aria-hidden", "true");
  copy.inert = true;
  for (const [side, value] of Object.entries({ left: start.left, top: start.top, width: start.width, height: start.height })) {
    copy.style.setProperty(side, `${value}px`);
  }
  document.body.append(copy);
  const x = end.left - start.left;
  const y = end.top - start.top;
  copy
    .animate(
      [
        { transform: "none", opacity: 1, offset: 0 },
        { opacity: 0.95, offset: 0.8 },
        { transform: `translate(${x}px, ${y}px) scale(${end.width / start.width})`, opacity: 0.2 },
      ],
      { duration: 520, easing: EASE },
    )
    .finished.finally(() => copy.remove());
}

/** Arrow keys move between the `selector` elements of a grid, by where they lie on screen. */
export function arrowKeys(grid, selector) {
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    const here = event.target.closest?.(selector);
    if (!step || !here || event.altKey || event.ctrlKey || event.metaKey) return;
    const from = middle(here);
    let best = null;
    let least = Infinity;
    for (const other of grid.querySelectorAll(selector)) {
      if (other === here) continue;
      const to = middle(other);
      const along = (to.x - from.x) * step[0] + (to.y - from.y) * step[1];
      const aside = Math.abs((to.x - from.x) * step[1]) + Math.abs((to.y - from.y) * step[0]);
      if (along < 8) continue;
      const cost = along + aside * 3;
      if (cost < least) [best, least] = [other, cost];
    }
    if (!best) return;
    event.preventDefault();
    best.focus();
    best.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
  });
}

function middle(element) {
  const box = element.getBoundingClientRect();
  return { x: box.left + box.width / 2, y: box.top + Math.min(box.height, box.width) / 2 };
}

/** A dialog closes by its buttons marked data-close and by a click beside it. */
export function closable(dialog) {
  const beside = ({ target, clientX: x, clientY: y }) => {
    const box = dialog.getBoundingClientRect();
    return target === dialog && (x < box.left || x > box.right || y < box.top || y > box.bottom);
  };
  let began = false; // a selection dragged out of the dialog does not close it
  dialog.addEventListener("pointerdown", (event) => { began = beside(event); });
  dialog.addEventListener("click", (event) => {
    if ((began && beside(event)) || event.target.closest("[data-close]")) dialog.close();
  });
}

/** Call `act` only once `wait` milliseconds have passed without another call. */
export function debounced(act, wait) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...given), wait);
  };
}

export const plural = (count, one, many = `${one}s`) =>
  `${count.toLocaleString("en-GB")} ${count === 1 ? one : many}`;
