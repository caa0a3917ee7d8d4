// Elements, colours, and the line chart.

function make(document_, space, tag, attributes, children) {
  const node = space ? document_.createElementNS(space, tag) : document_.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) {
      continue;
    }
    if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
    } else {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function html(tag, attributes, ...children) {
  return make(document, null, tag, attributes, children);
}

function svg(tag, attributes, ...children) {
  return make(document, "http://www.w3.org/2000/svg", tag, attributes, children);
}

const viridis = [
  [0x44, 0x01, 0x54], [0x47, 0x2c, 0x7a], [0x3b, 0x51, 0x8b], [0x2c, 0x71, 0x8e], [0x21, 0x90, 0x8d],
  [0x27, 0xad, 0x81], [0x5c, 0xc8, 0x63], [0xaa, 0xdc, 0x32], [0xfd, 0xe7, 0x25],
];
const diverging = [
  [0x1b, 0x4f, 0x8f], [0x6f, 0xa3, 0xd0], [0xf6, 0xf0, 0xdc], [0xe0, 0x8a, 0x63], [0x9c, 0x1f, 0x2e],
];

// The colour at share p of a palette.
function colourAt(palette, p) {
  const at = Math.min(Math.max(p, 0), 1) * (palette.length - 1);
  const i = Math.min(Math.floor(at), palette.length - 2);
  const rgb = palette[i].map((from, c) => Math.round(from + (at - i) * (palette[i + 1][c] - from)));
  return { fill: `rgb(${rgb.join(",")})`, ink: 0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2] > 140 ? "#111" : "#fff" };
}

// At most n round numbers from lo to hi.
function roundTicks(lo, hi, n) {
  if (!(hi > lo)) {
    return [lo];
  }
  const raw = (hi - lo) / n;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw * (1 - 1e-9));
  const ticks = [];
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + step * 1e-9; i++) {
    ticks.push(Number((i * step).toPrecision(12)));
  }
  return ticks;
}

// A strip of the palette with its range, for a map.
function colourStrip(palette, lo, hi, label) {
  const strip = svg("svg", { viewBox: "0 0 330 34", class: "strip", role: "img", "aria-label": `Colours from ${formatNumber(lo)} to ${formatNumber(hi)}: ${label}` });
  for (let i = 0; i < 64; i++) {
    strip.append(svg("rect", { x: 42 + i * 3, y: 2, width: 3.3, height: 12, fill: colourAt(palette, i / 63).fill }));
  }
  strip.append(
    svg("text", { x: 36, y: 12, "text-anchor": "end" }, formatNumber(lo, 3)),
    svg("text", { x: 240, y: 12 }, formatNumber(hi, 3)),
    svg("text", { x: 42, y: 29, class: "tick" }, label),
  );
  return strip;
}

function legendOf(names) {
  return html("div", { class: "legend" }, ...names.map((name) => {
    const look = lookOf(name);
    return html("span", {}, html("i", { class: look.broken ? "broken" : "", style: `color: ${look.colour}` }), name);
  }));
}

// The width fits a narrow screen, so that text keeps its size.
const chart = { width: Math.min(420, Math.max(280, (document.querySelector("main").clientWidth || 420) - 40)), height: 210, left: 48, right: 12, top: 24, bottom: 40 };

function chartAxes(picture, options, x, y) {
  const bottom = chart.height - chart.bottom;
  for (const tick of options.yTicks) {
    picture.append(
      svg("line", { class: "guide", x1: chart.left, x2: chart.width - chart.right, y1: y(tick), y2: y(tick) }),
      svg("text", { class: "tick", x: chart.left - 5, y: y(tick) + 4, "text-anchor": "end" }, options.yText(tick)),
    );
  }
  for (const tick of options.xTicks) {
    picture.append(
      svg("line", { class: "axis", x1: x(tick.at), x2: x(tick.at), y1: bottom, y2: bottom + 4 }),
      svg("text", { class: "tick", x: x(tick.at), y: bottom + 15, "text-anchor": "middle" }, tick.text),
    );
  }
  picture.append(
    svg("path", { class: "axis", d: `M${chart.left} ${chart.top}V${bottom}H${chart.width - chart.right}` }),
    svg("text", { class: "unit", x: (chart.left + chart.width - chart.right) / 2, y: chart.height - 6, "text-anchor": "middle" }, options.xLabel),
    svg("text", { class: "unit", x: 4, y: 12 }, options.yLabel),
  );
}

