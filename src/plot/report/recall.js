// Recall by length and depth, and recall against reasoning.

// The needle's place in the text, from its beginning.
function formatDepth(depth) {
  return depth === null ? "?" : `${formatNumber(100 * depth, 3)} %`;
}

function recallMap(name, score, count, task) {
  const at = (depth, length) => [task, length, depth];
  const depths = Array.from({ length: score.shape[2] }, (_, d) => coordinateAt(score, 2, d));
  const lengths = Array.from({ length: score.shape[1] }, (_, l) => coordinateAt(score, 1, l));
  const describe = (d, l) => {
    const value = valueAt(score, ...at(d, l));
    const n = valueAt(count, ...at(d, l)) ?? 0;
    const range = value !== null && n > 0 ? wilson(value, n) : null;
    return `${name}, length ${lengths[l]}, depth ${formatDepth(depths[d])}: `
      + (value === null ? "no cases" : `${formatShare(value)} of ${n} cases${range ? ` (95 %: ${formatShare(range[0])} to ${formatShare(range[1])})` : ""}`);
  };
  return html("div", { class: "tile" },
    html("h4", {}, name),
    drawMap({
      rows: depths.map(formatDepth), columns: lengths.map(formatTokens),
      rowTitle: "depth", columnTitle: "length in tokens",
      label: `Recall of ${name} in task ${coordinateAt(score, 0, task)} by depth and length. Arrow keys move.`,
      value: (d, l) => valueAt(score, ...at(d, l)),
      colour: (value) => colourAt(viridis, value),
      cellText: (value) => String(Math.round(100 * value)),
      describe, picked: null, share: 0.4,
    }));
}

function startRecall() {
  const place = document.getElementById("recall-figure");
  const measured = entriesOf("niah")
    .map((name) => ({ name, score: arrayAt(`/niah/${name}/score`), count: arrayAt(`/niah/${name}/n`) }))
    .filter((one) => one.score?.shape.length === 3);
  if (!place || measured.length === 0) {
    return;
  }
  for (let task = 0; task < measured[0].score.shape[0]; task++) {
    const cells = measured[0].score.shape[1] * measured[0].score.shape[2];
    const tiles = measured
      .filter((one) => one.score.values.slice(task * cells, (task + 1) * cells).some((value) => value !== null))
      .map((one) => recallMap(one.name, one.score, one.count, task));
    if (tiles.length > 0) {
      place.append(html("h3", {}, `Task ${coordinateAt(measured[0].score, 0, task)}, recall in percent`), html("div", { class: "tiles" }, ...tiles));
    }
  }
  place.append(colourStrip(viridis, 0, 100, "recall in percent"));
}

/* ---- trade-off: what each variant recalls and how well it still reasons ---- */

const stageNames = { 0: "control", 1: "tried", 2: "held out" };

function measuredVariants() {
  const at = (name) => arrayAt(`/recommend/measured/${name}`);
  const [recall, reasoning] = [at("recall"), at("reasoning")];
  if (!recall || !reasoning) {
    return [];
  }
  return recall.values.map((y, i) => ({
    name: String(coordinateAt(recall, 0, i)), x: reasoning.values[i], y,
    xRange: [valueAt(at("reasoning_lo"), i), valueAt(at("reasoning_hi"), i)], yRange: [valueAt(at("recall_lo"), i), valueAt(at("recall_hi"), i)],
    stage: valueAt(at("stage"), i) ?? 1, chosen: valueAt(at("chosen"), i) === 1,
  })).filter((one) => one.x !== null && one.y !== null);
}

