// Charts drawn as SVG, with the same numbers as a table for whoever cannot see them.

import { h, s } from "./dom.js";

const W = 640;
const H = 230;
const LEFT = 46;
const RIGHT = 50;
const TOP = 14;
const BOTTOM = 26;

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
export const timeOf = (seconds) => clock.format(new Date(seconds * 1000));

/** Round steps for an axis from nought to `most`: about four of them. */
function steps(most) {
  const rough = Math.max(most, 1e-9) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((unit) => unit * power).find((unit) => unit >= rough);
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, at) => at * step);
}

class Frame {
  constructor(points, most) {
    this.points = points;
    this.ticks = steps(most || 1);
    this.top = this.ticks.at(-1);
    this.from = points[0].at;
    this.span = points.at(-1).at - this.from || 1;
  }

  x = (at) => LEFT + ((at - this.from) / this.span) * (W - LEFT - RIGHT);
  y = (value) => H - BOTTOM - (value / this.top) * (H - TOP - BOTTOM);

  axes() {
    const marks = [0, 0.25, 0.5, 0.75, 1].map((share) => this.from + share * this.span);
    return [
      ...this.ticks.map((tick) => s("line", { class: "rule", x1: LEFT, x2: W - RIGHT, y1: this.y(tick), y2: this.y(tick) })),
      ...this.ticks.map((tick) => s("text", { class: "tick", x: LEFT - 8, y: this.y(tick) + 4, "text-anchor": "end" }, String(Number(tick.toPrecision(4))))),
      ...marks.map((at, place) => s("text", { class: "tick", x: this.x(at), y: H - 6, "text-anchor": ["start", "middle", "middle", "middle", "end"][place] }, timeOf(at))),
    ];
  }
}

function line(frame, name) {
  let d = "";
  let drawing = false;
  for (const point of frame.points) {
    const value = point[name];
    if (value === null || value === undefined) drawing = false;
    else {
      d += `${drawing ? "L" : "M"}${frame.x(point.at).toFixed(1)} ${frame.y(value).toFixed(1)}`;
      if (!drawing) d += "h.01"; // a lone minute is a dot
      drawing = true;
    }
  }
  return d;
}

/** Several lines over time. `series` is [{name, label, class}], drawn in that order. */
export function lines(points, series, title) {
  const values = points.flatMap((point) => series.map(({ name }) => point[name] ?? 0));
  const frame = new Frame(points, Math.max(...values));
  const ends = labels(frame, series);
  return figure(frame, title, series, [
    ...series.map(({ name, class: kind }) => s("path", { class: `line ${kind}`, d: line(frame, name) })),
    ...ends.map(({ label, class: kind, y }) => s("text", { class: `end ${kind}`, x: W - RIGHT + 7, y: y + 4 }, label)),
  ]);
}

/** The names at the ends of the lines, pushed apart where they would touch. */
function labels(frame, series) {
  const ends = series
    .map((one) => ({ ...one, last: frame.points.findLast((point) => point[one.name] !== null && point[one.name] !== undefined) }))
    .filter(({ last }) => last)
    .map((one) => ({ ...one, y: frame.y(one.last[one.name]) }))
    .sort((one, two) => two.y - one.y);
  for (let at = 1; at < ends.length; at++) ends[at].y = Math.min(ends[at].y, ends[at - 1].y - 15);
  return ends;
}

/** Bars stacked on each other over time. */
export function bars(points, series, title) {
  const whole = (point) => series.reduce((sum, { name }) => sum + (point[name] ?? 0), 0);
  const frame = new Frame(points, Math.max(...points.map(whole)));
  const wide = Math.max(2, ((W - LEFT - RIGHT) / points.length) * 0.72);
  const drawn = points.flatMap((point) => {
    let base = 0;
    return series.map(({ name, class: kind }) => {
      const value = point[name] ?? 0;
      const bar = value > 0 && s("rect", { class: `bar ${kind}`, x: frame.x(point.at) - wide / 2, width: wide, y: frame.y(base + value), height: frame.y(base) - frame.y(base + value) });
      base += value;
      return bar;
    });
  });
  return figure(frame, title, series, drawn);
}

function figure(frame, title, series, drawn) {
  const cursor = s("line", { class: "cursor", y1: TOP, y2: H - BOTTOM });
  const readout = h("p", { class: "readout", "aria-hidden": "true" });
  const rest = () => {
    cursor.setAttribute("visibility", "hidden");
    readout.replaceChildren(...series.map(({ label, class: kind }) => h("span", { class: `key ${kind}` }, label)));
  };
  const svg = s("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${title}; the numbers follow as a table`, class: "chart" }, ...frame.axes(), ...drawn, cursor);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = frame.from + ((((event.clientX - box.left) / box.width) * W - LEFT) / (W - LEFT - RIGHT)) * frame.span;
    const near = frame.points.reduce((best, point) => (Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best));
    cursor.setAttribute("visibility", "visible");
    cursor.setAttribute("x1", frame.x(near.at));
    cursor.setAttribute("x2", frame.x(near.at));
    readout.replaceChildren(h("strong", {}, timeOf(near.at)), ...series.map(({ name, label, class: kind }) => h("span", { class: `key ${kind}` }, `${label} ${shown(near[name])}`)));
  });
  svg.addEventListener("pointerleave", rest);
  rest();
  return h("div", { class: "figure" }, readout, svg, numbers(frame.points, series, title));
}

const shown = (value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(3)).toLocaleString("en-GB"));

function numbers(points, series, title) {
  return h(
    "details",
    { class: "numbers" },
    h("summary", {}, "The numbers"),
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Minute"), series.map(({ label }) => h("th", { scope: "col" }, label)))),
        h("tbody", {}, points.toReversed().map((point) => h("tr", {}, h("th", { scope: "row" }, timeOf(point.at)), series.map(({ name }) => h("td", {}, shown(point[name])))))),
      ),
    ),
  );
}
