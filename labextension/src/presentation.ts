import type { TranslationBundle } from '@jupyterlab/translation';

// Durations, sizes, rates and moments as text, by the rules of gpumodels/presentation.py.
// Tests compare both by tests/presentation.json.

const MINUTE = 60; // seconds, like the next two
const HOUR = 3600;
const DAY = 86400;

const formats = [0, 1].map(
  digits =>
    new Intl.NumberFormat(undefined, {
      maximumFractionDigits: digits,
      minimumFractionDigits: digits,
      useGrouping: false
    })
);

/** Return a number in the browser's language, without separators between thousands. */
export function number(value: number, digits: 0 | 1 = 0): string {
  return formats[digits].format(value);
}

/** Return a duration: "12 s", "85 min", "1.9 h", "3 d". It is rounded down. */
export function duration(seconds: number, trans: TranslationBundle): string {
  if (seconds < MINUTE) {
    return trans.__('%1 s', number(Math.max(0, Math.floor(seconds))));
  }
  if (seconds < 90 * MINUTE) {
    return trans.__('%1 min', number(Math.floor(seconds / MINUTE)));
  }
  if (seconds < 48 * HOUR) {
    const parts = Math.floor(seconds / (HOUR / 10));
    return trans.__('%1 h', number(parts / 10, parts % 10 ? 1 : 0));
  }
  return trans.__('%1 d', number(Math.floor(seconds / DAY)));
}

/** Return bytes in powers of ten: "1.2 GB", "35 MB"; "? GB" for null. */
export function size(bytes: number | null, trans: TranslationBundle): string {
  if (bytes === null) {
    return trans.__('? GB');
  }
  return bytes >= 1e9 || bytes === 0
    ? trans.__('%1 GB', tenths(bytes / 1e9))
    : trans.__('%1 MB', number(rounded(bytes / 1e6)));
}

/** Return a number of calls per second, without the unit: "0.5", "12". */
export function rate(perSecond: number): string {
  return perSecond < 10 ? tenths(perSecond) : number(rounded(perSecond));
}

/** Return the local time of day, "14:03", with the date in front if that is not today. Both moments are in seconds. */
export function clock(moment: number, now = Date.now() / 1000): string {
  const then = new Date(1000 * moment);
  const time = `${twoDigits(then.getHours())}:${twoDigits(then.getMinutes())}`;
  if (then.toDateString() === new Date(1000 * now).toDateString()) {
    return time;
  }
  const day = [then.getFullYear(), then.getMonth() + 1, then.getDate()].map(twoDigits).join('-');
  return `${day} ${time}`;
}

/** Return the seconds since the epoch of a moment in ISO 8601. */
export function secondsOf(moment: string): number {
  return Date.parse(moment) / 1000;
}

/** Return "since" and the time of day of a moment in ISO 8601. */
export function since(moment: string, trans: TranslationBundle): string {
  return trans.__('since %1', clock(secondsOf(moment)));
}

function tenths(value: number): string {
  return number(rounded(10 * value) / 10, 1);
}

/** Round to a whole number, halves up, as presentation.py does. */
function rounded(value: number): number {
  return Math.floor(value + 0.5);
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
