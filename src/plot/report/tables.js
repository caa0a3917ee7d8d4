// Tables: sorted by their headings, filtered, saved as TSV. Those in the page and those made here are alike.

function numberCell(value) {
  return value === null ? html("td", { class: "number" }) : html("td", { class: "number", "data-value": value }, formatNumber(value));
}

// rows: lists of texts, numbers, {value, text} or elements.
function dataTable(id, caption, columns, rows) {
  const cell = (value) => {
    if (value === null || typeof value === "number") {
      return numberCell(value);
    }
    if (value instanceof Node) {
      return value;
    }
    return typeof value === "object"
      ? html("td", { class: "number", "data-value": value.value }, value.text)
      : html("td", {}, value);
  };
  const table = html("table", { class: "data", id },
    html("caption", {}, caption),
    html("thead", {}, html("tr", {}, ...columns.map((column) => html("th", { scope: "col" }, column)))),
    html("tbody", {}, ...rows.map((row) => html("tr", {}, ...row.map(cell)))));
  return html("div", { class: "scroll" }, table);
}

function cellValue(cell) {
  return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
}

// Numbers before words, empty cells last whatever the direction.
function compareCells(a, b, sign) {
  const [x, y] = [cellValue(a), cellValue(b)];
  if (x === "" || y === "") {
    return (x === "") - (y === "");
  }
  if (typeof x !== typeof y) {
    return typeof x === "number" ? -1 : 1;
  }
  return sign * (typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true }));
}

// Rows of a table, in their order, with whether they pass the filter. A browser takes seconds to lay out thousands of
// rows, so only the first of those that pass are in the page.
const tableRows = new WeakMap();
const mostRowsShown = 300;

function showRows(table) {
  const { rows, passes, count } = tableRows.get(table);
  const passing = rows.filter(passes);
  table.tBodies[0].replaceChildren(...passing.slice(0, mostRowsShown));
  count.textContent = (passing.length === rows.length ? `${rows.length} rows` : `${passing.length} of ${rows.length} rows`)
    + (passing.length > mostRowsShown ? `, the first ${mostRowsShown} shown` : "");
}

function sortBy(table, column, header) {
  const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  tableRows.get(table).rows.sort((a, b) => compareCells(a.cells[column], b.cells[column], sign));
  for (const other of table.tHead.rows[0].cells) {
    other.removeAttribute("aria-sort");
  }
  header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  showRows(table);
}

const comparisons = {
  "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "=": (a, b) => a === b,
};

// "layer=5", "score>0.3": a column whose heading begins so, without blanks; else the word itself anywhere in the row.
function conditionOf(word, headings) {
  const parts = /^([^<>=]+)(<=|>=|<|>|=)(.+)$/.exec(word);
  const column = parts ? headings.findIndex((heading) => heading.startsWith(parts[1])) : -1;
  if (column < 0) {
    return (row) => row.textContent.toLowerCase().includes(word);
  }
  const wanted = Number(parts[3]);
  return (row) => {
    const value = cellValue(row.cells[column]);
    return typeof value === "number" && !Number.isNaN(wanted)
      ? comparisons[parts[2]](value, wanted)
      : parts[2] === "=" && String(value).toLowerCase() === parts[3];
  };
}

function filterTable(table, text) {
  const headings = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.toLowerCase().replaceAll(" ", ""));
  const conditions = text.toLowerCase().split(/\s+/).filter((word) => word !== "").map((word) => conditionOf(word, headings));
  tableRows.get(table).passes = (row) => conditions.every((condition) => condition(row));
  showRows(table);
}

// The rows that pass the filter, in their order; also those that are not in the page.
function tsvOf(table) {
  const field = (cell) => (cell.dataset.value ?? cell.textContent).replace(/\s+/g, " ").trim();
  const { rows, passes } = tableRows.get(table);
  return [table.tHead.rows[0], ...rows.filter(passes)].map((row) => [...row.cells].map(field).join("\t")).join("\n") + "\n";
}

