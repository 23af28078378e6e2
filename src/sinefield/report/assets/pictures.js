// Pictures, meshes, sounds and films of the chosen runs, all pictures with one crop and zoom, and a slider between two of them.

// x, y: left and top edge, in pictures. A signal's derivatives are the same in all runs: they are shown when asked for.
const view = { zoom: 1, x: 0, y: 0, media: page.media.filter(({ title }) => !title.endsWith(" signal")) };
const versus = { before: null, after: null, beforeFile: "reconstruction.png", file: "reconstruction.png", at: 50 };
const has = (medium) => ({ run }) => medium.file in run.media;

function fit(zoom, x, y) {
  view.zoom = Math.max(1, Math.min(64, zoom));
  const most = 1 - 1 / view.zoom;
  view.x = Math.max(0, Math.min(most, x));
  view.y = Math.max(0, Math.min(most, y));
  for (const host of [$("#grid"), $("#compare")]) {
    host.style.setProperty("--zoom", view.zoom);
    host.style.setProperty("--x", view.x);
    host.style.setProperty("--y", view.y);
    host.classList.toggle("zoomed", view.zoom > 1.5);
    if (view.zoom > 1.5) host.querySelectorAll("img[data-full]").forEach(sharpen);
  }
  $("#zoom").value = Math.log2(view.zoom);
  $("#zoom-value").textContent = `${number(view.zoom)}×`;
}

// (u, v) is the point that stays where it is, in tiles.
const zoomTo = (zoom, u = 0.5, v = 0.5) => {
  const now = Math.max(1, Math.min(64, zoom));
  fit(now, view.x + u / view.zoom - u / now, view.y + v / view.zoom - v / now);
};

// A thumbnail is replaced by the run folder's own picture when its pixels are looked at, if that is still there.
function sharpen(image) {
  const full = image.dataset.full, small = image.src;
  delete image.dataset.full;
  image.addEventListener("error", () => { image.src = small; }, { once: true });
  image.src = full;
}

const linkTo = (run, link) => `${run.link}/${link}`;

function image(run, medium) {
  if (!has(medium)({ run })) return null;
  const [key, width, height, meaning] = run.media[medium.file], embedded = key && pictures()[key], link = linkTo(run, medium.link);
  const node = el("img", { alt: `${medium.title} of ${run.name}`, title: meaning, draggable: false, decoding: "async", src: embedded || link });
  if (embedded && Math.max(width, height) > 256) node.dataset.full = link;
  return { node, aspect: width && height ? width / height : 1 };
}

function tile(run, medium) {
  if (!has(medium)({ run })) return el("div", { className: "tile none" }, "none");
  const link = linkTo(run, medium.link), open = el("a", { className: "open", href: link, target: "_blank", rel: "noopener", title: "the file itself" }, "open ↗");
  if (medium.element === "canvas") {
    const [key, , , meaning] = run.media[medium.file];
    return el("div", { className: "player" }, [key ? solidCanvas(key, `${medium.title} of ${run.name}`, meaning) : null, open]);
  }
  if (medium.element !== "img") {
    return el("div", { className: "player" }, [el(medium.element, { controls: true, preload: "none", title: `${medium.title} of ${run.name}`, src: pictures()[run.media[medium.file][0]] ?? link }), open]);
  }
  const { node, aspect } = image(run, medium), box = el("div", { className: "tile" }, [node, open]);
  box.style.setProperty("--aspect", aspect);
  return box;
}

// Of a group, the run in the middle of its scores stands for it.
function typical(item) {
  const list = item.runs.filter((run) => Object.keys(run.media).length);
  const byScore = list.filter((run) => known(run.metrics[state.metric])).sort((a, b) => better(b.metrics[state.metric], a.metrics[state.metric]));
  return byScore[Math.floor((byScore.length - 1) / 2)] ?? list[0] ?? item.runs[0];
}

// Says where one colour means different numbers in different runs.
function heading(medium, list) {
  const meanings = [...new Set(list.map(({ run }) => run.media[medium.file]?.[3]).filter(Boolean))];
  return el("div", { title: meanings.join("\n") }, [medium.title, meanings.length > 1 ? el("strong", {}, " (scales differ)") : null]);
}

function drawPictures() {
  const list = chosen().map(({ item, slot }) => ({ item, slot, run: typical(item) }));
  const grid = $("#grid"), media = view.media.filter((medium) => list.some(has(medium)));
  grid.style.setProperty("--kinds", media.length);
  const metric = metricOf(state.metric);
  grid.replaceChildren(...(list.length ? [
    el("div", { className: "row head" }, [el("div", {}, ""), ...media.map((medium) => heading(medium, list))]),
    ...list.map(({ item, slot, run }) => el("div", { className: "row" }, [
      el("div", { className: "who" }, [el("div", {}, badge(slot)), el("div", {}, item.label), item.runs.length > 1 ? el("div", { className: "hint" }, `shown: ${run.name}`) : null,
        el("div", {}, `${scored(metric, run.metrics[metric.key])}`), run.sheet ? el("a", { href: linkTo(run, run.sheet), target: "_blank", rel: "noopener" }, "contact sheet ↗") : null]),
      ...media.map((medium) => tile(run, medium)),
    ])),
  ] : [empty("Tick runs in the table to see their pictures and hear their sounds.")]));
  drawSolids();
  drawCompare(list);
  fit(view.zoom, view.x, view.y);
}

