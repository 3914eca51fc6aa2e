// A cover for an item without a picture: the same title and category always give the same poster.
// The category chooses the family (colours, motifs, lettering), the title the member of it.

import { h, s } from "./dom.js";

// ground, ink on it (contrast at least 4.5), and three colours to draw with
const PALETTES = [
  ["#f3e6cf", "#20242c", "#d9472b", "#1f5d73", "#efb23e"],
  ["#1d2b3a", "#f5ead6", "#e9b44c", "#d1495b", "#4f8cbd"],
  ["#ea6147", "#1d0c08", "#fbe3c0", "#4a1d3e", "#f9bd57"],
  ["#0f3d3e", "#f2efe4", "#e2b55a", "#7fb7a5", "#e36b4f"],
  ["#f4c95d", "#1e1a2b", "#d1495b", "#2e4057", "#fff3d6"],
  ["#e6e0f0", "#2a1f4d", "#6c4ab6", "#f2789f", "#f9c74f"],
  ["#2d1e2f", "#f8e9dc", "#f26a4b", "#f6c177", "#8d6aa5"],
  ["#cfe3dc", "#12312b", "#2a7f62", "#f08a5d", "#f3d250"],
  ["#14213d", "#fdf3dc", "#fca311", "#e9e3d3", "#4f6db8"],
  ["#f7d9d0", "#3a1320", "#b8324f", "#f2a541", "#3b5a75"],
  ["#22402b", "#f4efdb", "#c9d96b", "#e8a03d", "#75a36e"],
  ["#dfe7f2", "#10203a", "#29539b", "#ee6c4d", "#98c1d9"],
  ["#7b1e2b", "#fbeadb", "#e8b04b", "#e07a6b", "#3d1219"],
  ["#f5f1e8", "#141414", "#1d1d1d", "#e0402a", "#c9c2b2"],
];
const LETTERING = ["serif", "grotesk", "caps", "italic"];
const W = 200;
const H = 240;
const TAU = Math.PI * 2;

function hash(text) {
  let value = 0x811c9dc5; // FNV-1a
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value ^= value >>> 15; // neighbouring titles should not look alike
  value = Math.imul(value, 0x2c1b3c6d);
  return (value ^ (value >>> 12)) >>> 0;
}

/** Numbers in [0, 1) that depend on the text alone (mulberry32). */
function numbers(text) {
  let state = hash(text);
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const pick = (list) => list[Math.floor(next() * list.length)];
  return {
    pick,
    some: (list, count) => {
      const left = [...list];
      return times(count, () => left.splice(Math.floor(next() * left.length), 1)[0]);
    },
    between: (low, high) => low + next() * (high - low),
    whole: (low, high) => Math.floor(low + next() * (high - low + 1)),
    chance: (share) => next() < share,
  };
}

const round = (value) => Math.round(value * 10) / 10;
const path = (d, fill, more = {}) => s("path", { d, fill, ...more });
const disc = (cx, cy, r, fill, more = {}) => s("circle", { cx: round(cx), cy: round(cy), r: round(r), fill, ...more });
const box = (x, y, width, height, fill, more = {}) =>
  s("rect", { x: round(x), y: round(y), width: round(width), height: round(height), fill, ...more });
const ring = (cx, cy, r, stroke, width) =>
  disc(cx, cy, r, "none", { stroke, "stroke-width": round(width) });
const times = (count, draw) => Array.from({ length: count }, (_, at) => draw(at));