function saveTable(table) {
  const address = URL.createObjectURL(new Blob([tsvOf(table)], { type: "text/tab-separated-values" }));
  const link = html("a", { href: address, download: `${table.id}.tsv` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function enhanceTable(table) {
  if (tableRows.has(table)) {
    return;
  }
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    if (table.tBodies[0].rows[0]?.cells[column]?.classList.contains("number")) {
      header.classList.add("number");
    }
    header.replaceChildren(html("button", { type: "button", onclick: () => sortBy(table, column, header) }, header.textContent));
  });
  const count = html("span", { class: "count", role: "status" });
  const filter = html("input", { type: "search", placeholder: "filter: word, layer=5, score>0.3", "aria-label": `Filter: ${table.caption.textContent}`, size: 30, oninput: (event) => filterTable(table, event.target.value) });
  const save = html("button", { type: "button", class: "save", onclick: () => saveTable(table) }, "Save as TSV");
  const tools = html("div", { class: "table-tools" }, filter, count, save);
  table.closest(".scroll").before(tools);
  tableRows.set(table, { rows: [...table.tBodies[0].rows], passes: () => true, count });
  showRows(table);
}

/* ---- tables made of the run's arrays ---- */

const headColumns = [
  { heading: "drift", group: "drift", metric: "qk_rel_drift" },
  { heading: "effective drift", group: "drift", metric: "qk_eff_rel_drift" },
  { heading: "drift of W_Q", group: "drift", metric: "q_rel_drift" },
  { heading: "drift of W_K", group: "drift", metric: "k_rel_drift" },
  { heading: "alignable", group: "drift", metric: "q_alignable" },
  { heading: "tail loss", group: "routing", metric: "tail_loss" },
  { heading: "distance shift", group: "routing", metric: "distance_shift" },
  { heading: "needle, base", group: "probe", metric: "retrieval_mass", ofBase: true },
  { heading: "needle", group: "probe", metric: "retrieval_mass" },
  { heading: "mean distance, base", group: "probe", metric: "mean_distance_nosink", ofBase: true },
  { heading: "mean distance", group: "probe", metric: "mean_distance_nosink" },
];

function headRows() {
  const [layers, width] = [arrayAt("/model/layer")?.shape[0] ?? 0, arrayAt("/model/head")?.shape[0] ?? 0];
  const names = checkpoints.filter((name) => name !== baseName && metricsOf(name).length > 0);
  const columns = headColumns.filter((column) => names.some((name) => arrayAt(`/${column.group}/${column.ofBase ? baseName : name}/${column.metric}`)));
  const rows = [];
  for (const name of names) {
    for (let l = 0; l < layers; l++) {
      for (let h = 0; h < width; h++) {
        const values = columns.map((column) => {
          const array = arrayAt(`/${column.group}/${column.ofBase ? baseName : name}/${column.metric}`);
          return array ? valueAt(array, l, array.dims[1] === "/model/kv_head" ? keyHeadOf(l, h) ?? -1 : h) : null;
        });
        if (values.some((value) => value !== null)) {
          rows.push([name, Number(layerName(l)), h, layerKind(l), ...values]);
        }
      }
    }
  }
  return { headings: ["checkpoint", "layer", "head", "kind", ...columns.map((column) => column.heading)], rows };
}

function startHeadTable() {
  const { headings, rows } = headRows();
  if (rows.length > 0) {
    document.getElementById("heads-table").append(dataTable("heads-all", "Heads", headings, rows));
  }
}

function evidenceText(evidence) {
  return Object.entries(evidence ?? {}).map(([key, value]) => `${key} ${typeof value === "number" ? formatNumber(value) : JSON.stringify(value)}`).join(" · ");
}

function actionText(unit) {
  const details = [unit.action, unit.method, unit.method === "qk-pro" ? unit.side : null, unit.lambda !== undefined && unit.method === "qk-pro" ? `λ ${unit.lambda}` : null, unit.action === "blend" ? `α ${unit.alpha}` : null];
  return details.filter((part) => part !== null && part !== undefined).join(", ");
}

// The units of plan.json, each with its evidence and its sentence.
function startPlan() {
  const place = document.getElementById("plan-units");
  const text = arrayAt("/recommend/plan")?.values[0];
  let plan = null;
  try {
    plan = JSON.parse(text);
  } catch {
    return; // the text itself is shown below
  }
  if (!place || !Array.isArray(plan?.units)) {
    return;
  }
  const rows = plan.units.map((unit) => [
    unit.layer,
    Array.isArray(unit.kv_groups) ? unit.kv_groups.join(", ") : "all",
    [unit.tensors ?? [], unit.with ?? []].flat().join(", "),
    actionText(unit),
    typeof unit.score === "number" ? unit.score : null,
    html("td", { class: "reason" }, unit.reason ?? ""),
    html("td", { class: "evidence" }, evidenceText(unit.evidence)),
  ]);
  if (plan.units.every((unit) => unit.kv_groups === "all")) {
    document.getElementById("plan-layers")?.closest(".scroll").remove(); // the same, without reasons
  }
  place.append(dataTable("plan-table", "The plan, unit by unit", ["layer", "KV groups", "tensors", "action", "score", "reason", "evidence"], rows));
}