function measuredCheckpoints() {
  return entriesOf("niah").flatMap((name) => {
    const [score, count] = [arrayAt(`/niah/${name}/score`), arrayAt(`/niah/${name}/n`)];
    const path = Object.keys(run.arrays).find((candidate) => candidate.startsWith(`/eval/${name}/`) && candidate.endsWith("/accuracy"));
    const x = path ? run.arrays[path].values[0] : null;
    let [hits, n] = [0, 0];
    (count?.values ?? []).forEach((cases, i) => {
      hits += cases > 0 ? cases * score.values[i] : 0;
      n += cases;
    });
    if (x === null || n === 0) {
      return [];
    }
    const bound = (end) => run.arrays[`${path}_${end}`]?.values[0] ?? x;
    return [{ name, x, y: hits / n, xRange: [bound("lo"), bound("hi")], yRange: wilson(hits / n, n), stage: 2, chosen: false }];
  });
}

// The set that the paper restores, to compare a chosen plan with.
const ruleOfThumb = "softmax Q/K";

function variantLook(one) {
  if (one.name === "base" || one.name === baseName) {
    return { colour: "var(--base)", broken: true };
  }
  if (one.name === "tuned") {
    return { colour: "var(--tuned)" };
  }
  if (one.name === ruleOfThumb) {
    return { colour: "var(--other)" };
  }
  return one.chosen ? { colour: "var(--restored)" } : checkpoints.includes(one.name) ? lookOf(one.name) : { colour: "var(--faint)" };
}

function tradeOffChart(title, points) {
  const isLoud = (one) => one.chosen || ["base", "tuned", ruleOfThumb].includes(one.name) || checkpoints.includes(one.name);
  const inOrder = [...points].sort((a, b) => Number(isLoud(a)) - Number(isLoud(b))); // what has a name lies on top
  const series = inOrder.map((one) => {
    const ranges = one.xRange[0] !== null && one.yRange[0] !== null;
    const text = `${one.name}${one.chosen ? " (the plan)" : ""}: recall ${formatShare(one.y)}, reasoning ${formatShare(one.x)}`;
    const loud = isLoud(one);
    return {
      ...variantLook(one), radius: loud ? 5 : 2.5, open: !loud && one.stage === 1,
      points: [{ x: one.x, y: one.y, text, label: loud ? (one.chosen ? "plan" : one.name) : null, xRange: ranges && loud ? one.xRange : null, yRange: ranges && loud ? one.yRange : null }],
    };
  });
  const shares = [0, 0.25, 0.5, 0.75, 1];
  return html("figure", { class: "tile" },
    html("h4", {}, title),
    drawChart(series, {
      label: `${title}: ${points.map((one) => `${one.name} recall ${formatShare(one.y)} reasoning ${formatShare(one.x)}`).join("; ")}`,
      xLabel: "reasoning: right answers, percent", yLabel: "recall, percent", xRange: [0, 1.12], yRange: [0, 1.06],
      xTicks: shares.map((share) => ({ at: share, text: String(100 * share) })), yTicks: shares, yText: (share) => String(100 * share),
    }));
}

function startTradeOff() {
  const place = document.getElementById("trade-off-figure");
  if (!place) {
    return;
  }
  const variants = measuredVariants();
  const shown = variants.length > 0 ? variants : measuredCheckpoints();
  const heldOut = shown.filter((one) => one.stage === 2);
  const calibration = shown.filter((one) => one.stage !== 2);
  const tiles = [];
  if (heldOut.length > 0) {
    tiles.push(tradeOffChart(variants.length > 0 ? "On cases that were not used to choose" : "Checkpoints", heldOut));
  }
  if (calibration.length > 0) {
    tiles.push(tradeOffChart("Variants tried while choosing", calibration));
  }
  place.append(html("div", { class: "tiles" }, ...tiles));
  if (variants.length > 0) {
    place.append(dataTable("variants", "Variants measured", ["variant", "stage", "recall", "reasoning", "chosen"], shown.map((one) => [
      one.name, stageNames[one.stage] ?? "", { value: one.y, text: formatShare(one.y) }, { value: one.x, text: formatShare(one.x) }, one.chosen ? "yes" : "",
    ])));
  }
}
