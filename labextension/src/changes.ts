import type { IChange, IState, Table } from './state';

const EVENTS = 20;

export function changed(state: IState, moment: number, change: IChange): IState {
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
  const there = merged.filter((entry): entry is [string, T] => entry[1] !== null);
  return settled(table, Object.fromEntries(there));
}

/** `next`, made of the objects of `before` wherever those are equal: who shows them has nothing to do. */
export function settled<T>(before: unknown, next: T): T {
  if (before === next || !isObject(before) || !isObject(next)) {
    return next;
  }
  const keys = Object.keys(next);
  const made = keys.map(key => settled(before[key], next[key]));
  const same =
    keys.length === Object.keys(before).length && Array.isArray(before) === Array.isArray(next);
  if (same && keys.every((key, index) => key in before && before[key] === made[index])) {
    return before as T;
  }
  const entries = keys.map((key, index) => [key, made[index]]);
  return (Array.isArray(next) ? made : Object.fromEntries(entries)) as T;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
