// Learning curves: a score and a loss, against steps or seconds.

const curves = { x: "step", score: "", loss: "loss", logX: false, logScore: false, logLoss: true };

const columnNames = [...new Set(page.runs.flatMap((run) => Object.keys(run.history)))].filter((name) => !["step", "seconds"].includes(name));
const isLoss = (name) => name === "loss" || name.startsWith("loss/");
const curveName = (name) => axisTitle(metricOf(name) ?? { name: name.replaceAll("_", " ") });

// [[x, y, spread], ...]; of a group the mean over its runs, as far as all of them have come.
function curve(item, xName, yName) {
  const runs = item.runs.filter((run) => run.history[xName] && run.history[yName] && (item.runs.length === 1 || run.status === "finished"));
  if (!runs.length) return [];
  const rows = Math.min(...runs.map((run) => run.history[xName].length));
  const found = [];
  for (let i = 0; i < rows; i++) {
    const xs = runs.map((run) => run.history[xName][i]), ys = runs.map((run) => run.history[yName][i]);
    if (xs.every(known) && ys.every(known)) found.push([mean(xs), mean(ys), deviation(ys) ?? 0]);
  }
  return found;
}

function curvePlot(host, yName, logY, columns) {
  const xName = curves.x === "step" ? "steps" : "seconds in steps";
  const data = visible().map((item) => ({ item, rows: curve(item, curves.x, yName).filter(([x, y]) => (!curves.logX || x > 0) && (!logY || y > 0)) })).filter((line) => line.rows.length);
  const xs = extent(data.flatMap((line) => line.rows.map((row) => row[0])), curves.logX);
  const ys = extent(data.flatMap((line) => line.rows.flatMap(([, y, spread]) => [y - spread, y + spread])), logY);
  if (!xs || !ys) return host.append(plotBox(curveName(yName), empty("No run shown here has a history of it.")));
  const width = widthOf(host, columns), height = 330;
  const x = scaleOf(curves.logX, xs, [MARGIN.left, width - MARGIN.right]), y = scaleOf(logY, ys, [height - MARGIN.bottom, MARGIN.top]);
  const root = frame(width, height, x, y, xName, curveName(yName));
  for (const { item, rows } of data) {
    if (slot(item) === undefined || item.runs.length === 1) continue;
    const least = logY ? ys[0] : -Infinity;
    const band = [...rows.map(([a, b, s]) => [x(a), y(b + s)]), ...[...rows].reverse().map(([a, b, s]) => [x(a), y(Math.max(b - s, least))])];
    root.append(svg("path", { class: `band f${slot(item) % COLOURS}`, d: path(band) + "Z" }));
  }
  const lines = data.map(({ item, rows }) => ({ item, points: rows.map(([a, b]) => [x(a), y(b)]) }));
  drawLines(root, lines);
  hoverable(root, lines);
  host.append(plotBox(curveName(yName), root, state.grouped ? "mean over seeds ± standard deviation" : ""));
}

function drawCurves() {
  const host = $("#curves .plots"), columns = host.clientWidth > 930 ? 2 : 1;
  host.replaceChildren();
  curvePlot(host, curves.score, curves.logScore, columns);
  curvePlot(host, curves.loss, curves.logLoss, columns);
}

function startCurves() {
  const scores = columnNames.filter((name) => !isLoss(name)), losses = columnNames.filter(isLoss);
  curves.score = scores.includes(state.metric) ? state.metric : scores[0] ?? state.metric;
  const redraw = panel($("#curves"), drawCurves);
  const set = (key) => (value) => { curves[key] = value; redraw(); };
  $("#curves .controls").append(
    select("Left", scores.map((name) => [name, curveName(name)]), curves.score, set("score")),
    select("Right", losses.map((name) => [name, curveName(name)]), curves.loss, set("loss")),
    select("Against", [["step", "steps"], ["seconds", "seconds"]], curves.x, set("x")),
    checkbox("log across", curves.logX, set("logX")),
    checkbox("log left", curves.logScore, set("logScore")),
    checkbox("log right", curves.logLoss, set("logLoss")),
  );
}
