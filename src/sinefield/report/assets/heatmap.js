// The mean score over two knobs.

const heat = { across: null, down: null };
// Cividis (Nuñez, Anderton & Renslow 2018): read the same with and without colour blindness, and in grey.
const CIVIDIS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];

function cividis(level) {
  const at = Math.max(0, Math.min(1, level)) * (CIVIDIS.length - 1), i = Math.min(CIVIDIS.length - 2, Math.floor(at));
  return CIVIDIS[i].map((channel, c) => Math.round(channel + (at - i) * (CIVIDIS[i + 1][c] - channel)));
}

function drawHeatmap() {
  const host = $("#heatmap .plots"), controls = $("#heatmap .controls"), list = finishedItems();
  const sizes = new Map(knobNames().map((name) => [name, levels(list, name).size])); // 0: no run with this score has it
  const names = [...sizes.keys()].filter((name) => sizes.get(name)).sort((a, b) => (sizes.get(b) > 1) - (sizes.get(a) > 1));
  if (names.length < 2) { controls.replaceChildren(); return host.replaceChildren(empty(list.length ? "It takes two knobs that differ." : "No finished run is shown.")); }
  if (!names.includes(heat.across)) heat.across = names.find((name) => name !== SEED && name !== heat.down) ?? names[0];
  if (!names.includes(heat.down) || heat.down === heat.across) heat.down = names.find((name) => name !== SEED && name !== heat.across) ?? names.find((name) => name !== heat.across);
  const set = (key) => (value) => { heat[key] = value; drawHeatmap(); };
  controls.replaceChildren(select("Across", names.map((n) => [n, n]), heat.across, set("across")), select("Down", names.map((n) => [n, n]), heat.down, set("down")));
  const across = [...levels(list, heat.across)], down = [...levels(list, heat.down)];
  const cells = down.map(([, rows]) => across.map(([, columns]) => { const inside = new Set(columns); return rows.filter((item) => inside.has(item)); }));
  const means = cells.flat().filter((cell) => cell.length).map((cell) => mean(cell.map(score)));
  const lo = Math.min(...means), hi = Math.max(...means), metric = metricOf(state.metric);
  const left = 130, top = 34, cellWidth = Math.max(62, Math.min(170, (widthOf(host) - left) / across.length)), cellHeight = 38;
  const width = left + cellWidth * across.length + 8, height = top + cellHeight * down.length + 26;
  const root = svg("svg", { width, height, role: "img", "aria-label": `${metric.name} over ${heat.across} and ${heat.down}` });
  across.forEach(([value], i) => root.append(svg("text", { x: left + (i + 0.5) * cellWidth, y: top - 8, "text-anchor": "middle" }, clipped(value, Math.floor(cellWidth / 7)))));
  down.forEach(([value], j) => root.append(svg("text", { x: left - 8, y: top + (j + 0.5) * cellHeight + 4, "text-anchor": "end" }, clipped(value, 18))));
  root.append(svg("text", { class: "soft", x: left + (cellWidth * across.length) / 2, y: height - 6, "text-anchor": "middle" }, `${heat.across} across, ${heat.down} down`));
  cells.forEach((line, j) => line.forEach((cell, i) => root.append(...heatCell(cell, left + i * cellWidth, top + j * cellHeight, cellWidth, cellHeight, lo, hi, metric, `${heat.across}=${across[i][0]} ${heat.down}=${down[j][0]}`))));
  host.replaceChildren(plotBox(axisTitle(), root, `mean over all else; bright is ${metric.direction ? "better" : "high"}`));
}

function heatCell(cell, x, y, width, height, lo, hi, metric, name) {
  if (!cell.length) return [svg("text", { class: "soft", x: x + width / 2, y: y + height / 2 + 4, "text-anchor": "middle" }, "–")];
  const values = cell.map(score), middle = mean(values), level = hi > lo ? (middle - lo) / (hi - lo) : 0.5, rgb = cividis(metric.direction === "min" ? 1 - level : level);
  const box = svg("rect", { class: "cell", x: x + 1, y: y + 1, width: width - 2, height: height - 2, rx: 2, fill: `rgb(${rgb.join(" ")})` });
  const spread = deviation(values);
  box.append(svg("title", {}, `${name}\n${scored(metric, middle)}${known(spread) ? " ± " + number(spread, metric.digits) : ""}, ${cell.length} ${cell.length > 1 ? "runs" : "run"}`));
  const dark = 0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2] < 128;
  const text = svg("text", { x: x + width / 2, y: y + height / 2 + 4, "text-anchor": "middle", "pointer-events": "none" }, number(middle, metric.digits));
  text.style.fill = dark ? "#fff" : "#111";
  return [box, text];
}
