// Generated from gpumodels/jupyter/openapi.json by `jlpm generate`. Do not edit.

export interface components {
  schemas: {
    /** @description All that the sidebar shows. */
    readonly State: {
      /** @description Which runtime directory. */
      readonly place: string;
      /** @description The server's clock, in seconds since the epoch. */
      readonly moment: number;
      /** @description The Jupyter server's own process. */
      readonly server_pid: number;
      /** @description Why there are no devices. */
      readonly trouble: string;
      /** @description Why Docker cannot be used. */
      readonly docker: string;
      readonly devices: {
        readonly [key: string]: components['schemas']['Device'];
      };
      readonly models: {
        readonly [key: string]: components['schemas']['Model'];
      };
      readonly loads: {
        readonly [key: string]: components['schemas']['Load'];
      };
      readonly kernels: {
        readonly [key: string]: components['schemas']['Kernel'];
      };
      /** @description The last twenty, the oldest first. */
      readonly events: readonly components['schemas']['Event'][];
    };
    /** @description A GPU, or a slice of one. null is "not available". */
    readonly Device: {
      readonly uuid: string;
      readonly short_uuid: string;
      readonly label: string;
      readonly name: string;
      readonly index: number;
      readonly slice_index: number | null;
      /** @description UUID of a slice's GPU. */
      readonly parent: string | null;
      /** @description In MIG mode: its slices are used in its place. */
      readonly sliced: boolean;
      /** @description Whether this process may use it. */
      readonly allowed: boolean;
      /** @description Why it cannot be used, or "". */
      readonly trouble: string;
      /** @description Bytes. */
      readonly memory_total: number | null;
      /** @description Bytes. */
      readonly memory_used: number | null;
      /** @description Bytes. */
      readonly memory_free: number | null;
      /** @description Percent. */
      readonly utilisation: number | null;
      /** @description °C. */
      readonly temperature: number | null;
      /** @description Watts. */
      readonly power: number | null;
      /** @description Watts. */
      readonly power_limit: number | null;
      /** @description Largest first, then other users, then unaccounted. */
      readonly shares: readonly components['schemas']['Share'][];
    };
    /** @description One holder's part of a device's memory; docs/gpus.md explains the kinds. */
    readonly Share: {
      /** @enum {string} */
      readonly kind: 'model' | 'kernel' | 'process' | 'others' | 'unaccounted';
      readonly name: string;
      /** @description The holder's colour, as CSS: the same on all devices and in every view. */
      readonly colour: string;
      /** @description Bytes. */
      readonly memory: number | null;
      /** @description Path of a notebook, or a kernel's directory; "" for none. */
      readonly notebook: string;
      /** @description Id of a model's instance, or "". */
      readonly instance: string;
      readonly kernel_id: string;
      readonly pids: readonly number[];
      /** @description Whether a model holds more than its memory limit. */
      readonly over_limit: boolean;
    };
    /** @description A model of this user that runs or sleeps, with its readings. null is "not available". */
    readonly Model: {
      readonly id: string;
      /** @description What the user calls it. */
      readonly name: string;
      /** @description Path of the notebook that loaded it; the program, or "", where none did. */
      readonly notebook: string;
      readonly kernel_id: string;
      /** @description The process that loaded it. */
      readonly pid: number;
      /** @description For display: "GPU 0", "CPU". */
      readonly device: string;
      readonly engine: string;
      /** @description When it was loaded. Moment in ISO 8601, UTC; "" for none. */
      readonly since: string;
      /** @enum {string} */
      readonly state: 'loading' | 'ready' | 'stopping' | 'kept' | 'asleep';
      /** @description Since when nobody uses it and it is only kept. Moment in ISO 8601, UTC; "" for none. */
      readonly kept_since: string;
      /** @description Since when it holds more GPU memory than its limit. Moment in ISO 8601, UTC; "" for none. */
      readonly over_since: string;
      /** @description Moment in ISO 8601, UTC; "" for none. */
      readonly asleep_since: string;
      /** @description Bytes of GPU memory that came back when it fell asleep. */
      readonly freed: number | null;
      /** @description Bytes on all devices. */
      readonly memory: number | null;
      /** @description In `usage` only: seconds since the last call. */
      readonly idle?: number | null;
      /** @description When the last call ended, or it was loaded, in seconds since the epoch; null while a call runs, or where it does not say. */
      readonly idle_since: number | null;
      readonly activity: components['schemas']['Activity'] | null;
      /** @description Whether POST wake of this server can wake it. */
      readonly can_wake: boolean;
      /** @description Who uses it; none where the system does not say, or it sleeps or is only kept. */
      readonly holders: readonly components['schemas']['Holder'][];
    };
    /** @description What a model server reports of its calls. null where it does not report that. */
    readonly Activity: {
      /** @description Seconds since the epoch; 0 for never. */
      readonly last_call: number;
      readonly calls: number;
      readonly errors: number;
      /** @description Of the last minute. */
      readonly per_second: number | null;
      /** @description Seconds. */
      readonly p50: number | null;
      /** @description Seconds. */
      readonly p99: number | null;
      readonly waiting: number | null;
      readonly running: number | null;
    };
    /** @description A notebook, or another program, that uses a model. */
    readonly Holder: {
      readonly notebook: string;
      readonly kernel_id: string;
      readonly pid: number;
    };
    /** @description A load under way, or one that failed. */
    readonly Load: {
      readonly id: string;
      /** @description Its name; until that is known, the text that was asked for. */
      readonly model: string;
      /** @description What loads it again in a notebook. */
      readonly line: string;
      readonly notebook: string;
      readonly kernel_id: string;
      readonly pid: number;
      /** @description Moment in ISO 8601, UTC; "" for none. */
      readonly began: string;
      /** @description What goes on now. */
      readonly text: string;
      /** @description How much of that is done; null where it is not known. */
      readonly fraction: number | null;
      /** @description Why it failed; "" while it is under way. */
      readonly failed: string;
      readonly log: readonly string[];
      /** @description Ids of the models that it starts, and before them of one that it wakes. */
      readonly instances: readonly string[];
    };
    /** @description A kernel of this Jupyter server. */
    readonly Kernel: {
      readonly id: string;
      readonly state: string;
      readonly pid: number | null;
      /** @description Path of its notebook, or "". */
      readonly notebook: string;
      /** @description When it was last active, in seconds since the epoch; null unless it is idle. */
      readonly idle_since: number | null;
    };
    /** @description Something that happened to a model: it was loaded, stopped, put to sleep. */
    readonly Event: {
      /** @description Seconds since the epoch. */
      readonly at: number;
      readonly event: string;
      readonly instance: string;
      readonly model: string;
      readonly text: string;
    };
    /** @description A message of the server. Newer servers may send other types, which are to be ignored. */
    readonly FeedMessage:
      | {
          /** @constant */
          readonly type: 'snapshot';
          readonly state: components['schemas']['State'];
        }
      | {
          /** @constant */
          readonly type: 'change';
          /** @description The server's clock, in seconds since the epoch. */
          readonly moment: number;
          readonly change: components['schemas']['Change'];
        }
      | {
          /** @constant */
          readonly type: 'alive';
          /** @description The server's clock, in seconds since the epoch. */
          readonly moment: number;
        }
      | {
          /** @constant */
          readonly type: 'trouble';
          /** @description Why the state cannot be read now. */
          readonly message: string;
        };
    /** @description Whole new values by id, null for what is gone; what is not named is as before. */
    readonly Change: {
      /** @description Why there are no devices. */
      readonly trouble?: string;
      /** @description Why Docker cannot be used. */
      readonly docker?: string;
      readonly devices?: {
        readonly [key: string]: components['schemas']['Device'] | null;
      };
      readonly models?: {
        readonly [key: string]: components['schemas']['Model'] | null;
      };
      readonly loads?: {
        readonly [key: string]: components['schemas']['Load'] | null;
      };
      readonly kernels?: {
        readonly [key: string]: components['schemas']['Kernel'] | null;
      };
      /** @description New ones only. */
      readonly events?: readonly components['schemas']['Event'][];
    };
    /** @description A message of the browser. */
    readonly FeedRequest: {
      /**
       * @description A browser that nobody looks at pauses.
       * @enum {string}
       */
      readonly type: 'pause' | 'resume';
    };
    /** @description The models and engines that can be chosen. */
    readonly Catalog: {
      readonly models: readonly components['schemas']['CatalogModel'][];
      readonly engines: readonly string[];
    };
    /** @description A model that can be loaded by name. */
    readonly CatalogModel: {
      readonly name: string;
      readonly summary: string;
      /** @description Bytes of GPU memory that it says it needs; 0 where it does not. */
      readonly memory: number;
      readonly folder: string;
      /** @description Why it cannot be loaded, or "". */
      readonly trouble: string;
    };
    /** @description One check of this machine. */
    readonly Check: {
      readonly check: string;
      /** @enum {string} */
      readonly status: 'ok' | 'warn' | 'fail';
      readonly text: string;
      /** @description What to do. */
      readonly mend: string;
    };
    readonly LoadRequest: {
      /** @description A name of the catalog, or the path of a model folder. */
      readonly model: string;
      /**
       * @description An index, a UUID or the start of one, several ("0,1"), "auto" (the GPU with the most free memory, or the CPU if there is none), "auto:2", or "none" for the CPU.
       * @default auto
       */
      readonly gpu?: string | number | readonly (string | number)[];
      /** @description "docker", "process" or "auto", which is docker if it can be used. The default is in the settings. */
      readonly engine?: string;
      /** @description Time for starting and loading, not for building: "10m", or seconds. The default is in the settings. */
      readonly timeout?: string | number;
      /** @description Environment settings of the model server. */
      readonly env?: {
        readonly [key: string]: string;
      };
      /**
       * @description Use a running instance of the same model on the same device, whichever notebook loaded it. It ends with the last notebook that uses it.
       * @default false
       */
      readonly share?: boolean;
      /** @description Time for which the model outlives its notebooks: "5m", "2h", "forever", or seconds. The next load of the same model takes it up. */
      readonly keep?: string | number;
      /** @description Time without a call after which the model sleeps: "10m", "never", or seconds. Sleeping frees its memory until the next call. The default is in the settings; a model that is kept forever sleeps only if told to. */
      readonly idle?: string | number;
      /**
       * @description Number of instances behind the one handle, spread over the GPUs. A call goes to the one with the fewest calls in flight.
       * @default 1
       */
      readonly replicas?: number;
      /**
       * @description If GPU memory is lacking, put your own idle models to sleep, the least recently called first.
       * @default false
       */
      readonly evict?: boolean;
      /** @description Most GPU memory that each instance may use: bytes, or "4GiB". */
      readonly memory?: string | number;
      /**
       * @description If False, the image or environment is built anew.
       * @default true
       */
      readonly cache?: boolean;
    };
  };
  responses: never;
  parameters: never;
  requestBodies: never;
  headers: never;
  pathItems: never;
}
export type State = components['schemas']['State'];
export type Device = components['schemas']['Device'];
export type Share = components['schemas']['Share'];
export type Model = components['schemas']['Model'];
export type Activity = components['schemas']['Activity'];
export type Holder = components['schemas']['Holder'];
export type Load = components['schemas']['Load'];
export type Kernel = components['schemas']['Kernel'];
export type Event = components['schemas']['Event'];
export type FeedMessage = components['schemas']['FeedMessage'];
export type Change = components['schemas']['Change'];
export type FeedRequest = components['schemas']['FeedRequest'];
export type Catalog = components['schemas']['Catalog'];
export type CatalogModel = components['schemas']['CatalogModel'];
export type Check = components['schemas']['Check'];
export type LoadRequest = components['schemas']['LoadRequest'];
