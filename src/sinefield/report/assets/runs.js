// The runs, what of them is shown, and which are chosen. Every panel asks `visible()` and `slot()` and nobody else.

const page = JSON.parse($("#data-runs").textContent);
let pictureData = null;
const pictures = () => (pictureData ??= JSON.parse($("#data-pictures").textContent));

const SEED = "seed";
const COLOURS = 7;
const MOST_CHOSEN = 3 * COLOURS; // colours times dashes

page.runs.forEach((run, id) => { run.id = id; });
const metrics = page.scores; // { key, name, unit, digits, direction }, of which `direction` says whether "max" or "min" is better
const metricOf = (key) => metrics.find((metric) => metric.key === key);
const axisTitle = ({ name, unit } = metricOf(state.metric)) => name + (unit ? " / " + unit : "");

const state = {
  grouped: false,
  filter: "",
  status: "",
  metric: page.monitors[0],
  brushes: new Map(), // axis -> [least, most] as positions 0..1 along it
  chosen: new Map(), // key of an item -> its slot, which is its colour
};

const listeners = [];
const onChange = (listener) => listeners.push(listener);
let cached = {};
function changed(values = {}) {
  Object.assign(state, values);
  cached = {};
  for (const listener of listeners) listener();
}

const knobNames = () => page.knobs.filter((knob) => !(state.grouped && knob === SEED));
const label = (knobs, names, otherwise) => names.filter((n) => n in knobs).map((n) => `${n}=${shown(knobs[n])}`).join(" ") || otherwise;

// An item is what has a row, a line and a colour: a run, or the runs that differ in their seed alone.
function item(key, runs, name) {
  const knobs = { ...runs[0].knobs };
  const names = knobNames();
  if (state.grouped) delete knobs[SEED];
  const finished = runs.length > 1 ? runs.filter((run) => run.status === "finished") : runs;
  const values = {}, spreads = {};
  for (const { key: metric } of metrics) {
    const found = finished.map((run) => run.metrics[metric]).filter(known);
    values[metric] = found.length ? mean(found) : null;
    spreads[metric] = deviation(found);
  }
  const states = ordered(runs.map((run) => run.status));
  return {
    key, runs, name, knobs, values, spreads,
    label: label(knobs, names, name),
    short: names.map((n) => shown(knobs[n])).join(" ") || name,
    statuses: states,
    status: states.length === 1 && runs.length === 1 ? states[0] : states.map((s) => `${runs.filter((run) => run.status === s).length} ${s}`).join(", "),
    problems: runs.flatMap((run) => run.problems),
  };
}

function items() {
  if (cached.items) return cached.items;
  if (!state.grouped) return (cached.items = page.runs.map((run) => item("r" + run.id, [run], run.name)));
  const groups = new Map();
  for (const run of page.runs) {
    const ruin = !Object.values(run.knobs).some((value) => value !== null);
    const key = ruin ? "r" + run.id : "g" + JSON.stringify(knobNames().map((knob) => run.knobs[knob] ?? null));
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return (cached.items = [...groups].map(([key, runs]) => item(key, runs, runs.length > 1 ? `${runs.length} runs` : runs[0].name)));
}

// One term of the filter: text anywhere, or name=value, name>number, name<number; a minus in front negates.
function term(text) {
  const negated = text.startsWith("-") && text.length > 1;
  const found = /^([^=<>]+)(=|<|>)(.*)$/.exec(negated ? text.slice(1) : text);
  const holds = !found ? (item) => haystack(item).includes((negated ? text.slice(1) : text).toLowerCase())
    : found[2] === "=" ? (item) => equal(lookup(item, found[1]), found[3])
    : (item) => {
      const value = lookup(item, found[1]);
      return known(value) && (found[2] === ">" ? value > Number(found[3]) : value < Number(found[3]));
    };
  return negated ? (item) => !holds(item) : holds;
}
const equal = (value, text) => value !== undefined && (shown(value).toLowerCase() === text.toLowerCase() || (known(value) && value === Number(text)));
const haystack = (item) => (item.haystack ??= [item.label, item.status, ...item.runs.map((run) => run.name), ...item.problems].join(" ").toLowerCase());
const lookup = (item, name) => (name in item.knobs ? item.knobs[name] : name in item.values ? item.values[name] ?? undefined : name === "status" ? item.status : item.runs[0].config[name]);

function visible() {
  if (cached.visible) return cached.visible;
  const terms = state.filter.split(/\s+/).filter(Boolean).map(term);
  const shownItems = items().filter((item) => terms.every((holds) => holds(item)) && (!state.status || item.statuses.includes(state.status)));
  const brushes = [...state.brushes];
  return (cached.visible = shownItems.filter((item) => brushes.every(([axis, [least, most]]) => {
    const at = axisOf(axis).place(item);
    return at !== null && at >= least && at <= most;
  })));
}

const score = (item) => item.values[state.metric];
const better = (a, b) => (metricOf(state.metric).direction === "min" ? a - b : b - a);
const ranked = () => visible().filter((item) => known(score(item))).sort((a, b) => better(score(a), score(b)));
const chosen = () => (cached.chosen ??= [...state.chosen].map(([key, slot]) => ({ item: items().find((item) => item.key === key), slot })).filter((c) => c.item).sort((a, b) => a.slot - b.slot));
const slot = (item) => state.chosen.get(item.key);

function choose(item, on) {
  if (!on) state.chosen.delete(item.key);
  else if (!state.chosen.has(item.key) && state.chosen.size < MOST_CHOSEN) {
    const taken = new Set(state.chosen.values());
    let free = 0;
    while (taken.has(free)) free++;
    state.chosen.set(item.key, free);
  }
  changed();
}
const toggle = (item) => choose(item, slot(item) === undefined);

// What is chosen stays chosen, in its colour, as the group of its runs or as a group's first run.
function group(on) {
  const before = chosen();
  changed({ grouped: on, brushes: new Map() });
  state.chosen = new Map();
  for (const { item: old, slot: colour } of before) {
    const now = items().find((item) => item.runs.some((run) => run === old.runs[0]));
    if (now && !state.chosen.has(now.key)) state.chosen.set(now.key, colour);
  }
  changed();
}

const badge = (slot) => el("span", { className: `badge b${slot % COLOURS}` }, String(slot + 1));
const lineClass = (slot) => `line s${slot % COLOURS} d${Math.floor(slot / COLOURS)}`;
const summary = (item) => `${item.label}\n${item.name === item.label ? "" : item.name + ", "}${item.status}\n` +
  metrics.filter((metric) => known(item.values[metric.key])).slice(0, 5).map((metric) => `${metric.name} ${scored(metric, item.values[metric.key])}`).join("\n");
