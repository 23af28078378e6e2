// A frame with axes for lines over numbers; lines near the pointer are named.

const MARGIN = { left: 58, right: 14, top: 10, bottom: 38 };

function frame(width, height, x, y, xName, yName) {
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${yName} against ${xName}` });
  const bottom = height - MARGIN.bottom, right = width - MARGIN.right;
  for (const tick of x.ticks(6)) {
    root.append(svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: MARGIN.top, y2: bottom }));
    root.append(svg("text", { class: "soft", x: x(tick), y: bottom + 15, "text-anchor": "middle" }, number(tick)));
  }
  for (const tick of y.ticks(5)) {
    root.append(svg("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y(tick), y2: y(tick) }));
    root.append(svg("text", { class: "soft", x: MARGIN.left - 6, y: y(tick) + 4, "text-anchor": "end" }, number(tick)));
  }
  root.append(svg("line", { class: "axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }));
  root.append(svg("text", { x: (MARGIN.left + right) / 2, y: height - 6, "text-anchor": "middle" }, xName));
  root.append(svg("text", { x: 0, y: 0, transform: `translate(13 ${(MARGIN.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yName));
  return root;
}

const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

// lines: [{ item, points: [[x, y], ...], d? }]. Those not chosen are one grey path: a thousand elements would be slow.
function drawLines(root, lines) {
  const plain = lines.filter((line) => slot(line.item) === undefined);
  if (plain.length) root.append(svg("path", { class: plain.length > 200 ? "context many" : "context", d: plain.map((line) => line.d ?? path(line.points)).join("") }));
  const coloured = lines.filter((line) => slot(line.item) !== undefined).sort((a, b) => slot(b.item) - slot(a.item));
  for (const line of coloured) {
    root.append(svg("path", { class: lineClass(slot(line.item)), d: line.d ?? path(line.points) }, svg("title", {}, line.item.label)));
  }
}

function nearest(lines, x, y) {
  let best = null, least = 14 ** 2;
  for (const line of lines) {
    for (let i = 1; i < line.points.length || i === 1; i++) {
      const [ax, ay] = line.points[i - 1], [bx, by] = line.points[i] ?? line.points[i - 1];
      if (x < ax - 14 || x > bx + 14) continue;
      const length = (bx - ax) ** 2 + (by - ay) ** 2 || 1;
      const t = Math.max(0, Math.min(1, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length));
      const far = (ax + t * (bx - ax) - x) ** 2 + (ay + t * (by - ay) - y) ** 2;
      if (far < least) { least = far; best = line; }
    }
  }
  return best;
}

// Names the line under the pointer; a click gives or takes its colour.
function hoverable(root, lines) {
  const mark = root.appendChild(svg("path", { class: "hover" }));
  const under = (event) => {
    const box = root.getBoundingClientRect();
    return nearest(lines, event.clientX - box.left, event.clientY - box.top);
  };
  root.addEventListener("pointermove", (event) => {
    const line = event.buttons ? null : under(event);
    mark.setAttribute("d", line ? line.d ?? path(line.points) : "");
    if (line) tip.show(event, summary(line.item)); else tip.hide();
  });
  root.addEventListener("pointerleave", () => { mark.setAttribute("d", ""); tip.hide(); });
  root.addEventListener("click", (event) => {
    const line = under(event);
    if (line) toggle(line.item);
  });
}

const plotBox = (title, content, note = "") => el("div", { className: "plot" }, [el("h3", {}, [title, " ", el("small", {}, note)]), content]);
const empty = (text) => el("p", { className: "empty" }, text);
const widthOf = (host, columns = 1) => Math.max(300, (host.clientWidth - 16 * (columns - 1)) / columns - 16);

// Panels are drawn when they come into view and redrawn there: a page of two thousand runs opens at once.
function panel(section, draw) {
  let stale = true, near = false;
  const refresh = () => { if (near && stale) { stale = false; draw(); } };
  onChange(() => { stale = true; requestAnimationFrame(refresh); });
  new IntersectionObserver((entries) => { near = entries.at(-1).isIntersecting; refresh(); }, { rootMargin: "300px" }).observe(section);
  addEventListener("resize", () => { stale = true; refresh(); });
  return () => { stale = true; refresh(); };
}
