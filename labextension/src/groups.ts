import { PathExt } from '@jupyterlab/coreutils';

import type { ILoad, IModel, IState } from './state';

/** What a notebook, or a process without one, has loaded or is loading. */
export interface IGroup {
  readonly key: string;
  /** A path, or '' for a process. */
  readonly notebook: string;
  readonly pid: number;
  readonly current: boolean;
  /** Oldest first. */
  readonly models: readonly IModel[];
  readonly loads: readonly ILoad[];
}

/** Shown by their load, which knows how far it is. */
function isStarting({ state }: IModel): boolean {
  return state === 'loading' || state === 'asleep';
}

/** The current notebook first, then the others by name, then processes. */
export function grouped({ models, loads }: IState, current: string | null): IGroup[] {
  const underway = Object.values(loads).filter(load => !load.failed);
  const hidden = new Set(underway.flatMap(load => load.instances));
  const shown = Object.values(models).filter(model => !(isStarting(model) && hidden.has(model.id)));
  const all = [...shown, ...underway];
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
      loads: underway
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

/** The bytes that each kernel of this Jupyter server holds itself, by its id, on all devices. */
export function heldByKernels({ devices }: IState): Map<string, number> {
  const held = new Map<string, number>();
  // A GPU in MIG mode shows what its slices show.
  for (const device of Object.values(devices).filter(each => !each.sliced)) {
    for (const { kind, kernel_id: kernel, memory } of device.shares) {
      if (kind === 'kernel' && kernel && memory) {
        held.set(kernel, (held.get(kernel) ?? 0) + memory);
      }
    }
  }
  return held;
}
