/** Whose part of a GPU's memory it is: docs/gpus.md tells the kinds. Bytes; null is "not available". */
export interface IShare {
  readonly kind: 'model' | 'kernel' | 'process' | 'others' | 'unaccounted';
  readonly name: string;
  readonly memory: number | null;
  readonly notebook: string;
  readonly instance: string;
  readonly kernel_id: string;
  readonly pids: readonly number[];
  readonly over_limit: boolean;
}

/** A GPU, or a slice of one. Bytes, percent, °C, watts; null is "not available". */
export interface IDevice {
  readonly uuid: string;
  readonly short_uuid: string;
  readonly label: string;
  readonly name: string;
  readonly index: number;
  readonly slice_index: number | null;
  /** The UUID of a slice's GPU. */
  readonly parent: string | null;
  /** In MIG mode: its slices are used in its place. */
  readonly sliced: boolean;
  readonly allowed: boolean;
  /** Why it cannot be used, or ''. */
  readonly trouble: string;
  readonly memory_total: number | null;
  readonly memory_used: number | null;
  readonly memory_free: number | null;
  readonly utilisation: number | null;
  readonly temperature: number | null;
  readonly power: number | null;
  readonly power_limit: number | null;
  /** Largest first, then others, then unaccounted. */
  readonly shares: readonly IShare[];
}

/** What a model server says of its work; null where it is not ours and does not say. */
export interface IActivity {
  readonly calls: number;
  readonly errors: number;
  /** Seconds since the epoch, 0 for never. */
  readonly last_call: number;
  readonly per_second: number | null;
  /** Seconds. */
  readonly p50: number | null;
  readonly p99: number | null;
  readonly waiting: number | null;
  readonly running: number | null;
}

/** A model of this user's. Moments are ISO 8601, or '' where there is none. */
export interface IModel {
  readonly id: string;
  readonly name: string;
  /** A path, or '' where no notebook but the process `pid` asked for it. */
  readonly notebook: string;
  readonly kernel_id: string;
  readonly pid: number;
  readonly device: string;
  readonly engine: string;
  readonly since: string;
  readonly state: 'loading' | 'ready' | 'stopping' | 'kept' | 'asleep';
  readonly kept_since: string;
  readonly over_since: string;
  readonly asleep_since: string;
  /** Bytes on all devices. */
  readonly memory: number | null;
  readonly activity: IActivity | null;
  /** Seconds since the epoch of its last call, or of being loaded; null while one runs, or where it does not say. */
  readonly idle_since: number | null;
  /** Bytes that falling asleep gave back. */
  readonly freed: number | null;
  readonly can_wake: boolean;
}

/** A load under way, or one that failed. */
export interface ILoad {
  readonly id: string;
  readonly model: string;
  readonly notebook: string;
  readonly kernel_id: string;
  readonly pid: number;
  /** ISO 8601. */
  readonly began: string;
  readonly text: string;
  /** Of 1, or null where nobody knows how far it is. */
  readonly fraction: number | null;
  /** Why, or '' while it is under way. */
  readonly failed: string;
  readonly log: readonly string[];
  /** The ids of its models, as far as they are known; of one that wakes first the one that it had. */
  readonly instances: readonly string[];
  /** What loads it again. */
  readonly line: string;
}

/** A kernel of this Jupyter server. */
export interface IKernel {
  readonly id: string;
  readonly state: string;
  readonly pid: number | null;
  /** The path of its notebook, or ''. */
  readonly notebook: string;
  /** Seconds since the epoch; null unless it is idle. */
  readonly idle_since: number | null;
}

export interface IEvent {
  /** Seconds since the epoch. */
  readonly at: number;
  readonly event: string;
  readonly instance: string;
  readonly model: string;
  readonly text: string;
}

export type Table<T> = Readonly<Record<string, T>>;

/** What `GET state` answers; what does not change from one state to the next stays the same object. */
export interface IState {
  /** Which runtime directory. */
  readonly place: string;
  /** The server's clock, in seconds since the epoch. */
  readonly moment: number;
  /** Why there are no devices, or ''. */
  readonly trouble: string;
  /** Why Docker cannot be used, or ''. */
  readonly docker: string;
  readonly devices: Table<IDevice>;
  readonly models: Table<IModel>;
  readonly loads: Table<ILoad>;
  readonly kernels: Table<IKernel>;
  /** Oldest first. */
  readonly events: readonly IEvent[];
}

/** What is other than before: whole values, null for what is gone; of events the new ones. */
export interface IChange {
  readonly trouble?: string;
  readonly docker?: string;
  readonly devices?: Table<IDevice | null>;
  readonly models?: Table<IModel | null>;
  readonly loads?: Table<ILoad | null>;
  readonly kernels?: Table<IKernel | null>;
  readonly events?: readonly IEvent[];
}
