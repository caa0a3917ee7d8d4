// A map of cells that a pointer and the keyboard can explore: layers × heads, depths × lengths.

let mapsDrawn = 0;

const mapSize = { left: 62, top: 6, bottom: 36 };

// As wide as its place, so that its text keeps its size on a narrow screen.
function mapWidth(share) {
  const page = document.querySelector("main").clientWidth || 640;
  return Math.round(Math.min(640, Math.max(300, page < 800 ? page - 48 : page * share)));
}

function mapLayout(rows, columns, width, labelWidth) {
  const room = width - mapSize.left - 8;
  return {
    w: Math.min(room / columns, 64),
    h: Math.max(Math.min(520 / rows, 30), 7),
    everyRow: Math.ceil(rows / 40),
    everyColumn: [1, 2, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100].find((step) => (room * step) / columns >= labelWidth) ?? columns,
  };
}

function mapLabels(picture, options, size) {
  options.rows.forEach((text, r) => {
    if (r % size.everyRow === 0) {
      picture.append(svg("text", { class: "tick", x: mapSize.left - 6, y: mapSize.top + (r + 0.5) * size.h + 4, "text-anchor": "end" }, text));
    }
  });
  const bottom = mapSize.top + options.rows.length * size.h;
  options.columns.forEach((text, c) => {
    const x = mapSize.left + (c + 0.5) * size.w;
    if (options.tilted) {
      picture.append(svg("text", { class: "tick", x, y: bottom + 12, "text-anchor": "end", transform: `rotate(-45 ${x} ${bottom + 12})` }, text));
    } else if (c % size.everyColumn === 0) {
      picture.append(svg("text", { class: "tick", x, y: bottom + 14, "text-anchor": "middle" }, text));
    }
  });
  picture.append(
    svg("text", { class: "unit", x: 12, y: mapSize.top + (options.rows.length * size.h) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${mapSize.top + (options.rows.length * size.h) / 2})` }, options.rowTitle),
    svg("text", { class: "unit", x: mapSize.left + (options.columns.length * size.w) / 2, y: bottom + (options.tilted ? 72 : 31), "text-anchor": "middle" }, options.columnTitle),
  );
}

function mapCell(options, size, id, r, c) {
  const value = options.value(r, c);
  const place = { x: mapSize.left + c * size.w, y: mapSize.top + r * size.h, width: size.w, height: size.h };
  const colour = value === null ? null : options.colour(value);
  const cell = svg("rect", {
    ...place, id: `${id}-${r}-${c}`, role: "gridcell", class: value === null ? "cell void" : "cell", fill: colour?.fill,
    "aria-label": options.describe(r, c), "data-row": r, "data-column": c,
  });
  const text = value !== null && options.cellText && size.w >= 26 && size.h >= 14
    ? svg("text", { x: place.x + size.w / 2, y: place.y + size.h / 2 + 4, "text-anchor": "middle", "pointer-events": "none", "aria-hidden": "true", style: `fill: ${colour.ink}` }, options.cellText(value))
    : null;
  return [cell, text];
}

function frameAt(className, size, r, c) {
  return svg("rect", { class: className, "aria-hidden": "true", x: mapSize.left + c * size.w, y: mapSize.top + r * size.h, width: size.w, height: size.h });
}

// options: rows, columns (labels), rowTitle, columnTitle, label, value(r, c) or null, colour(value), describe(r, c),
// cellText(value), share (of the page's width, 0.55), picked [r, c] or null, onpick(r, c), tilted. Gives the map with its line of text below.
function drawMap(options) {
  const id = `map${++mapsDrawn}`;
  const room = mapWidth(options.share ?? 0.55);
  const size = mapLayout(options.rows.length, options.columns.length, room, 8 + 7 * Math.max(...options.columns.map((text) => text.length)));
  const height = mapSize.top + options.rows.length * size.h + (options.tilted ? 78 : mapSize.bottom);
  const width = Math.min(room, Math.max(mapSize.left + options.columns.length * size.w + 8, 240));
  const readout = html("p", { class: "readout", id: `${id}-text`, "aria-live": "polite" });
  const picture = svg("svg", { class: "grid-map", viewBox: `0 0 ${width} ${height}`, role: "grid", tabindex: 0, "aria-label": options.label, "aria-describedby": `${id}-text`, style: `max-width: ${Math.round(width * 1.15)}px` });
  let at = options.picked ?? [0, 0];
  let ring = null;

  mapLabels(picture, options, size);
  options.rows.forEach((_, r) => {
    const cells = options.columns.flatMap((__, c) => mapCell(options, size, id, r, c));
    picture.append(svg("g", { role: "row" }, ...cells.filter((node) => node !== null)));
  });
  if (options.picked) {
    picture.append(frameAt("picked", size, ...options.picked));
  }
  const show = (r, c, framed) => {
    at = [r, c];
    readout.textContent = options.describe(r, c);
    ring?.remove();
    ring = framed ? frameAt("ring", size, r, c) : null;
    if (ring) {
      picture.append(ring);
      picture.setAttribute("aria-activedescendant", `${id}-${r}-${c}`);
    }
  };
  const cellOf = (event) => (event.target.dataset?.row === undefined ? null : [Number(event.target.dataset.row), Number(event.target.dataset.column)]);
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const clamp = (value, n) => Math.min(Math.max(value, 0), n - 1);
  picture.addEventListener("pointerover", (event) => {
    const cell = cellOf(event);
    if (cell) {
      show(...cell, false);
    }
  });
  picture.addEventListener("focus", () => show(...at, true));
  picture.addEventListener("blur", () => ring?.remove());
  picture.addEventListener("click", (event) => {
    const cell = cellOf(event);
    if (cell) {
      show(...cell, true);
      options.onpick?.(...cell);
    }
  });
  picture.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (step) {
      show(clamp(at[0] + step[0], options.rows.length), clamp(at[1] + step[1], options.columns.length), true);
    } else if (event.key === "Home" || event.key === "End") {
      show(at[0], event.key === "Home" ? 0 : options.columns.length - 1, true);
    } else if ((event.key === "Enter" || event.key === " ") && options.onpick) {
      options.onpick(...at);
    } else {
      return;
    }
    event.preventDefault();
  });
  if (options.picked) {
    readout.textContent = options.describe(...options.picked);
  }
  return html("div", { class: "map" }, picture, readout);
}