const MOTIFS = {
  sun(r, [, a, b, c]) {
    const x = r.between(70, 130);
    const y = r.between(85, 115);
    const size = r.between(54, 72);
    return [
      disc(x, y, size, a),
      r.chance(0.5) && disc(x + size * 0.5, y - size * 0.35, size * 0.22, c),
      times(7, (at) => box(0, y + 12 + at * at * 2.6 + at * 9, W, 5 + at * 3.2, at % 3 === 2 ? c : b)),
    ];
  },
  tiles(r, [, a, b, c]) {
    const side = 50;
    const shapes = [
      (x, y, fill) => path(`M${x} ${y}h${side}a${side} ${side} 0 0 1-${side} ${side}z`, fill),
      (x, y, fill) => path(`M${x + side} ${y + side}h-${side}a${side} ${side} 0 0 1 ${side}-${side}z`, fill),
      (x, y, fill) => path(`M${x} ${y}v${side}a${side / 2} ${side / 2} 0 0 0 0-${side}z`, fill),
      (x, y, fill) => path(`M${x} ${y + side}a25 25 0 0 1 ${side} 0z`, fill),
      (x, y, fill) => disc(x + side / 2, y + side / 2, side / 2, fill),
      (x, y, fill) => disc(x + side / 2, y + side / 2, side / 5, fill),
      (x, y, fill) => path(`M${x} ${y}h${side}l-${side} ${side}z`, fill),
      (x, y, fill) => box(x, y, side, side, fill),
    ];
    return times(20, (at) => {
      const x = (at % 4) * side;
      const y = Math.floor(at / 4) * side;
      return r.chance(0.86) && r.pick(shapes)(x, y, r.pick([a, b, c]));
    });
  },
  arches(r, [ground, a, b, c]) {
    const colours = r.chance(0.5) ? [a, ground, b, ground, c, ground] : [a, c, b, ground, a, c];
    const x = r.pick([60, 100, 140]);
    return colours.map((fill, at) => {
      const wide = 96 - at * 16;
      const top = 34 + at * 17;
      return path(`M${x - wide} ${H + 2}V${top + wide}a${wide} ${wide} 0 0 1 ${wide * 2} 0V${H + 2}z`, fill);
    });
  },
  skyline(r, [ground, a, b, c]) {
    const drawn = [disc(r.between(40, 160), r.between(40, 70), r.between(16, 30), c)];
    for (let x = 0; x < W; ) {
      const wide = r.pick([18, 24, 30]);
      const top = r.between(80, 185);
      drawn.push(box(x, top, wide, H - top, r.pick([a, b, b])));
      for (let y = top + 8; y < H - 8; y += 13) {
        if (r.chance(0.55)) drawn.push(box(x + r.pick([5, wide - 10]), y, 5, 6, r.chance(0.5) ? ground : c));
      }
      x += wide;
    }
    return drawn;
  },
  waves(r, [ground, a, b, c]) {
    const long = r.between(60, 110);
    const high = r.between(7, 16);
    return [
      disc(r.between(45, 155), r.between(42, 70), r.between(20, 34), a),
      times(8, (at) => {
        const y = 84 + at * 21;
        const shift = r.between(0, long);
        let d = `M${-shift} ${y}`;
        for (let x = 0; x < W + long * 2; x += long) {
          d += `q${round(long / 4)} ${-round(high)} ${round(long / 2)} 0t${round(long / 2)} 0`;
        }
        return path(`${d}V${H + 30}H${-shift}z`, [b, ground, c, a][at % 4]);
      }),
    ];
  },
  dots(r, [, a, b, c]) {
    const x0 = r.between(20, 180);
    const y0 = r.between(20, 220);
    const reach = r.between(110, 170);
    return times(108, (at) => {
      const x = 12 + (at % 9) * 22;
      const y = 10 + Math.floor(at / 9) * 20;
      const near = Math.max(0, 1 - Math.hypot(x - x0, y - y0) / reach);
      return disc(x, y, 1.6 + near * 10.5, near > 0.62 ? a : near > 0.3 ? c : b);
    });
  },
  ribbons(r, [, a, b, c]) {
    const wide = r.between(16, 30);
    const lean = r.pick([-1, 1]);
    return times(9, (at) => {
      const x = -120 + at * wide * 2.1;
      const d = lean > 0 ? `M${x} ${H + 20}L${x + 190} -20` : `M${W - x} ${H + 20}L${W - x - 190} -20`;
      return path(d, "none", { stroke: [a, b, c][at % 3], "stroke-width": round(wide * r.between(0.55, 1.25)) });
    });
  },
  hills(r, [ground, a, b, c]) {
    const night = r.chance(0.4);
    const ridge = (y, high, fill) => {
      let d = `M-10 ${H + 4}V${y}`;
      for (let x = -10; x < W + 10; x += 55) {
        d += `q${round(r.between(18, 34))} ${-round(high * r.between(0.6, 1.6))} 55 ${round(r.between(-8, 10))}`;
      }
      return path(`${d}V${H + 4}z`, fill);
    };
    return [
      night && times(22, () => disc(r.between(0, W), r.between(0, 110), r.between(0.7, 1.8), c)),
      disc(r.between(50, 150), r.between(46, 92), r.between(24, 40), c),
      ridge(132, 46, b),
      ridge(166, 38, a),
      ridge(204, 26, night ? ground : b),
    ];
  },
  orbits(r, [, a, b, c]) {
    const x = r.between(60, 140);
    const y = r.between(90, 140);
    const start = r.between(0, TAU);
    return [
      times(6, (at) => ring(x, y, 26 + at * 23, [b, c][at % 2], at === 2 ? 5 : 1.8)),
      disc(x, y, r.between(13, 20), a),
      times(6, (at) => {
        const turn = start + at * 2.4;
        const far = 26 + at * 23;
        return disc(x + Math.cos(turn) * far, y + Math.sin(turn) * far, r.between(4, 11), [a, c, b][at % 3]);
      }),
    ];
  },
  petals(r, [, a, b, c]) {
    const count = r.pick([6, 8, 10, 12]);
    const y = r.between(98, 122);
    const long = r.between(44, 56);
    const wide = (long * Math.PI) / count / r.between(0.85, 1.3);
    const flower = (far, fill, turn, scale) =>
      times(count, (at) =>
        s("ellipse", {
          cx: 100, cy: round(y - far), rx: round(wide * scale), ry: round(long * scale), fill,
          transform: `rotate(${round((360 / count) * at + turn)} 100 ${round(y)})`,
        }),
      );
    return [
      path(`M100 ${round(y)}Q${round(r.between(70, 130))} 190 100 ${H + 6}`, "none", { stroke: b, "stroke-width": 6 }),
      flower(long, b, 180 / count, 1),
      flower(long * 0.86, a, 0, 0.86),
      disc(100, y, long * 0.42, c),
    ];
  },
  squares(r, [ground, a, b, c]) {
    const tilt = r.pick([0, 0, 12, 45]);
    const y = r.between(108, 132);
    const colours = [b, a, c, ground, a];
    return colours.map((fill, at) => {
      const side = 190 - at * 38;
      return box(100 - side / 2, y - side / 2 + at * (tilt ? 0 : 9), side, side, fill, {
        transform: `rotate(${tilt * (at + 1)} 100 ${round(y)})`,
      });
    });
  },
  lines(r, [ground, a, , c]) {
    const x0 = r.between(70, 130);
    const spread = r.between(22, 40);
    return [
      disc(x0, 70, r.between(24, 40), c),
      times(17, (at) => {
        const y = 62 + at * 11;
        let d = `M-4 ${y}`;
        for (let x = 0; x <= W + 4; x += 6) {
          const bump = Math.exp(-((x - x0) ** 2) / (2 * spread ** 2));
          d += `L${x} ${round(y - bump * r.between(4, 44) - r.between(0, 2))}`;
        }
        return path(`${d}V${H + 9}H-4z`, ground, { stroke: a, "stroke-width": 2, "stroke-linejoin": "round" });
      }),
    ];
  },
  leaves(r, [, a, b, c]) {
    const leaf = (x, y, turn, size, fill) =>
      path(`M0 0C${size * 0.5} ${-size * 0.45} ${size} ${-size * 0.35} ${size * 1.35} 0C${size} ${size * 0.35} ${size * 0.5} ${size * 0.45} 0 0z`, fill, {
        transform: `translate(${round(x)} ${round(y)}) rotate(${round(turn)})`,
      });
    const bend = r.between(-14, 14);
    return [
      disc(r.between(50, 150), r.between(50, 90), r.between(30, 46), c),
      path(`M100 ${H + 4}Q${100 + bend * 2} 130 ${100 + bend} 30`, "none", { stroke: b, "stroke-width": 4 }),
      times(6, (at) => {
        const y = 214 - at * 32;
        const x = 100 + bend * (at / 5) * 1.3;
        const size = 58 - at * 5;
        return [leaf(x, y, -28 - at * 5, size, at % 2 ? a : b), leaf(x, y, 208 + at * 5, size, at % 2 ? b : a)];
      }),
    ];
  },
  rays(r, [, a, b, c]) {
    const x = r.between(60, 140);
    const y = r.pick([60, 120, H]);
    const count = r.pick([10, 14, 18]);
    return [
      times(count, (at) => {
        const edge = (turn) => `${round(x + Math.cos(turn) * 360)} ${round(y + Math.sin(turn) * 360)}`;
        const turn = (TAU / count) * at;
        return path(`M${round(x)} ${y}L${edge(turn)}L${edge(turn + TAU / count / 2)}z`, at % 2 ? a : b);
      }),
      disc(x, y, r.between(26, 44), c),
    ];
  },
  terrazzo(r, [, a, b, c]) {
    return times(34, (at) => {
      const x = (at % 5) * 44 + r.between(-8, 20);
      const y = Math.floor(at / 5) * 36 + r.between(-6, 18);
      const size = r.between(8, 22);
      const corners = times(r.whole(4, 6), (corner) => {
        const turn = corner * 1.15 + r.between(-0.25, 0.25);
        return `${round(x + Math.cos(turn) * size * r.between(0.7, 1.15))} ${round(y + Math.sin(turn) * size)}`;
      });
      return path(`M${corners.join("L")}z`, r.pick([a, b, c]), { "stroke-linejoin": "round" });
    });
  },
};
const MOTIF_NAMES = Object.keys(MOTIFS);