function chartPoint(series, point, x, y) {
  const mark = svg("circle", {
    cx: x(point.x), cy: y(point.y), r: series.radius ?? 3,
    style: `stroke: ${series.colour}; fill: ${series.broken || series.open ? "var(--paper)" : series.colour}`,
  }, svg("title", {}, point.text));
  const bars = [];
  if (point.yRange) {
    bars.push(svg("line", { x1: x(point.x), x2: x(point.x), y1: y(point.yRange[0]), y2: y(point.yRange[1]), style: `stroke: ${series.colour}` }));
  }
  if (point.xRange) {
    bars.push(svg("line", { x1: x(point.xRange[0]), x2: x(point.xRange[1]), y1: y(point.y), y2: y(point.y), style: `stroke: ${series.colour}` }));
  }
  return [...bars, mark];
}

const touch = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

// Names of points, each where it touches neither another name nor a point that has one, if there is such a place.
function pointNames(series, x, y) {
  const named = series.flatMap((one) => one.points.filter((point) => point.label && point.y !== null));
  const taken = named.map((point) => ({ left: x(point.x) - 5, right: x(point.x) + 5, top: y(point.y) - 5, bottom: y(point.y) + 5 }));
  return named.map((point) => {
    const width = 6.2 * point.label.length;
    const places = [[1, -6], [-1, -6], [1, 14], [-1, 14], [1, -20], [-1, -20], [1, 28], [-1, 28]].map(([side, down]) => {
      const from = x(point.x) + (side > 0 ? 7 : -7 - width);
      return { side, base: y(point.y) + down, left: from, right: from + width, top: y(point.y) + down - 10, bottom: y(point.y) + down + 3 };
    }).filter((place) => place.left >= 0 && place.right <= chart.width && place.top >= 0);
    const place = places.find((candidate) => !taken.some((box) => touch(box, candidate))) ?? places[0];
    if (!place) {
      return null;
    }
    taken.push(place);
    return svg("text", { class: "name", x: place.side > 0 ? place.left : place.right, y: place.base, "text-anchor": place.side > 0 ? "start" : "end" }, point.label);
  }).filter((node) => node !== null);
}

// Lines or points. series: [{name, colour, broken, line, points: [{x, y, text, label, xRange, yRange}]}]; points
// without a value are left out and break the line. options: label, xLabel, yLabel, xTicks, yTicks, xRange, yRange, yText.
function drawChart(series, options) {
  const x = (value) => chart.left + ((value - options.xRange[0]) / (options.xRange[1] - options.xRange[0] || 1)) * (chart.width - chart.left - chart.right);
  const y = (value) => chart.height - chart.bottom - ((value - options.yRange[0]) / (options.yRange[1] - options.yRange[0] || 1)) * (chart.height - chart.top - chart.bottom);
  const picture = svg("svg", { viewBox: `0 0 ${chart.width} ${chart.height}`, role: "img", "aria-label": options.label });
  chartAxes(picture, options, x, y);
  for (const one of series) {
    if (one.line) {
      let pen = "M";
      let path = "";
      for (const point of one.points) {
        path += point.y === null ? "" : `${pen}${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`;
        pen = point.y === null ? "M" : "L";
      }
      picture.append(svg("path", { d: path, fill: "none", "stroke-width": 2, "stroke-dasharray": one.broken ? "6 4" : null, style: `stroke: ${one.colour}` }));
    }
    for (const point of one.points.filter((candidate) => candidate.y !== null)) {
      picture.append(...chartPoint(one, point, x, y));
    }
  }
  picture.append(...pointNames(series, x, y));
  return picture;
}
