import { PathExt } from '@jupyterlab/coreutils';

import type { Load, Model, State } from './state';

/** The models and loads of one notebook, or of a process without a notebook. */
export interface IGroup {
  readonly key: string;
  /** The path of the notebook, or '' for a process. */
  readonly notebook: string;
  readonly pid: number;
  readonly current: boolean;
  /** The models, the oldest first. */
  readonly models: readonly Model[];
  readonly loads: readonly Load[];
}

/** Return true if the model is loading, or may be waking. If a load in progress starts it, only the load is shown. */
function isStarting({ state }: Model): boolean {
  return state === 'loading' || state === 'asleep';
}

/** Return the groups: first the current notebook, then the others by name, then processes. */
export function grouped({ models, loads }: State, current: string | null): IGroup[] {
  const inProgress = Object.values(loads).filter(load => !load.failed);
  const hidden = new Set(inProgress.flatMap(load => load.instances));
  const shown = Object.values(models).filter(model => !(isStarting(model) && hidden.has(model.id)));
  const all = [...shown, ...inProgress];
  const keys = [...new Set(all.map(keyOf))];
  const groups = keys.map((key): IGroup => {
    const { notebook, pid } = all.find(each => keyOf(each) === key)!;
    return {
      key,
      notebook,
      pid,
      current: notebook !== '' && notebook === current,
      models: shown
        .filter(model => keyOf(model) === key)
        .sort((a, b) => a.since.localeCompare(b.since) || a.id.localeCompare(b.id)),
      loads: inProgress
        .filter(load => keyOf(load) === key)
        .sort((a, b) => a.began.localeCompare(b.began))
    };
  });
  return groups.sort(
    (a, b) =>
      Number(b.current) - Number(a.current) ||
      Number(!a.notebook) - Number(!b.notebook) ||
      PathExt.basename(a.notebook).localeCompare(PathExt.basename(b.notebook)) ||
      a.notebook.localeCompare(b.notebook) ||
      a.pid - b.pid
  );
}

function keyOf({ notebook, pid }: { notebook: string; pid: number }): string {
  return notebook || `process ${pid}`;
}

/** Return the bytes that each kernel itself holds on all devices, by the id of the kernel. */
export function heldByKernels({ devices }: State): Map<string, number> {
  const held = new Map<string, number>();
  // The shares of a GPU in MIG mode are those of its slices, which would count twice.
  for (const device of Object.values(devices).filter(each => !each.sliced)) {
    for (const { kind, kernel_id: kernel, memory } of device.shares) {
      if (kind === 'kernel' && kernel && memory) {
        held.set(kernel, (held.get(kernel) ?? 0) + memory);
      }
    }
  }
  return held;
}
