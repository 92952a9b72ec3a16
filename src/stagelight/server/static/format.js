// Numbers as people read them: three digits, a unit, a dash for what is not known.

export const NOTHING = "–";
const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

export const count = (value) => (known(value) ? Math.round(value).toLocaleString("en-GB") : NOTHING);

export function seconds(value) {
  if (!known(value)) return NOTHING;
  if (value === 0) return "0 s";
  if (value < 1e-3) return `${digits(value * 1e6)} µs`;
  if (value < 1) return `${digits(value * 1e3)} ms`;
  if (value < 120) return `${digits(value)} s`;
  if (value < 7200) return `${(value / 60).toFixed(0)} min`;
  if (value < 172800) return `${(value / 3600).toFixed(1)} h`;
  return `${(value / 86400).toFixed(0)} d`;
}

export function rate(value) {
  if (!known(value)) return NOTHING;
  if (value === 0) return "0/s";
  if (value >= 10000) return `${(value / 1000).toFixed(1)}k/s`;
  return value >= 100 ? `${count(value)}/s` : value >= 10 ? `${value.toFixed(1)}/s` : `${value.toFixed(2)}/s`;
}

export function percent(value) {
  if (!known(value)) return NOTHING;
  const share = value * 100;
  if (share > 0 && share < 0.1) return "<0.1%";
  return share > 0 && share < 10 && share % 1 ? `${share.toFixed(1)}%` : `${share.toFixed(0)}%`;
}

export const signed = (value) => (known(value) ? `${value >= 0 ? "+" : "−"}${percent(Math.abs(value))}` : NOTHING);

export function bytes(value) {
  if (!known(value)) return NOTHING;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let place = 0;
  while (value >= 1000 && place < units.length - 1) { value /= 1000; place += 1; }
  return `${place ? digits(value) : value} ${units[place]}`;
}

export const one = (value) => (known(value) ? (value % 1 < 0.05 || value % 1 > 0.95 ? value.toFixed(0) : value.toFixed(1)) : NOTHING);

export const clock = (time) => new Date(time * 1000).toLocaleTimeString("en-GB");

export function ago(then, now) {
  const passed = Math.max(now - then, 0);
  return passed < 1.5 ? "now" : `${seconds(Math.round(passed))} ago`;
}
