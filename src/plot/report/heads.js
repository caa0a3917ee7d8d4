// The map of layers and heads with its choices, and the head that is picked.

const headGroups = { drift: "Drift of the weights", probe: "Attention on the probes", routing: "Loss against the base" };
const headAxes = ["/model/head", "/model/kv_head", "/model/module"];

const metricsFound = new Map();

// Metrics of a checkpoint that a map can show.
function metricsOf(name) {
  if (!metricsFound.has(name)) {
    metricsFound.set(name, findMetrics(name));
  }
  return metricsFound.get(name);
}

function findMetrics(name) {
  return Object.keys(headGroups).flatMap((group) => {
    const start = `/${group}/${name}/`;
    return Object.keys(run.arrays)
      .filter((path) => path.startsWith(start) && !/_(lo|hi)$/.test(path) && path !== `${start}distance_histogram`)
      .map((path) => ({ group, name: path.slice(start.length), path, array: run.arrays[path] }))
      .filter((metric) => metric.array.dims[0] === "/model/layer" && headAxes.includes(metric.array.dims[1]))
      .filter((metric) => metric.array.values.some((value) => value !== null));
  });
}

const heads = { checkpoint: null, metric: null, depth: 0, difference: false, layer: 0, head: 0 };

function currentMetric() {
  return metricsOf(heads.checkpoint).find((metric) => `${metric.group}/${metric.name}` === heads.metric) ?? null;
}

function baseArray(metric) {
  return metric.group === "probe" && heads.checkpoint !== baseName ? arrayAt(`/probe/${baseName}/${metric.name}`) : null;
}

// The value that the map shows in a cell: the metric's, or its difference to the base's.
function shownValue(metric, layer, column) {
  const index = metric.array.shape.length === 3 ? [layer, column, heads.depth] : [layer, column];
  const value = valueAt(metric.array, ...index);
  if (!heads.difference || !baseArray(metric) || value === null) {
    return value;
  }
  const before = valueAt(baseArray(metric), ...index);
  return before === null ? null : value - before;
}

// The range of the shown values, and the palette for it.
function coloursOf(metric) {
  const values = [];
  for (let l = 0; l < metric.array.shape[0]; l++) {
    for (let c = 0; c < metric.array.shape[1]; c++) {
      values.push(shownValue(metric, l, c));
    }
  }
  const finite = values.filter((value) => value !== null);
  let lo = finite.reduce((least, value) => Math.min(least, value), Infinity);
  let hi = finite.reduce((most, value) => Math.max(most, value), -Infinity);
  if (finite.length === 0) {
    return { palette: viridis, lo: 0, hi: 1 };
  }
  if (lo < 0 && hi > 0 || heads.difference && baseArray(metric)) {
    hi = Math.max(-lo, hi) || 1;
    return { palette: diverging, lo: -hi, hi };
  }
  lo = lo > 0 && (lo < 0.5 * hi || lo === hi) ? 0 : lo; // one value alone has its share of the way from 0
  return { palette: viridis, lo, hi };
}

// Where to look first: the head that lost most of the needle, else most far attention, else the largest value.
function firstHead() {
  const tuned = heads.checkpoint;
  const fall = (l, h) => {
    const after = valueAt(arrayAt(`/probe/${tuned}/retrieval_mass`), l, h);
    const before = valueAt(arrayAt(`/probe/${baseName}/retrieval_mass`), l, h);
    return after === null || before === null || tuned === baseName ? null : before - after;
  };
  const loss = (l, h) => valueAt(arrayAt(`/routing/${tuned}/tail_loss`), l, h);
  const drift = (l, h) => valueAt(arrayAt(`/drift/${tuned}/qk_rel_drift`), l, h);
  const [layers, width] = [arrayAt("/model/layer")?.shape[0] ?? 0, arrayAt("/model/head")?.shape[0] ?? 0];
  for (const measure of [fall, loss, drift]) {
    let best = null;
    for (let l = 0; l < layers; l++) {
      for (let h = 0; h < width; h++) {
        const value = measure(l, h);
        if (value !== null && (best === null || value > best.value)) {
          best = { value, l, h };
        }
      }
    }
    if (best) {
      return [best.l, best.h];
    }
  }
  return [0, 0];
}

function describeCell(metric, layer, column) {
  const axis = metric.array.dims[1];
  const what = axis === "/model/module" ? "module" : axis === "/model/kv_head" ? "key head" : "head";
  const kind = layerKind(layer);
  const value = shownValue(metric, layer, column);
  const flag = metric.array.flag_meanings?.split(" ")[value];
  const before = heads.difference ? null : valueAt(baseArray(metric), ...(metric.array.shape.length === 3 ? [layer, column, heads.depth] : [layer, column]));
  const number = value === null ? "no value" : (flag ?? formatNumber(value));
  return `Layer ${layerName(layer)}${kind ? ` (${kind})` : ""}, ${what} ${coordinateAt(metric.array, 1, column)}: `
    + `${titleOf(metric.array, metric.name)}${heads.difference && baseArray(metric) ? ", difference to the base" : ""} ${number}`
    + (before === null ? "" : `, in ${baseName} ${formatNumber(before)}`);
}

function pickCell(metric, layer, column) {
  const axis = metric.array.dims[1];
  if (axis === "/model/module") {
    return;
  }
  const nHeads = valueAt(arrayAt("/model/n_heads"), layer) ?? 0;
  heads.layer = layer;
  heads.head = column;
  for (let h = 0; axis === "/model/kv_head" && h < nHeads; h++) {
    if (keyHeadOf(layer, h) === column) {
      heads.head = h;
      break;
    }
  }
  drawHeads(true);
}

