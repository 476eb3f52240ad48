import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';

import type { Connection, IFeed } from '../src/feed';
import type { Notebooks } from '../src/notebooks';
import type { IDevice, IModel, IShare, IState } from '../src/state';

export const trans = nullTranslator.load('gpumodels');
export const GB = 1e9;

export function share(memory: number | null, of: Partial<IShare> = {}): IShare {
  const nobody = { name: '', notebook: '', instance: '', kernel_id: '', pids: [] };
  return { kind: 'kernel', memory, over_limit: false, ...nobody, ...of };
}

export function device(index: number, of: Partial<IDevice> = {}): IDevice {
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
  } as IDevice;
}

export function stateOf(devices: readonly IDevice[], more: Partial<IState> = {}): IState {
  const table = Object.fromEntries(devices.map(each => [each.uuid, each]));
  return { devices: table, models: {}, loads: {}, kernels: {}, ...more } as unknown as IState;
}

export function model(id: string, of: Partial<IModel> = {}): IModel {
  return { id, name: 'echo', device: 'GPU 0', state: 'ready', kernel_id: '', ...of } as IModel;
}

/** A feed that tells what a test says, and counts who looks. */
export class FakeFeed implements IFeed {
  state: IState | null = null;
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

  tell(state: IState | null, connection: Connection = 'live'): void {
    this.state = state;
    this.connection = connection;
    this.stateChanged.emit();
  }
}

/** The notebooks of a browser tab, of which a test says everything. */
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
