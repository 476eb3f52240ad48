import type { Change, State } from './state';

type Table<T> = Readonly<Record<string, T>>;

const EVENTS = 20;

/** Return the state with a change applied. */
export function changed(state: State, moment: number, change: Change): State {
  return {
    ...state,
    moment,
    trouble: change.trouble ?? state.trouble,
    docker: change.docker ?? state.docker,
    devices: patched(state.devices, change.devices),
    models: patched(state.models, change.models),
    loads: patched(state.loads, change.loads),
    kernels: patched(state.kernels, change.kernels),
    events: change.events ? [...state.events, ...change.events].slice(-EVENTS) : state.events
  };
}

function patched<T>(table: Table<T>, patch?: Table<T | null>): Table<T> {
  if (!patch) {
    return table;
  }
  const merged = Object.entries({ ...table, ...patch });
  const present = merged.filter((entry): entry is [string, T] => entry[1] !== null);
  return reused(table, Object.fromEntries(present));
}

/** Return `next`, with objects of `before` in place of equal ones, so that React does not draw them again. */
export function reused<T>(before: unknown, next: T): T {
  if (before === next || !isObject(before) || !isObject(next)) {
    return next;
  }
  const keys = Object.keys(next);
  const values = keys.map(key => reused(before[key], next[key]));
  const same =
    keys.length === Object.keys(before).length && Array.isArray(before) === Array.isArray(next);
  if (same && keys.every((key, index) => key in before && before[key] === values[index])) {
    return before as T;
  }
  const entries = keys.map((key, index) => [key, values[index]]);
  return (Array.isArray(next) ? values : Object.fromEntries(entries)) as T;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
