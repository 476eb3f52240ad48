// Durations, sizes, rates and moments as text, by the rules of gpumodels/presentation.py.
// Tests compare both by labextension/tests/presentation.json.

const MINUTE = 60; // seconds, like the next two
const HOUR = 3600;
const DAY = 86400;

/** Return a number in the browser's language, without separators between thousands. */
function number(value, digits = 0) {
  return value.toLocaleString(undefined, {
    maximumFractionDigits: digits,
    minimumFractionDigits: digits,
    useGrouping: false
  });
}

/** Return a duration: "12 s", "85 min", "1.9 h", "3 d". It is rounded down. */
function duration(seconds) {
  if (seconds < MINUTE) return `${number(Math.max(0, Math.floor(seconds)))} s`;
  if (seconds < 90 * MINUTE) return `${number(Math.floor(seconds / MINUTE))} min`;
  if (seconds < 48 * HOUR) {
    const parts = Math.floor(seconds / (HOUR / 10));
    return `${number(parts / 10, parts % 10 ? 1 : 0)} h`;
  }
  return `${number(Math.floor(seconds / DAY))} d`;
}

/** Return bytes in powers of ten: "1.2 GB", "35 MB"; "? GB" for null. */
function size(bytes) {
  if (bytes === null) return '? GB';
  if (bytes >= 1e9 || bytes === 0) return `${tenths(bytes / 1e9)} GB`;
  return `${number(rounded(bytes / 1e6))} MB`;
}

/** Return the duration of a call: "0.3 ms", "12 ms", "1.5 s". */
function latency(seconds) {
  return seconds >= 1 ? `${tenths(seconds)} s` : `${rate(1000 * seconds)} ms`;
}

/** Return a number of calls per second, without the unit: "0.5", "12". */
function rate(value) {
  return value < 10 ? tenths(value) : number(rounded(value));
}

/** Return the local time of day, "14:03", with the date in front if that is not today. Both moments are in seconds. */
function clock(moment, now = Date.now() / 1000) {
  const then = new Date(1000 * moment);
  const time = `${twoDigits(then.getHours())}:${twoDigits(then.getMinutes())}`;
  if (then.toDateString() === new Date(1000 * now).toDateString()) return time;
  const day = [then.getFullYear(), then.getMonth() + 1, then.getDate()].map(twoDigits).join('-');
  return `${day} ${time}`;
}

/** Return the text of a value by `form`, or a dash if the value is not available. */
function known(form, value) {
  return value === null || value === undefined ? '–' : form(value);
}

function tenths(value) {
  return number(rounded(10 * value) / 10, 1);
}

/** Round to a whole number, halves up, as presentation.py does. */
function rounded(value) {
  return Math.floor(value + 0.5);
}

function twoDigits(value) {
  return String(value).padStart(2, '0');
}
