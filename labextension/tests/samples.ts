import type { Device, Kernel, Load, Model, Share, State } from '../src/state';

const GB = 1e9;

/** The moment of these samples: 100 s after their models and loads began. */
export const MOMENT = 1_760_000_100;

export function aShare(of: Partial<Share> = {}): Share {
  const named = { kind: 'model', name: 'echo', instance: 'm1', kernel_id: 'k1' } as const;
  return {
    ...named,
    notebook: 'a/signs.ipynb',
    memory: 12 * GB,
    colour: '#3f7fd4',
    pids: [7],
    over_limit: false,
    ...of
  };
}

export function aDevice(index: number, of: Partial<Device> = {}): Device {
  return {
    uuid: `GPU-${index}`,
    short_uuid: `GPU-${index}`,
    label: `GPU ${index}`,
    name: 'NVIDIA H100',
    index,
    slice_index: null,
    parent: null,
    sliced: false,
    allowed: true,
    trouble: '',
    memory_total: 80 * GB,
    memory_used: 12.3 * GB,
    memory_free: 67.7 * GB,
    utilisation: 37,
    temperature: 54,
    power: 312,
    power_limit: 700,
    shares: [aShare({ memory: 12.3 * GB })],
    ...of
  };
}

export function aModel(id: string, of: Partial<Model> = {}): Model {
  return {
    id,
    name: 'echo',
    notebook: 'a/signs.ipynb',
    kernel_id: 'k1',
    pid: 17,
    device: 'GPU 0',
    engine: 'process',
    since: '2025-10-09T08:53:20+00:00',
    state: 'ready',
    kept_since: '',
    over_since: '',
    asleep_since: '',
    memory: 12.3 * GB,
    activity: {
      calls: 3,
      errors: 0,
      last_call: MOMENT - 70,
      per_second: 0.5,
      p50: 0.01,
      p99: 0.02,
      waiting: 0,
      running: 0
    },
    idle_since: MOMENT - 70,
    freed: null,
    can_wake: false,
    holders: [{ notebook: 'a/signs.ipynb', kernel_id: 'k1', pid: 17 }],
    ...of
  };
}

export function aLoad(id: string, of: Partial<Load> = {}): Load {
  return {
    id,
    model: 'ctpn',
    notebook: 'a/signs.ipynb',
    kernel_id: 'k1',
    pid: 17,
    began: '2025-10-09T08:54:50+00:00',
    text: 'building the image',
    fraction: 0.4,
    failed: '',
    log: [],
    instances: [],
    line: '%load_model ctpn',
    ...of
  };
}

export function aKernel(id: string, of: Partial<Kernel> = {}): Kernel {
  return { id, state: 'idle', pid: 17, notebook: 'a/signs.ipynb', idle_since: MOMENT - 70, ...of };
}

/** Return a state of two GPUs and two models, one of each notebook. */
export function aState(of: Partial<State> = {}): State {
  return {
    place: 'here',
    moment: MOMENT,
    server_pid: 1,
    trouble: '',
    docker: '',
    devices: table([aDevice(0), aDevice(1, { memory_used: 0, shares: [] })], ({ uuid }) => uuid),
    models: byId([aModel('m1'), aModel('m2', { notebook: 'train.ipynb', kernel_id: 'k2' })]),
    loads: {},
    kernels: byId([aKernel('k1'), aKernel('k2', { notebook: 'train.ipynb' })]),
    events: [],
    ...of
  };
}

export function byId<T extends { id: string }>(all: readonly T[]): Record<string, T> {
  return table(all, ({ id }) => id);
}

export function table<T>(all: readonly T[], key: (each: T) => string): Record<string, T> {
  return Object.fromEntries(all.map(each => [key(each), each]));
}
