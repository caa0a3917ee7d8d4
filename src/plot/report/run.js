// What the page carries: the run's groups and arrays (report_data.h), and how names and numbers are shown.

const run = JSON.parse(document.getElementById("data").textContent);

function arrayAt(path) {
  return Object.hasOwn(run.arrays, path) ? run.arrays[path] : null;
}

function groupAt(path) {
  return Object.hasOwn(run.groups, path) ? run.groups[path] : {};
}

// Names of the groups right below /name.
function entriesOf(name) {
  const start = `/${name}/`;
  return Object.keys(run.groups)
    .filter((path) => path.startsWith(start) && !path.slice(start.length).includes("/"))
    .map((path) => path.slice(start.length));
}

const checkpoints = entriesOf("checkpoints");
const baseName = checkpoints.find((name) => groupAt(`/checkpoints/${name}`).role === "base") ?? null;

// One value; null where there is none. Flags that are missing are 255.
function valueAt(array, ...index) {
  if (!array || index.length !== array.shape.length || index.some((at, dim) => !(at >= 0 && at < array.shape[dim]))) {
    return null;
  }
  const value = array.values[index.reduce((sum, at, dim) => sum * array.shape[dim] + at, 0)];
  return value === 255 && array.flag_meanings ? null : value;
}

// The coordinate of place i on an axis of an array: a number or a word.
function coordinateAt(array, dim, i) {
  const scale = arrayAt(array.dims[dim]);
  return scale && i < scale.values.length ? scale.values[i] : i;
}

function layerKind(layer) {
  return valueAt(arrayAt("/model/layer_kind"), layer) ?? "";
}

// The key head that a query head of a layer reads.
function keyHeadOf(layer, head) {
  const heads = valueAt(arrayAt("/model/n_heads"), layer);
  const keyHeads = valueAt(arrayAt("/model/n_kv_heads"), layer);
  return heads > 0 && keyHeads > 0 && heads % keyHeads === 0 ? Math.floor((head * keyHeads) / heads) : null;
}

function formatNumber(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return "–";
  }
  if (Number.isInteger(value) && Math.abs(value) < 1e7) {
    return String(value);
  }
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(digits - 1) : value.toPrecision(digits);
  return text.replace(/(\.\d*?)0+(e|$)/, "$1$2").replace(/\.(e|$)/, "$1").replaceAll("-", "−");
}

function formatShare(value) {
  return value === null ? "–" : `${(100 * value).toFixed(value === 0 || value === 1 ? 0 : 1)} %`;
}

// 2048 → "2k"
function formatTokens(value) {
  return value >= 1024 && value % 1024 === 0 ? `${value / 1024}k` : String(value);
}

// What an array is called, with its unit.
function titleOf(array, fallback) {
  const units = array.units && array.units !== "1" ? ` (${array.units})` : "";
  return `${array.title ?? fallback}${units}`;
}

// A checkpoint looks the same in every figure: the base dark and broken, then one colour after the other.
function lookOf(name) {
  if (name === baseName) {
    return { colour: "var(--base)", broken: true };
  }
  const colours = ["--tuned", "--restored", "--other", "--fourth"];
  const rank = checkpoints.filter((other) => other !== baseName).indexOf(name);
  return { colour: `var(${colours[Math.max(rank, 0) % colours.length]})`, broken: rank >= colours.length };
}

// Wilson's 95 % interval of a share.
function wilson(share, n) {
  const z = 1.959964;
  const middle = (share + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