function headMap(metric) {
  const { palette, lo, hi } = coloursOf(metric);
  const axis = metric.array.dims[1];
  const isModule = axis === "/model/module";
  const column = axis === "/model/kv_head" ? keyHeadOf(heads.layer, heads.head) : heads.head;
  const inside = !isModule && column !== null && heads.layer < metric.array.shape[0] && column < metric.array.shape[1];
  const map = drawMap({
    rows: Array.from({ length: metric.array.shape[0] }, (_, l) => `${layerName(l)}${layerKind(l) && layerKind(l) !== "full" ? ` ${layerKind(l)}` : ""}`),
    columns: Array.from({ length: metric.array.shape[1] }, (_, c) => String(coordinateAt(metric.array, 1, c))),
    rowTitle: "", columnTitle: isModule ? "module" : axis === "/model/kv_head" ? "key head" : "head", tilted: isModule,
    label: `${titleOf(metric.array, metric.name)} of ${heads.checkpoint}, layers by ${isModule ? "modules" : "heads"}. Arrow keys move, Enter picks.`,
    value: (l, c) => shownValue(metric, l, c),
    colour: (value) => colourAt(palette, hi > lo ? (value - lo) / (hi - lo) : 0.5),
    describe: (l, c) => describeCell(metric, l, c),
    picked: inside ? [heads.layer, column] : null,
    onpick: (l, c) => pickCell(metric, l, c),
  });
  const notes = [colourStrip(palette, lo, hi, titleOf(metric.array, metric.name))];
  if (metric.array.definition) {
    notes.push(html("p", { class: "note" }, metric.array.definition));
  }
  map.append(...notes);
  return map;
}

function choice(label, id, values, selected, onchange) {
  const groups = new Map();
  for (const value of values) {
    groups.set(value.group ?? "", [...(groups.get(value.group ?? "") ?? []), value]);
  }
  const option = (value) => html("option", { value: value.value, selected: value.value === selected }, value.text);
  const children = [...groups].flatMap(([group, members]) => (group ? [html("optgroup", { label: group }, ...members.map(option))] : members.map(option)));
  return html("label", {}, label, html("select", { id, onchange: (event) => onchange(event.target.value) }, ...children));
}

function headControls(metric) {
  const measured = checkpoints.filter((name) => metricsOf(name).length > 0);
  const controls = [
    choice("Checkpoint", "heads-checkpoint", measured.map((name) => ({ value: name, text: name })), heads.checkpoint, (value) => {
      heads.checkpoint = value;
      drawHeads(false, "heads-checkpoint");
    }),
    choice("What the colour shows", "heads-metric", metricsOf(heads.checkpoint).map((one) => ({
      value: `${one.group}/${one.name}`, text: titleOf(one.array, one.name), group: headGroups[one.group],
    })), heads.metric, (value) => {
      heads.metric = value;
      heads.depth = 0;
      drawHeads(false, "heads-metric");
    }),
  ];
  if (metric.array.shape.length === 3) {
    const axis = metric.array.dims[2].split("/").pop().replace("_", " ");
    controls.push(choice(`At ${axis}`, "heads-depth", Array.from({ length: metric.array.shape[2] }, (_, i) => ({ value: String(i), text: String(coordinateAt(metric.array, 2, i)) })), String(heads.depth), (value) => {
      heads.depth = Number(value);
      drawHeads(false, "heads-depth");
    }));
  }
  if (baseArray(metric)) {
    controls.push(html("label", { class: "check" }, html("input", { type: "checkbox", id: "heads-difference", checked: heads.difference, onchange: (event) => {
      heads.difference = event.target.checked;
      drawHeads(false, "heads-difference");
    } }), "difference to the base"));
  }
  return html("div", { class: "controls" }, ...controls);
}

// keep: the keyboard stays on the map; focus: or on the control with that id.
function drawHeads(keep, focus) {
  const place = document.getElementById("heads-figure");
  const metrics = metricsOf(heads.checkpoint);
  if (!currentMetric()) {
    heads.metric = `${metrics[0].group}/${metrics[0].name}`;
  }
  const metric = currentMetric();
  heads.depth = metric.array.shape.length === 3 ? Math.min(heads.depth, metric.array.shape[2] - 1) : 0;
  const panel = html("div", { id: "head-panel", "aria-live": "polite" });
  place.replaceChildren(headControls(metric), html("div", { class: "split" }, headMap(metric), panel));
  drawHead(panel, heads.layer, heads.head);
  if (keep) {
    place.querySelector("svg.grid-map").focus();
  } else if (focus) {
    document.getElementById(focus)?.focus();
  }
}

function startHeads() {
  const tuned = checkpoints.filter((name) => name !== baseName && metricsOf(name).length > 0);
  heads.checkpoint = tuned[0] ?? checkpoints.find((name) => metricsOf(name).length > 0) ?? null;
  if (!document.getElementById("heads-figure") || heads.checkpoint === null) {
    return;
  }
  const wanted = ["drift/qk_rel_drift", "routing/tail_loss", "probe/mean_distance_nosink"];
  const have = metricsOf(heads.checkpoint).map((metric) => `${metric.group}/${metric.name}`);
  heads.metric = wanted.find((name) => have.includes(name)) ?? have[0];
  [heads.layer, heads.head] = firstHead();
  drawHeads(false);
  let width = mapWidth(0.55);
  window.addEventListener("resize", () => {
    if (mapWidth(0.55) !== width) {
      width = mapWidth(0.55);
      drawHeads(false);
    }
  });
}
