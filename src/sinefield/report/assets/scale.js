// From numbers to pixels, and the round numbers between.

function linear([lo, hi], [from, to]) {
  const span = hi - lo || 1;
  const scale = (value) => from + ((value - lo) / span) * (to - from);
  return Object.assign(scale, { lo, hi, log: false, ticks: (count) => linearTicks(lo, hi, count) });
}

function logarithmic([lo, hi], [from, to]) {
  const a = Math.log10(lo), span = Math.log10(hi) - a || 1;
  const scale = (value) => from + ((Math.log10(value) - a) / span) * (to - from);
  return Object.assign(scale, { lo, hi, log: true, ticks: () => logTicks(lo, hi) });
}

function linearTicks(lo, hi, count) {
  if (!(hi > lo)) return [lo];
  const rough = (hi - lo) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const found = [];
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function logTicks(lo, hi) {
  const decades = Math.log10(hi / lo), factors = decades < 1.2 ? [1, 2, 3, 5, 7] : decades < 4 ? [1, 3] : [1];
  const found = [];
  for (let power = Math.floor(Math.log10(lo)); power <= Math.log10(hi); power++) {
    for (const factor of factors) {
      const tick = factor * 10 ** power;
      if (tick >= lo * 0.999 && tick <= hi * 1.001) found.push(Number(tick.toPrecision(6)));
    }
  }
  return decades > 8 ? found.filter((_, i) => i % Math.ceil(decades / 6) === 0) : found;
}

// The extent of some numbers, a little wider, so that nothing lies on the frame.
function extent(values, log = false) {
  let lo = Infinity, hi = -Infinity;
  for (const value of values) {
    if (known(value) && !(log && value <= 0)) { lo = Math.min(lo, value); hi = Math.max(hi, value); }
  }
  if (lo === Infinity) return null;
  if (log) return [lo / 1.05, hi * 1.05];
  const pad = (hi - lo || Math.abs(hi) || 1) * 0.03;
  return [lo - pad, hi + pad];
}
const scaleOf = (log, domain, range) => (log ? logarithmic : linear)(domain, range);
