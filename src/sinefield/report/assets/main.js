// Start: the header, then each panel.

function drawHeader() {
  const list = visible(), counts = ordered(page.runs.map((run) => run.status)).map((s) => `${page.runs.filter((run) => run.status === s).length} ${s}`);
  $("#count").textContent = `${list.length} of ${items().length} ${state.grouped ? "groups" : "runs"} shown · ${counts.join(", ")}`;
  $("#chosen").replaceChildren(...chosen().map(({ item, slot }) =>
    el("li", {}, [badge(slot), el("span", { className: "name", title: item.label }, item.short), el("button", { title: "take its colour away", ariaLabel: "remove " + item.label, onclick: () => choose(item, false) }, "×")])),
    ...(state.brushes.size ? [el("li", {}, el("button", { onclick: () => changed({ brushes: new Map() }) }, `clear ${state.brushes.size} axis ranges`))] : []));
}

document.title = `${page.title} – sinefield`;
$("#title").textContent = page.title;
$("#title").title = page.title;
$("#footer").textContent = `Built ${page.built} from ${page.runs.length} run folders. Pictures open from those folders, as long as they stay where they were.`;
for (const status of ordered(page.runs.map((run) => run.status))) $("#status").append(el("option", { value: status }, status));
for (const metric of metrics) $("#metric").append(el("option", { value: metric.key }, metric.name));
$("#metric").value = state.metric;
$("#group-box").hidden = !page.knobs.includes(SEED);

let typing = null;
$("#filter").addEventListener("input", (event) => { clearTimeout(typing); typing = setTimeout(() => changed({ filter: event.target.value }), 120); });
$("#status").addEventListener("change", (event) => changed({ status: event.target.value }));
$("#metric").addEventListener("change", (event) => changed({ metric: event.target.value }));
$("#group").addEventListener("change", (event) => group(event.target.checked));
addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, select")) { event.preventDefault(); $("#filter").focus(); }
});

// The best of each choice of knobs, whatever its seed: four runs that differ in luck alone would show nothing.
const bests = new Map();
for (const item of ranked().filter((item) => item.status === "finished")) {
  const choice = JSON.stringify({ ...item.knobs, [SEED]: undefined });
  if (!bests.has(choice)) bests.set(choice, item);
}
[...bests.values()].slice(0, 4).forEach((item, i) => state.chosen.set(item.key, i));
if (ranked().length) detail.run = ranked()[0].runs[0].id;
onChange(drawHeader);
onChange(drawTable);
startCurves();
panel($("#parallel"), drawParallel);
panel($("#effects"), drawEffects);
panel($("#heatmap"), drawHeatmap);
startPictures();
drawDetails();
changed();
