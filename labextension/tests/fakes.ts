import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';

import type { Connection, IFeed } from '../src/feed';
import type { Notebooks } from '../src/notebooks';
import type { Device, Model, Share, State } from '../src/state';

export const trans = nullTranslator.load('gpumodels');
export const GB = 1e9;

export function share(memory: number | null, of: Partial<Share> = {}): Share {
  const nobody = { name: '', colour: '', notebook: '', instance: '', kernel_id: '', pids: [] };
  return { kind: 'kernel', memory, over_limit: false, ...nobody, ...of };
}

export function device(index: number, of: Partial<Device> = {}): Device {
  return {
    uuid: `GPU-${index}`,
    label: `GPU ${index}`,
    index,
    parent: '',
    sliced: false,
    allowed: true,
    trouble: '',
    memory_free: 80 * GB,
    shares: [],
    ...of
  } as Device;
}

export function stateOf(devices: readonly Device[], more: Partial<State> = {}): State {
  const table = Object.fromEntries(devices.map(each => [each.uuid, each]));
  return { devices: table, models: {}, loads: {}, kernels: {}, ...more } as unknown as State;
}

export function model(id: string, of: Partial<Model> = {}): Model {
  return { id, name: 'echo', device: 'GPU 0', state: 'ready', kernel_id: '', ...of } as Model;
}

/** A feed with a state that the test sets. It counts its viewers. */
export class FakeFeed implements IFeed {
  state: State | null = null;
  connection: Connection = 'connecting';
  trouble = '';
  clock = 0;
  readonly stateChanged: Signal<IFeed, void> = new Signal<IFeed, void>(this);
  viewers = 0;

  now(): number {
    return this.clock;
  }

  view(): { isDisposed: boolean; dispose: () => void } {
    this.viewers += 1;
    return { isDisposed: false, dispose: () => void (this.viewers -= 1) };
  }

  publish(state: State | null, connection: Connection = 'live'): void {
    this.state = state;
    this.connection = connection;
    this.stateChanged.emit();
  }
}

/** The notebooks of a browser tab, with properties that the test sets. */
export class FakeNotebooks {
  currentNotebook: string | null = 'signs.ipynb';
  currentKernel = 'k1';
  obstacle = '';
  canMake = false;
  readonly currentChanged = new Signal<this, void>(this);
  readonly load = jest.fn<Promise<string>, [line: string]>(async () =>
    Promise.resolve('signs.ipynb')
  );
  readonly make = jest.fn(async () => Promise.resolve());
  readonly shutDownKernel = jest.fn<Promise<void>, [id: string]>(async () => Promise.resolve());

  change(of: Partial<Pick<FakeNotebooks, 'currentNotebook' | 'currentKernel' | 'obstacle'>>): void {
    Object.assign(this, of);
    this.currentChanged.emit();
  }

  as(): Notebooks {
    return this as unknown as Notebooks;
  }
}
