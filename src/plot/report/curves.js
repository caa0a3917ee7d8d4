// The curves and numbers of one head, in every checkpoint that has them.

function linesOf(group, metric, layer, head, names, pointText) {
  return names
    .map((name) => ({ name, array: arrayAt(`/${group}/${name}/${metric}`) }))
    .filter((one) => one.array && one.array.shape.length === 3 && one.array.dims[0] === "/model/layer")
    .map((one) => ({
      name: one.name,
      ...lookOf(one.name),
      line: true,
      array: one.array,
      points: Array.from({ length: one.array.shape[2] }, (_, i) => {
        const y = valueAt(one.array, layer, head, i);
        return { x: i, y, text: `${one.name}, ${pointText(one.array, i)}: ${formatNumber(y)}` };
      }),
    }))
    .filter((one) => one.points.some((point) => point.y !== null));
}

function binText(i) {
  const low = valueAt(arrayAt("/model/bin_low"), i);
  const high = valueAt(arrayAt("/model/bin_high"), i);
  return low === null ? String(i) : high === null || high === low ? String(low) : `${low}–${high}`;
}

// Labels that have room, of n places on the axis.
function axisTicks(n, text) {
  const every = Math.ceil(n / 7);
  return Array.from({ length: n }, (_, i) => i).filter((i) => i % every === 0).map((i) => ({ at: i, text: text(i) }));
}

function curveChart(series, { title, note, xLabel, yLabel }, tickText, caption) {
  const n = Math.max(...series.map((one) => one.points.length));
  const most = Math.max(...series.flatMap((one) => one.points.map((point) => point.y ?? 0)), 1e-12);
  const ticks = roundTicks(0, most * 1.05, 4);
  return html("figure", { class: "tile" },
    html("h4", {}, title),
    legendOf(series.map((one) => one.name)),
    drawChart(series, {
      label: `${title}, ${caption}: ${series.map((one) => one.name).join(", ")}`,
      xLabel, yLabel, xTicks: axisTicks(n, tickText), xRange: [0, Math.max(n - 1, 1)],
      yRange: [0, most * 1.05], yTicks: ticks, yText: (value) => formatNumber(value, 2),
    }),
    note ? html("figcaption", { class: "note" }, note) : null);
}

const curves = [
  {
    group: "probe", metric: "distance_histogram", title: "How far the head looks", note: "Of all attention, that on the first tokens too.", xLabel: "distance in tokens (log₂ bins)", yLabel: "share of attention",
    tick: (array, i) => formatTokens(valueAt(arrayAt("/model/bin_low"), i) ?? i),
    point: (array, i) => `distance ${binText(i)}`,
  },
  {
    group: "probe", metric: "tail_mass", title: "Attention beyond a window", note: "The first tokens, where idle attention goes, left out.", xLabel: "window in tokens", yLabel: "share of attention",
    tick: (array, i) => formatTokens(coordinateAt(array, 2, i)),
    point: (array, i) => `beyond ${coordinateAt(array, 2, i)} tokens`,
  },
  {
    group: "drift", metric: "qk_distance_drift", title: "Drift of the routing form by distance", xLabel: "distance τ in tokens", yLabel: "relative drift",
    tick: (array, i) => formatTokens(coordinateAt(array, 2, i)),
    point: (array, i) => `τ = ${coordinateAt(array, 2, i)}`,
  },
  {
    group: "drift", metric: "qk_band_drift", title: "Drift by frequency pair", xLabel: "pair, from fast to slow", yLabel: "relative drift",
    tick: (array, i) => String(coordinateAt(array, 2, i)),
    point: (array, i) => `pair ${coordinateAt(array, 2, i)}`,
  },
];

// Every number of the head that is one value, in a column per checkpoint.
function headNumbers(layer, head) {
  const names = checkpoints.filter((name) => ["drift", "probe", "routing"].some((group) => Object.hasOwn(run.groups, `/${group}/${name}`)));
  const rows = new Map();
  for (const name of names) {
    for (const metric of metricsOf(name)) {
      const column = metric.array.dims[1] === "/model/kv_head" ? keyHeadOf(layer, head) : head;
      if (metric.array.shape.length === 2 && metric.array.dims[1] !== "/model/module" && column !== null) {
        const value = valueAt(metric.array, layer, column);
        if (value !== null) {
          rows.set(metric.name, { ...(rows.get(metric.name) ?? { array: metric.array, values: {} }) });
          rows.get(metric.name).values[name] = value;
        }
      }
    }
  }
  if (rows.size === 0) {
    return null;
  }
  const body = [...rows].map(([metric, row]) => html("tr", {},
    html("td", { title: row.array.definition }, titleOf(row.array, metric)),
    ...names.map((name) => numberCell(row.values[name] ?? null))));
  const table = html("table", { class: "data", id: "head-numbers" },
    html("caption", {}, `Layer ${layerName(layer)}, head ${head}`),
    html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "metric"), ...names.map((name) => html("th", { scope: "col" }, name)))),
    html("tbody", {}, ...body));
  return html("details", {}, html("summary", {}, `All ${rows.size} numbers of this head`), html("div", { class: "scroll" }, table));
}

function layerName(layer) {
  return String(valueAt(arrayAt("/model/layer"), layer) ?? layer);
}

// What the head has on the needle, in every checkpoint that was probed with one.
function needleLine(layer, head) {
  const shares = checkpoints
    .map((name) => ({ name, value: valueAt(arrayAt(`/probe/${name}/retrieval_mass`), layer, head) }))
    .filter((one) => one.value !== null);
  return shares.length === 0 ? null : html("p", { class: "needle" }, "Attention on the needle: ",
    ...shares.flatMap((one, i) => [i > 0 ? ", " : "", html("span", { class: "value", style: `--look: ${lookOf(one.name).colour}` }, `${one.name} ${one.value < 0.005 ? "0" : one.value.toFixed(2)}`)]));
}

// Draws the head into a place of the page.
function drawHead(place, layer, head) {
  const caption = `layer ${layerName(layer)}, head ${head}`;
  const charts = curves.map((curve) => {
    const series = linesOf(curve.group, curve.metric, layer, head, checkpoints, curve.point);
    return series.length === 0 ? null : curveChart(series, curve, (i) => curve.tick(series[0].array, i), caption);
  });
  const numbers = headNumbers(layer, head);
  const kind = layerKind(layer);
  place.replaceChildren(...[
    html("h3", {}, `Layer ${layerName(layer)}, head ${head}${kind ? ` · ${kind}` : ""}`),
    needleLine(layer, head),
    html("div", { class: "tiles" }, ...charts.filter((one) => one !== null)),
    charts.every((one) => one === null) ? html("p", { class: "absent" }, "The run has no curves of this head.") : null,
    numbers,
  ].filter((node) => node !== null));
  place.querySelectorAll("table.data").forEach(enhanceTable);
}
