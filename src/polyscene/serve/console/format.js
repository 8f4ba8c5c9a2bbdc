// Times, sizes and rates as people of the present language write them.

import { number, spoken } from "../page/say.js";

const SPANS = [["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];
const SIZES = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
const DASH = "–";

/** The largest unit that fits into so many seconds. */
const span = (seconds) => SPANS.find(([, size]) => Math.abs(seconds) >= size) ?? SPANS.at(-1);

/** "3 minutes ago", for UTC milliseconds. */
export function ago(time, now = Date.now()) {
  if (time == null) return DASH;
  const seconds = (time - now) / 1000;
  const [unit, size] = span(seconds);
  return new Intl.RelativeTimeFormat(spoken(), { numeric: "auto", style: "short" }).format(Math.round(seconds / size) || 0, unit);
}

/** "3 hr" for seconds. */
export function lasting(seconds) {
  if (seconds == null) return DASH;
  const [unit, size] = span(seconds);
  return new Intl.NumberFormat(spoken(), { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: unit === "second" ? 1 : 0 })
    .format(seconds / size);
}

export const when = (time) =>
  time == null ? DASH : new Date(time).toLocaleString(spoken(), { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
export const clock = (time) => new Date(time).toLocaleTimeString(spoken(), { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
export const minute = (time) => new Date(time).toLocaleTimeString(spoken(), { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
export const day = (time) => new Date(time).toLocaleDateString(spoken(), { day: "numeric", month: "short", year: "2-digit", timeZone: "UTC" });

export function bytes(count) {
  if (count == null) return DASH;
  const place = Math.min(SIZES.length - 1, Math.floor(Math.log10(Math.max(count, 1)) / 3));
  return new Intl.NumberFormat(spoken(), { style: "unit", unit: SIZES[place], unitDisplay: "narrow", maximumFractionDigits: place > 1 ? 1 : 0 })
    .format(count / 1000 ** place);
}

/** A number that may be missing. */
export const figure = (value, digits = 3) => (value == null ? DASH : number(value, digits));
/** With as many digits as make sense: 0.42, 4.2, 42. */
export const short = (value) => figure(value, value == null || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
export const milliseconds = (value) => (value == null ? DASH : `${short(value)} ms`);
/** With its sign; a difference of nothing is ±0. */
export const signed = (value, digits = 4) =>
  value == null ? DASH : new Intl.NumberFormat(spoken(), { signDisplay: "exceptZero", maximumFractionDigits: digits }).format(value);