function drawCompare(list) {
  const host = $("#compare"), controls = $("#compare-controls");
  const images = page.media.filter((medium) => medium.element === "img" && list.some(has(medium))), able = list.filter((one) => images.some((medium) => has(medium)(one)));
  if (!able.length) { controls.replaceChildren(); return host.replaceChildren(empty("Tick two runs that have pictures.")); }
  const options = able.map(({ item, slot }) => [item.key, `${slot + 1}: ${item.label}`]);
  const keys = options.map(([key]) => key);
  if (!keys.includes(versus.before)) versus.before = keys[0];
  if (!keys.includes(versus.after)) versus.after = keys.find((key) => key !== versus.before) ?? keys[0];
  const set = (key) => (value) => { versus[key] = value; drawCompare(list); fit(view.zoom, view.x, view.y); };
  for (const key of ["beforeFile", "file"]) if (!images.some(({ file }) => file === versus[key])) versus[key] = images[0].file;
  const titles = images.map(({ file, title }) => [file, title]), medium = (key) => images.find(({ file }) => file === versus[key]);
  controls.replaceChildren(
    select("Left", options, versus.before, set("before")), select("", titles, versus.beforeFile, set("beforeFile")),
    select("Right", options, versus.after, set("after")), select("", titles, versus.file, set("file")),
  );
  const run = (key) => able.find(({ item }) => item.key === key).run;
  const left = image(run(versus.before), medium("beforeFile")), right = image(run(versus.after), medium("file"));
  if (!left || !right) return host.replaceChildren(empty("One of the two has no such picture."));
  const over = el("div", { className: "over-box" }, left.node), cut = el("div", { className: "cut" });
  const box = el("div", { className: "tile" }, [right.node, over, cut]);
  box.style.setProperty("--aspect", right.aspect);
  const slider = el("input", { type: "range", min: 0, max: 100, step: 0.5, id: "slider", ariaLabel: "how much of the left picture is seen" });
  const move = (at) => {
    versus.at = Math.max(0, Math.min(100, at));
    slider.value = versus.at;
    over.style.clipPath = `inset(0 ${100 - versus.at}% 0 0)`;
    cut.style.left = versus.at + "%";
  };
  slider.addEventListener("input", () => move(Number(slider.value)));
  const follow = (event) => { const r = box.getBoundingClientRect(); move((100 * (event.clientX - r.left)) / r.width); };
  box.addEventListener("pointerdown", (event) => { box.setPointerCapture(event.pointerId); follow(event); });
  box.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
  move(versus.at);
  host.replaceChildren(box, slider);
}

function startPictures() {
  const redraw = panel($("#pictures"), drawPictures);
  const zoom = el("input", { type: "range", min: 0, max: 6, step: 0.1, value: 0, id: "zoom", oninput: (event) => zoomTo(2 ** Number(event.target.value)) });
  $("#pictures .controls").append(
    el("label", {}, ["Zoom ", zoom, " ", el("span", { id: "zoom-value" }, "1×")]), el("button", { onclick: () => fit(1, 0, 0) }, "reset"),
    ...page.media.map((medium) => checkbox(medium.element === "img" ? medium.title : medium.file, view.media.includes(medium), (on) => { view.media = page.media.filter((m) => (m === medium ? on : view.media.includes(m))); redraw(); })),
    el("span", { className: "hint" }, "Drag moves all pictures, Ctrl and the wheel or a double click zoom; drag turns all meshes, the wheel zooms."),
  );
  const grid = $("#grid");
  const place = (event) => { const r = event.target.closest(".tile")?.getBoundingClientRect(); return r && [(event.clientX - r.left) / r.width, (event.clientY - r.top) / r.height, r]; };
  grid.addEventListener("wheel", (event) => {
    const at = place(event);
    if (!at || !(event.ctrlKey || event.metaKey)) return; // the wheel alone scrolls the page
    event.preventDefault();
    zoomTo(view.zoom * 2 ** (-event.deltaY / 200), at[0], at[1]);
  }, { passive: false });
  grid.addEventListener("dblclick", (event) => { const at = place(event); if (at) zoomTo(view.zoom * (event.shiftKey ? 0.5 : 2), at[0], at[1]); });
  grid.addEventListener("pointermove", (event) => {
    const at = event.buttons === 1 ? place(event) : null;
    if (at) fit(view.zoom, view.x - event.movementX / at[2].width / view.zoom, view.y - event.movementY / at[2].height / view.zoom);
  });
  grid.addEventListener("keydown", (event) => {
    const step = 0.1 / view.zoom;
    const act = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (event.target !== grid) return;
    if (act) fit(view.zoom, view.x + act[0], view.y + act[1]);
    else if ("+=".includes(event.key)) zoomTo(view.zoom * 1.5);
    else if (event.key === "-") zoomTo(view.zoom / 1.5);
    else if (event.key === "0") fit(1, 0, 0);
    else return;
    event.preventDefault();
  });
}
