// The run table: sorted by any column, filtered as the page is.

const AT_ONCE = 300; // rows; more are a click away
const table = { sort: null, turned: false, all: false };

function columns() {
  const scores = new Set([metricOf(state.metric), ...metrics]); // the score in sight, however many knobs there are
  return [
    { key: "name", name: state.grouped ? "runs" : "run", value: (item) => item.name, kind: "name" },
    { key: "status", name: "status", value: (item) => item.status, kind: "status" },
    ...knobNames().map((knob) => ({ key: "knob " + knob, name: knob, value: (item) => item.knobs[knob], kind: "text" })),
    ...[...scores].map((metric) => ({ key: metric.key, name: metric.name, unit: metric.unit, value: (item) => item.values[metric.key], metric, kind: "number" })),
  ];
}

const sortedBy = (list = columns()) => list.find((column) => column.key === (table.sort ?? state.metric)) ?? list[0];
// The best first; names and choices from A to Z.
const isDown = (column) => (column.metric ? column.metric.direction !== "min" : false) !== table.turned;

function compare(a, b) {
  const missing = (value) => value === null || value === undefined;
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  return known(a) && known(b) ? a - b : shown(a).localeCompare(shown(b), "en", { numeric: true });
}

function sorted(list, column) {
  const value = column.value;
  const direction = isDown(column) ? -1 : 1;
  return [...list].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    const missing = (x === null || x === undefined) - (y === null || y === undefined); // always last
    return missing || direction * compare(x, y);
  });
}

function drawTable() {
  const shownColumns = columns(), by = sortedBy(shownColumns), down = isDown(by);
  const head = el("tr", {}, [
    el("th", { className: "box" }, el("input", { type: "checkbox", title: `choose all, at most ${MOST_CHOSEN}`, ariaLabel: "choose all", checked: visible().length > 0 && visible().slice(0, MOST_CHOSEN).every((item) => slot(item) !== undefined), onchange: chooseAll })),
    ...shownColumns.map((column) => el("th", { className: column.kind === "number" ? "number" : "", scope: "col", ariaSort: column === by ? (down ? "descending" : "ascending") : "none" },
      el("button", { onclick: () => sortBy(column), "data-column": column.key }, [column.name, el("small", {}, (column.unit ? " " + column.unit : "") + (column === by ? (down ? " ▼" : " ▲") : ""))]))),
  ]);
  const rows = sorted(visible(), by);
  const best = Object.fromEntries(metrics.filter((metric) => metric.direction).map((metric) => [metric.key, bestOf(metric, rows)]));
  const focus = document.activeElement?.closest?.("#table") ? document.activeElement.dataset : null;
  $("#table thead").replaceChildren(head);
  $("#table tbody").replaceChildren(...rows.slice(0, table.all ? rows.length : AT_ONCE).map((item) => row(item, shownColumns, best)));
  $("#more").replaceChildren(...(rows.length > AT_ONCE && !table.all ? [el("button", { onclick: () => { table.all = true; drawTable(); } }, `show all ${rows.length} rows`)] : []));
  if (focus) { // a redrawn table must not throw the keyboard out
    const again = [...document.querySelectorAll("#table [data-column], #table [data-item]")].find((node) => (focus.column && node.dataset.column === focus.column) || (focus.item && node.dataset.item === focus.item));
    again?.focus();
  }
}

// Null where all are equal: then none is better.
function bestOf(metric, rows) {
  const values = ordered(rows.map((item) => item.values[metric.key]).filter(known));
  return values.length < 2 ? null : values.at(metric.direction === "max" ? -1 : 0);
}

function sortBy(column) {
  table.turned = sortedBy().key === column.key && !table.turned;
  table.sort = column.key;
  drawTable();
}

function chooseAll(event) {
  const list = sorted(visible(), sortedBy());
  if (!event.target.checked) state.chosen.clear();
  for (const item of event.target.checked ? list.slice(0, MOST_CHOSEN) : []) {
    const taken = new Set(state.chosen.values());
    const free = [...Array(MOST_CHOSEN).keys()].find((slot) => !taken.has(slot));
    if (!state.chosen.has(item.key) && free !== undefined) state.chosen.set(item.key, free);
  }
  changed();
}

function row(item, shownColumns, best) {
  const at = slot(item);
  const box = el("input", { type: "checkbox", checked: at !== undefined, ariaLabel: "choose " + item.label, onchange: (event) => choose(item, event.target.checked) });
  box.dataset.item = item.key;
  return el("tr", { className: at === undefined ? "" : "chosen" }, [
    el("td", {}, [box, " ", at === undefined ? null : badge(at)]),
    ...shownColumns.map((column) => cell(item, column, best)),
  ]);
}

function cell(item, column, best) {
  const value = column.value(item);
  if (column.kind === "number") {
    const spread = item.spreads[column.key];
    return el("td", { className: "number" + (known(value) && value === best[column.key] ? " best" : "") },
      [number(value, column.metric.digits), spread ? el("small", {}, " ± " + number(spread, column.metric.digits)) : null]);
  }
  if (column.kind === "status") {
    const reason = item.problems.join("; ");
    return el("td", { className: "reason", title: reason }, [el("span", { className: item.statuses.length === 1 ? item.statuses[0] : item.statuses.find((s) => s !== "finished") }, item.status), reason ? el("small", {}, " " + reason) : null]);
  }
  if (column.kind === "name") {
    return el("td", { className: "name", title: item.runs.map((run) => run.name).join("\n") }, el("a", { href: "#details", onclick: () => showDetails(item.runs[0].id) }, item.name));
  }
  return el("td", { className: known(value) ? "number" : "text", title: shown(value) }, shown(value));
}