/** Lettering as large as the title's length and its longest word allow, in hundredths of the width. */
function lettersOf(title, lettering) {
  const length = [...title].length;
  const longest = Math.max(...title.split(/[\s-]+/).map((word) => [...word].length), 1);
  const broad = { serif: 0.5, italic: 0.47, grotesk: 0.58, caps: 0.68 }[lettering];
  const roomy = length < 9 ? 20 : length < 16 ? 15.5 : length < 26 ? 12.5 : length < 46 ? 10 : length < 80 ? 8.4 : 7.2;
  return Math.max(6.4, Math.min(roomy, 82 / (longest * broad)));
}

/** What a title and a category look like: {palette, motif, lettering, place}. */
export function looks(title, category) {
  const family = numbers(`family ${category || title}`);
  const palettes = family.some(PALETTES, 4);
  const motifs = family.some(MOTIF_NAMES, 6);
  const letterings = family.some(LETTERING, 2);
  const r = numbers(`${title}|${category}`);
  return {
    palette: r.pick(palettes),
    motif: r.pick(motifs),
    lettering: r.pick(letterings),
    place: r.pick(["below", "below", "above", "label"]),
    r,
  };
}

/** The drawn cover of an item: decoration, so its lettering is drawn by CSS and read out nowhere. */
export function cover(item) {
  const category = item.categories[0] ?? "";
  const { palette, motif, lettering, place, r } = looks(item.title, category);
  const [ground, ink, ...colours] = palette;
  return h(
    "span",
    {
      class: `cover ${lettering} ${place}`,
      "aria-hidden": "true",
      "data-motif": motif,
      vars: { "--ground": ground, "--ink": ink, "--spot": colours[0], "--size": `${round(lettersOf(item.title, lettering))}cqi` },
    },
    s(
      "svg",
      { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "xMidYMid slice", focusable: "false" },
      box(-50, -50, W + 100, H + 100, ground),
      ...MOTIFS[motif](r, [ground, ...colours]).flat(3).filter(Boolean),
    ),
    h(
      "span",
      { class: "cover-text" },
      h("span", { class: "cover-title", "data-text": item.title }),
      category && h("span", { class: "cover-foot", "data-text": category }),
    ),
  );
}
