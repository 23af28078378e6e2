// Numbers and names as they are read.

// What can be a score: key in metrics.json, what it is called, its digits after the point, and whether more (1) or less (-1) is better.
const METRICS = [
  { key: "psnr_off_grid", name: "PSNR between", unit: "dB", digits: 2, better: 1 },
  { key: "psnr", name: "PSNR on samples", unit: "dB", digits: 2, better: 1 },
  { key: "gain", name: "over the spline", unit: "dB", digits: 2, better: 1 },
  { key: "psnr_off_grid_spline", name: "spline's", unit: "dB", digits: 2, better: 0 },
  { key: "ssim", name: "SSIM", unit: "", digits: 4, better: 1 },
  { key: "loss", name: "loss", unit: "", digits: null, better: -1 },
  { key: "steps_per_second", name: "steps/s", unit: "", digits: 1, better: 1 },
  { key: "fit_seconds", name: "seconds", unit: "", digits: 1, better: -1 },
  { key: "steps", name: "steps", unit: "", digits: 0, better: 0 },
  { key: "parameters", name: "parameters", unit: "", digits: 0, better: -1 },
  { key: "peak_memory_mb", name: "peak memory", unit: "MB", digits: 0, better: -1 },
];
const metricOf = (key) => METRICS.find((metric) => metric.key === key);

const KIND_NAMES = {
  ground_truth: "ground truth", reconstruction: "reconstruction", error: "error", gradient_signal: "gradient of signal",
  gradient_field: "gradient of field", laplacian_signal: "Laplacian of signal", laplacian_field: "Laplacian of field",
};

const known = (value) => typeof value === "number" && Number.isFinite(value);

function number(value, digits = null) {
  if (!known(value)) return "–";
  if (digits !== null) return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const size = Math.abs(value);
  return size !== 0 && (size < 0.001 || size >= 1e6) ? value.toExponential(2).replace(/\.?0+e\+?/, "e") : String(Number(value.toPrecision(4)));
}

const scored = (metric, value) => number(value, metric.digits) + (metric.unit && known(value) ? " " + metric.unit : "");

// A knob's value: what is not said and what is null differ.
function shown(value) {
  if (value === undefined) return "";
  return known(value) && value !== 0 && Math.abs(value) < 0.001 ? value.toExponential() : String(value);
}

function ordered(values) {
  return [...new Set(values)].sort((a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : shown(a).localeCompare(shown(b), "en", { numeric: true }));
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
// The standard deviation of a sample; null for one value, whose spread nobody knows.
function deviation(values) {
  if (values.length < 2) return null;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}
