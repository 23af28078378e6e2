// Meshes that turn, all of them together. They are drawn here, pixel by pixel with a depth for each: a page may have
// more of them than a browser has contexts of WebGL. Colours are the normals', (n + 1) / 2 along x, y and z.

const pose = { around: 35, above: 20, zoom: 1 }; // degrees, the viewer's place; y is upright, z towards the viewer at 0
const solids = new Map(); // key -> its arrays

// Bytes as report/meshes.py writes them.
function solid(key) {
  if (!solids.has(key)) {
    const bytes = Uint8Array.from(atob(pictures()[key].split(",")[1]), (c) => c.charCodeAt(0)), [v, f] = new Uint32Array(bytes.buffer, 0, 2);
    const ends = [8, 8 + 6 * v, 8 + 10 * v];
    solids.set(key, { places: new Uint16Array(bytes.buffer, ends[0], 3 * v), normals: new Int8Array(bytes.buffer, ends[1], 4 * v), faces: new Uint16Array(bytes.buffer, ends[2], 3 * f) });
  }
  return solids.get(key);
}

function drawSolid(canvas) {
  const size = canvas.width, { places, normals, faces } = solid(canvas.dataset.key), count = places.length / 3;
  const [a, e] = [pose.around, pose.above].map((degrees) => (degrees * Math.PI) / 180);
  const right = [Math.cos(a), 0, -Math.sin(a)], toward = [Math.sin(a) * Math.cos(e), Math.sin(e), Math.cos(a) * Math.cos(e)];
  const up = [-Math.sin(a) * Math.sin(e), Math.cos(e), -Math.cos(a) * Math.sin(e)];
  const seen = new Float32Array(3 * count), colours = new Float32Array(3 * count), scale = (0.62 * pose.zoom * size) / 2;
  for (let i = 0; i < count; i++) {
    let x = 0, y = 0, z = 0, facing = 0;
    for (let d = 0; d < 3; d++) {
      const place = (2 * places[3 * i + d]) / 65535 - 1;
      x += right[d] * place; y += up[d] * place; z += toward[d] * place;
      facing += (toward[d] * normals[4 * i + d]) / 127;
    }
    seen.set([size / 2 + scale * x, size / 2 - scale * y, z], 3 * i);
    for (let d = 0; d < 3; d++) colours[3 * i + d] = (127.5 + normals[4 * i + d]) * (0.5 + 0.5 * Math.abs(facing));
  }
  const context = canvas.getContext("2d", { willReadFrequently: true }), image = context.createImageData(size, size), pixels = image.data, depth = new Float32Array(size * size).fill(-Infinity);
  for (let f = 0; f < faces.length; f += 3) {
    const [p, q, r] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
    const px = seen[p], py = seen[p + 1], ux = seen[q] - px, uy = seen[q + 1] - py, vx = seen[r] - px, vy = seen[r + 1] - py, area = ux * vy - uy * vx;
    if (!area) continue;
    const left = Math.max(0, Math.ceil(px + Math.min(0, ux, vx))), last = Math.min(size - 1, Math.floor(px + Math.max(0, ux, vx)));
    const bottom = Math.min(size - 1, Math.floor(py + Math.max(0, uy, vy)));
    for (let y = Math.max(0, Math.ceil(py + Math.min(0, uy, vy))); y <= bottom; y++) {
      for (let x = left; x <= last; x++) {
        const s = ((x - px) * vy - (y - py) * vx) / area, t = (ux * (y - py) - uy * (x - px)) / area, at = y * size + x;
        if (s < 0 || t < 0 || s + t > 1) continue;
        const z = seen[p + 2] * (1 - s - t) + seen[q + 2] * s + seen[r + 2] * t;
        if (z <= depth[at]) continue;
        depth[at] = z;
        for (let d = 0; d < 3; d++) pixels[4 * at + d] = colours[p + d] * (1 - s - t) + colours[q + d] * s + colours[r + d] * t;
        pixels[4 * at + 3] = 255;
      }
    }
  }
  context.putImageData(image, 0, 0);
}

let awaited = 0;
function drawSolids() {
  awaited ||= requestAnimationFrame(() => { awaited = 0; document.querySelectorAll("#grid canvas").forEach(drawSolid); });
}

function turn(around, above, zoom = 1) {
  Object.assign(pose, { around: pose.around + around, above: Math.max(-90, Math.min(90, pose.above + above)), zoom: Math.max(0.5, Math.min(20, pose.zoom * zoom)) });
  drawSolids();
}

const KEYS = { ArrowLeft: [10, 0], ArrowRight: [-10, 0], ArrowUp: [0, 10], ArrowDown: [0, -10], "+": [0, 0, 1.2], "=": [0, 0, 1.2], "-": [0, 0, 1 / 1.2] };
function solidCanvas(key, title, hint) {
  const size = Math.min(512, Math.round(270 * devicePixelRatio));
  const node = el("canvas", { width: size, height: size, tabIndex: 0, role: "img", ariaLabel: title, title: `${hint}\ndrag or arrow keys turn, wheel or + and - zoom, double click or 0 resets` });
  const reset = () => turn(35 - pose.around, 20 - pose.above, 1 / pose.zoom);
  node.dataset.key = key;
  node.addEventListener("pointerdown", (event) => node.setPointerCapture(event.pointerId));
  node.addEventListener("pointermove", (event) => { if (event.buttons === 1) turn(-event.movementX / 2, event.movementY / 2); });
  node.addEventListener("wheel", (event) => { event.preventDefault(); turn(0, 0, 2 ** (-event.deltaY / 400)); }, { passive: false });
  node.addEventListener("dblclick", reset);
  node.addEventListener("keydown", (event) => {
    if (event.key in KEYS) turn(...KEYS[event.key]);
    else if (event.key === "0") reset();
    else return;
    event.preventDefault();
  });
  return node;
}
