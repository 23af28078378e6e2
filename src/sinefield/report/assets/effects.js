// Which knob matters how much: the share of the score's variance that a knob explains by itself,
//
//   epsilon² = (SS_knob - (k - 1) MS_rest) / SS_total      (Kelley 1935), not below 0
//
// over its k values. MS_rest is the mean square of what all knobs together, added up, leave unexplained, so that a small
// effect is seen beside a large one. Unlike plain eta² it does not grow with k: a knob that does nothing has 0 on average.
// A sweep over all combinations makes the sums exact; elsewhere knobs that were varied together share what they explain. A
// knob of many numbers, as a search draws them, is cut into five parts of equally many runs first.

const shortest = (value) => number(Number(value.toPrecision(2)));

function levels(list, knob) {
  const values = ordered(list.map((item) => item.knobs[knob]).filter((value) => value !== undefined));
  if (values.length <= 8 || !values.every(known)) return new Map(values.map((value) => [shown(value), list.filter((item) => item.knobs[knob] === value)]));
  const byValue = [...list].filter((item) => known(item.knobs[knob])).sort((a, b) => a.knobs[knob] - b.knobs[knob]);
  const parts = new Map();
  for (let i = 0; i < 5; i++) {
    const part = byValue.slice(Math.round((i * byValue.length) / 5), Math.round(((i + 1) * byValue.length) / 5));
    if (part.length) parts.set(`${shortest(part[0].knobs[knob])} … ${shortest(part.at(-1).knobs[knob])}`, part);
  }
  return parts;
}

// [[knob, groups], ...] -> [[knob, groups, share], ...]
function explained(knobs) {
  const parts = knobs.map(([, groups]) => [...groups.values()].map((list) => list.map(score)));
  const sums = parts.map((lists) => {
    const all = lists.flat(), middle = mean(all), k = lists.length;
    const between = lists.reduce((sum, list) => sum + list.length * (mean(list) - middle) ** 2, 0);
    return { between, k, n: all.length, total: all.reduce((sum, value) => sum + (value - middle) ** 2, 0) };
  });
  const used = sums.reduce((sum, { k }) => sum + k - 1, 0), all = sums.reduce((sum, { between }) => sum + between, 0);
  return knobs.map(([knob, groups], i) => {
    const { between, k, n, total } = sums[i];
    if (n - 1 - used < 1 || !total) return [knob, groups, null];
    const rest = Math.max(0, total - all) / (n - 1 - used);
    return [knob, groups, Math.min(1, Math.max(0, (between - (k - 1) * rest) / total))];
  });
}

function effectPlot(knob, groups, share, range, width) {
  const rows = [...groups], step = 26, left = 118, height = 62 + rows.length * step;
  const x = linear(range, [left, width - 12]), inside = (value) => Math.max(left, Math.min(width - 12, x(value)));
  const root = svg("svg", { width, height, role: "img", "aria-label": `effect of ${knob}` });
  root.append(svg("rect", { class: "bar-back", x: left, y: 4, width: width - 12 - left, height: 8, rx: 2 }));
  root.append(svg("rect", { class: "bar-front", x: left, y: 4, width: Math.max(0, (share ?? 0) * (width - 12 - left)), height: 8, rx: 2 }));
  root.append(svg("text", { class: "soft", x: left - 8, y: 12, "text-anchor": "end" }, share === null ? "too few runs" : `explains ${Math.round(100 * share)} %`));
  for (const tick of x.ticks(4)) {
    root.append(svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: 22, y2: height - 32 }));
    root.append(svg("text", { class: "soft", x: x(tick), y: height - 18, "text-anchor": "middle" }, number(tick)));
  }
  root.append(svg("text", { class: "soft", x: (left + width) / 2, y: height - 3, "text-anchor": "middle" }, axisTitle()));
  rows.forEach(([value, list], i) => {
    const y = 36 + i * step, values = list.map(score), middle = mean(values), spread = deviation(values) ?? 0;
    root.append(svg("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, clipped(value, 17)));
    list.slice(0, 400).forEach((item, j) => {
      const at = slot(item), dot = svg("circle", { cx: x(score(item)), cy: y + ((j * 5) % 9) - 4, r: at === undefined ? 2.2 : 4, class: at === undefined ? "context" : `f${at % COLOURS}` });
      dot.append(svg("title", {}, summary(item)));
      root.append(dot);
    });
    root.append(svg("line", { class: "mean", x1: inside(middle - spread), x2: inside(middle + spread), y1: y, y2: y, "stroke-opacity": 0.5 }));
    root.append(svg("line", { class: "mean", x1: x(middle), x2: x(middle), y1: y - 9, y2: y + 9 }));
  });
  return plotBox(knob, root);
}

const finishedItems = () => ranked().filter((item) => item.statuses.includes("finished"));

function drawEffects() {
  const host = $("#effects .plots"), list = finishedItems();
  const found = explained(knobNames().map((knob) => [knob, levels(list, knob)]).filter(([, groups]) => groups.size > 1));
  $("#effects .hint").textContent = "The share of the variance of the score, over the finished runs shown, that each knob explains by itself. Line: mean, bar: standard deviation, dots: runs.";
  if (!found.length) return host.replaceChildren(empty("The finished runs shown here differ in no knob."));
  found.sort((a, b) => (b[2] ?? -1) - (a[2] ?? -1));
  const range = extent(list.map(score)), columns = Math.max(1, Math.floor((host.clientWidth + 16) / (304 + 16)));
  const width = widthOf(host, Math.min(columns, 4));
  host.replaceChildren(...found.map(([knob, groups, share]) => effectPlot(knob, groups, share, range, Math.min(width, 420))));
}
