// Numbers and names as they are read.

const known = (value) => typeof value === "number" && Number.isFinite(value);

function number(value, digits = null) {
  if (!known(value)) return "–";
  if (digits < 0) return value.toExponential(3);
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
