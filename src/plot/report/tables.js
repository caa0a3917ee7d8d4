// Tables: sorted by their headings, filtered, saved as TSV. Those in the page and those made here are alike.

function numberCell(value) {
  return value === null ? html("td", { class: "number" }) : html("td", { class: "number", "data-value": value }, formatNumber(value));
}

/* ---- rows: {values, fields, text(), element()}. Thousands of them take a browser seconds, so those of data get their
   elements when they are shown. ---- */

function rowOfElement(element) {
  const cells = [...element.cells];
  return {
    values: cells.map((cell) => (cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value))),
    fields: cells.map((cell) => cell.dataset.value ?? cell.textContent),
    text: () => element.textContent,
    element: () => element,
  };
}

// cells: texts, numbers, null, {value, text} or elements.
function rowOfData(cells) {
  const isPair = (cell) => cell !== null && typeof cell === "object" && !(cell instanceof Node);
  const value = (cell) => (cell === null ? "" : cell instanceof Node ? cell.textContent : isPair(cell) ? cell.value : cell);
  const shown = (cell) => (isPair(cell) ? cell.text : typeof cell === "number" ? formatNumber(cell) : value(cell));
  const draw = (cell) => {
    if (cell === null || typeof cell === "number") {
      return numberCell(cell);
    }
    return cell instanceof Node ? cell : isPair(cell) ? html("td", { class: "number", "data-value": cell.value }, cell.text) : html("td", {}, cell);
  };
  let element = null;
  return {
    values: cells.map(value),
    fields: cells.map((cell) => String(value(cell))),
    text: () => cells.map(shown).join(""),
    element: () => (element ??= html("tr", {}, ...cells.map(draw))),
  };
}

const dataRows = new WeakMap();

// rows: lists of cells.
function dataTable(id, caption, columns, rows) {
  const table = html("table", { class: "data", id },
    html("caption", {}, caption),
    html("thead", {}, html("tr", {}, ...columns.map((column) => html("th", { scope: "col" }, column)))),
    html("tbody"));
  dataRows.set(table, rows.map(rowOfData));
  return html("div", { class: "scroll" }, table);
}

// Numbers before words, empty cells last whatever the direction.
function compareValues(x, y, sign) {
  if (x === "" || y === "") {
    return (x === "") - (y === "");
  }
  if (typeof x !== typeof y) {
    return typeof x === "number" ? -1 : 1;
  }
  return sign * (typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true }));
}

// Rows of a table, in their order, with whether they pass the filter. Only the first of those that pass are in the page.
const tableRows = new WeakMap();
const mostRowsShown = 300;

function showRows(table) {
  const { rows, passes, count } = tableRows.get(table);
  const passing = rows.filter(passes);
  table.tBodies[0].replaceChildren(...passing.slice(0, mostRowsShown).map((row) => row.element()));
  count.textContent = (passing.length === rows.length ? `${rows.length} rows` : `${passing.length} of ${rows.length} rows`)
    + (passing.length > mostRowsShown ? `, the first ${mostRowsShown} shown` : "");
}

function sortBy(table, column, header) {
  const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  tableRows.get(table).rows.sort((a, b) => compareValues(a.values[column], b.values[column], sign));
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
    return (row) => row.text().toLowerCase().includes(word);
  }
  const wanted = Number(parts[3]);
  return (row) => {
    const value = row.values[column];
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
  const field = (text) => text.replace(/\s+/g, " ").trim();
  const { rows, passes } = tableRows.get(table);
  const headings = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  return [headings, ...rows.filter(passes).map((row) => row.fields)].map((row) => row.map(field).join("\t")).join("\n") + "\n";
}

function saveTable(table) {
  const address = URL.createObjectURL(new Blob([tsvOf(table)], { type: "text/tab-separated-values" }));
  const link = html("a", { href: address, download: `${table.id}.tsv` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// What a word of the page means, from its list of terms; null when it is not there.
const terms = new Map([...document.querySelectorAll("#terms dt")].flatMap((dt) => [dt.textContent, ...(dt.dataset.words ?? "").split(/,(?! )/)]
  .filter((word) => word !== "").map((word) => [word.toLowerCase(), dt.nextElementSibling.textContent])));

function explain(node) {
  const meaning = terms.get(node.textContent.toLowerCase());
  if (meaning) {
    node.title = meaning;
    node.dataset.term = "";
  }
  return node;
}

function enhanceTable(table) {
  if (tableRows.has(table)) {
    return;
  }
  const rows = dataRows.get(table) ?? [...table.tBodies[0].rows].map(rowOfElement);
  const first = rows[0]?.element();
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    if (first?.cells[column]?.classList.contains("number")) {
      header.classList.add("number");
    }
    header.replaceChildren(explain(html("button", { type: "button", onclick: () => sortBy(table, column, header) }, header.textContent)));
  });
  const count = html("span", { class: "count", role: "status" });
  const filter = html("input", { type: "search", placeholder: "filter: word, layer=5, score>0.3", "aria-label": `Filter: ${table.caption.textContent}`, size: 30, oninput: (event) => filterTable(table, event.target.value) });
  const save = html("button", { type: "button", class: "save", onclick: () => saveTable(table) }, "Save as TSV");
  const tools = html("div", { class: "table-tools" }, filter, count, save);
  table.closest(".scroll").before(tools);
  tableRows.set(table, { rows, passes: () => true, count });
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

function evidenceCell(evidence) {
  const parts = Object.entries(evidence ?? {}).flatMap(([key, value], i) => [
    i > 0 ? " · " : "", explain(html("span", {}, key)), ` ${typeof value === "number" ? formatNumber(value) : JSON.stringify(value)}`,
  ]);
  return html("td", { class: "evidence" }, ...parts);
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
    evidenceCell(unit.evidence),
  ]);
  if (plan.units.every((unit) => unit.kv_groups === "all")) {
    document.getElementById("plan-layers")?.closest(".scroll").remove(); // the same, without reasons
  }
  place.append(dataTable("plan-table", "The plan, unit by unit", ["layer", "KV groups", "tensors", "action", "score", "reason", "evidence"], rows));
}
