// Parallel coordinates: knobs on the left, what came of them on the right.

const AXIS_TOP = 34, AXIS_BOTTOM = 26, AXIS_HEIGHT = 380;

// An axis knows where along it (0 bottom, 1 top) an item lies, or null, and what to write beside it.
function axisOf(key) {
  cached.axes ??= new Map();
  if (!cached.axes.has(key)) cached.axes.set(key, key.startsWith("knob ") ? knobAxis(key.slice(5)) : metricAxis(key));
  return cached.axes.get(key);
}

function knobAxis(knob) {
  const values = ordered(items().map((item) => item.knobs[knob]).filter((value) => value !== undefined));
  const numeric = values.filter((value) => value !== null);
  if (numeric.every(known) && values.length > 6) return numberAxis(knob, numeric, (item) => item.knobs[knob]);
  const at = new Map(values.map((value, i) => [value, (i + 0.5) / values.length]));
  return { name: knob, place: (item) => at.get(item.knobs[knob]) ?? null, marks: [...at].map(([value, place]) => [place, shown(value)]) };
}

const metricAxis = (key) => numberAxis(metricOf(key).name, items().map((item) => item.values[key]).filter(known), (item) => item.values[key]);

function numberAxis(name, values, value) {
  const positive = values.length > 0 && values.every((v) => v > 0);
  const log = positive && Math.max(...values) / Math.min(...values) > 50;
  const domain = extent(values, log) ?? [0, 1];
  const scale = scaleOf(log, domain, [0, 1]);
  return { name, place: (item) => (known(value(item)) ? scale(value(item)) : null), marks: scale.ticks(6).map((tick) => [scale(tick), number(tick)]) };
}

function axes() {
  const wanted = new Set([state.metric, ...page.monitors, ...metrics.slice(0, 2).map((metric) => metric.key), "fit_seconds"]);
  return [...knobNames().map((knob) => "knob " + knob), ...[...wanted].filter(metricOf).reverse()];
}

// A line that leaves every axis at a right angle: where many meet in one value, they can be told apart.
function bent(points) {
  let d = `M${points[0][0]} ${points[0][1].toFixed(1)}`;
  for (let i = 1; i < points.length; i++) {
    const [ax, ay] = points[i - 1], [bx, by] = points[i], third = (bx - ax) / 3;
    d += `C${(ax + third).toFixed(1)} ${ay.toFixed(1)} ${(bx - third).toFixed(1)} ${by.toFixed(1)} ${bx.toFixed(1)} ${by.toFixed(1)}`;
  }
  return d;
}

function drawParallel() {
  const host = $("#parallel .plots"), keys = axes();
  if (keys.length < 2) return host.replaceChildren(empty("The runs differ in nothing that could be drawn."));
  const width = Math.max(widthOf(host), 60 + 95 * keys.length), height = AXIS_HEIGHT;
  const x = (i) => 112 + (i * (width - 182)) / (keys.length - 1);
  const y = (place) => height - AXIS_BOTTOM - place * (height - AXIS_TOP - AXIS_BOTTOM);
  const root = svg("svg", { width, height, role: "img", "aria-label": "parallel coordinates" });
  const lines = visible().map((item) => ({ item, points: keys.map((key, i) => [x(i), axisOf(key).place(item)]).filter((point) => point[1] !== null).map(([a, b]) => [a, y(b)]) })).filter((line) => line.points.length > 1);
  for (const line of lines) line.d = bent(line.points);
  // What is not chosen is grey, in five shades of its rank.
  const rank = new Map(ranked().map((item, i, all) => [item.key, 1 - i / all.length]));
  for (let shade = 0; shade < 5; shade++) {
    const d = lines.filter((line) => slot(line.item) === undefined && Math.min(4, Math.floor((rank.get(line.item.key) ?? 0) * 5)) === shade).map((line) => line.d).join("");
    if (d) {
      const bundle = root.appendChild(svg("path", { class: "context", d }));
      bundle.style.strokeOpacity = (lines.length > 300 ? 0.15 : 0.35) + shade * 0.15;
      bundle.style.strokeWidth = 0.8 + shade * 0.25;
    }
  }
  drawLines(root, lines.filter((line) => slot(line.item) !== undefined));
  hoverable(root, lines);
  keys.forEach((key, i) => root.append(axisGroup(key, x(i), y, i, root)));
  host.replaceChildren(el("div", { className: "plot" }, root));
}

function axisGroup(key, x, y, number_, root) {
  const axis = axisOf(key), group = svg("g", { "data-axis": key });
  group.append(svg("line", { class: "axis", x1: x, x2: x, y1: y(0), y2: y(1) }));
  group.append(svg("text", { x, y: number_ % 2 ? 26 : 14, "text-anchor": "middle", "font-weight": 600 }, clipped(axis.name, 24)));
  const every = Math.ceil(axis.marks.length / 20);
  for (const [place, text] of axis.marks.filter((_, i) => i % every === 0)) {
    group.append(svg("line", { class: "axis", x1: x - 3, x2: x + 3, y1: y(place), y2: y(place) }));
    group.append(svg("text", { class: "halo", x: x - 6, y: y(place) + 4, "text-anchor": "end" }, clipped(text, 16)));
  }
  const brush = state.brushes.get(key);
  if (brush) group.append(svg("rect", { class: "brush", x: x - 7, width: 14, y: y(brush[1]), height: Math.max(1, y(brush[0]) - y(brush[1])) }));
  const area = svg("rect", { class: "brush-area", x: x - 11, width: 22, y: y(1), height: y(0) - y(1) }, svg("title", {}, "drag to keep what passes here, click to keep all"));
  group.append(area);
  brushable(area, key, y, root, group, x);
  return group;
}

const clipped = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

function brushable(area, key, y, root, group, x) {
  let from = null, live = null;
  const place = (event) => Math.max(0, Math.min(1, (y(0) - (event.clientY - root.getBoundingClientRect().top)) / (y(0) - y(1))));
  area.addEventListener("pointerdown", (event) => {
    from = place(event);
    area.setPointerCapture(event.pointerId);
    live = group.appendChild(svg("rect", { class: "brush", x: x - 7, width: 14, y: y(from), height: 0 }));
  });
  area.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = place(event);
    live.setAttribute("y", y(Math.max(from, to)));
    live.setAttribute("height", Math.abs(y(from) - y(to)));
  });
  area.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const to = place(event), ends = [Math.min(from, to), Math.max(from, to)];
    from = null;
    const brushes = new Map(state.brushes);
    if (ends[1] - ends[0] < 0.02) brushes.delete(key); else brushes.set(key, ends);
    changed({ brushes });
  });
  area.addEventListener("click", (event) => event.stopPropagation());
}
