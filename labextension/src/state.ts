// Generated from gpumodels/jupyter/openapi.json by `jlpm generate`. Do not edit.

export interface components {
  schemas: {
    /** @description The state that the sidebar shows. */
    readonly State: {
      /** @description Identity of the runtime directory: servers with the same one see the same models. */
      readonly place: string;
      /** @description The server's clock, in seconds since the epoch. */
      readonly moment: number;
      /** @description Process id of the Jupyter server. */
      readonly server_pid: number;
      /** @description Reason why there are no devices, or "". */
      readonly trouble: string;
      /** @description Reason why Docker cannot be used, or "". */
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
    /** @description A GPU, or a slice of one. null means "not available". */
    readonly Device: {
      readonly uuid: string;
      readonly short_uuid: string;
      readonly label: string;
      readonly name: string;
      readonly index: number;
      readonly slice_index: number | null;
      /** @description UUID of the GPU that a slice belongs to. */
      readonly parent: string | null;
      /** @description True if the GPU is in MIG mode, in which its slices are used instead of it. */
      readonly sliced: boolean;
      /** @description True if this process may use it. */
      readonly allowed: boolean;
      /** @description Reason why it cannot be used, or "". */
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
      /** @description The holders of its memory, the largest first, then other users, then unaccounted memory. */
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
      /** @description True if the holder is a model above its memory limit. */
      readonly over_limit: boolean;
    };
    /** @description A running or sleeping model of this user, with its readings. null means "not available". */
    readonly Model: {
      readonly id: string;
      /** @description The name of the model. */
      readonly name: string;
      /** @description Path of the notebook that loaded it; of the script, or "", if no notebook did. */
      readonly notebook: string;
      readonly kernel_id: string;
      /** @description Process id of the process that loaded it. */
      readonly pid: number;
      /** @description For display: "GPU 0", "CPU". */
      readonly device: string;
      readonly engine: string;
      /** @description Time at which it was loaded, in ISO 8601, UTC. */
      readonly since: string;
      /** @enum {string} */
      readonly state: 'loading' | 'ready' | 'stopping' | 'kept' | 'asleep';
      /** @description Time since which nobody uses it and it is only kept, in ISO 8601, UTC; "" if it is in use. */
      readonly kept_since: string;
      /** @description Time since which it holds more GPU memory than its limit, in ISO 8601, UTC; "" if it does not. */
      readonly over_since: string;
      /** @description Time at which it fell asleep, in ISO 8601, UTC; "" if it is awake. */
      readonly asleep_since: string;
      /** @description Bytes of GPU memory that it freed when it fell asleep. */
      readonly freed: number | null;
      /** @description Bytes of GPU memory that it holds, on all devices. */
      readonly memory: number | null;
      /** @description Seconds since the last call. Only the route `usage` has it. */
      readonly idle?: number | null;
      /** @description Time at which its last call ended or, without a call, it was loaded, in seconds since the epoch; null while a call runs, or if it is not known. */
      readonly idle_since: number | null;
      readonly activity: components['schemas']['Activity'] | null;
      /** @description True if `POST wake` of this server can wake it. */
      readonly can_wake: boolean;
      /** @description The processes that use it. Empty if the system does not report them, or if it sleeps or is only kept. */
      readonly holders: readonly components['schemas']['Holder'][];
    };
    /** @description The calls of a model, as its model server reports them. null means "not reported". */
    readonly Activity: {
      /** @description Seconds since the epoch; 0 for never. */
      readonly last_call: number;
      readonly calls: number;
      readonly errors: number;
      /** @description Calls per second, in the last minute. */
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
    /** @description A load in progress, or a failed one. */
    readonly Load: {
      readonly id: string;
      /** @description Name of the model; until that is known, the name or path in the request. */
      readonly model: string;
      /** @description The line that loads it again in a notebook. */
      readonly line: string;
      readonly notebook: string;
      readonly kernel_id: string;
      readonly pid: number;
      /** @description Time at which the load began, in ISO 8601, UTC. */
      readonly began: string;
      /** @description The present step. */
      readonly text: string;
      /** @description Completed part of the present step, from 0 to 1; null if it is not known. */
      readonly fraction: number | null;
      /** @description Reason for the failure; "" while the load is in progress. */
      readonly failed: string;
      readonly log: readonly string[];
      /** @description Ids of the models that it starts. If it wakes a model, the id of that one comes first. */
      readonly instances: readonly string[];
    };
    /** @description A kernel of this Jupyter server. */
    readonly Kernel: {
      readonly id: string;
      readonly state: string;
      readonly pid: number | null;
      /** @description Path of its notebook, or "". */
      readonly notebook: string;
      /** @description Time of its last activity, in seconds since the epoch; null unless it is idle. */
      readonly idle_since: number | null;
    };
    /** @description An event of a model: it was loaded, stopped or put to sleep, for example. */
    readonly Event: {
      /** @description Seconds since the epoch. */
      readonly at: number;
      readonly event: string;
      readonly instance: string;
      readonly model: string;
      readonly text: string;
    };
    /** @description A message of the server. Newer servers may send other types: ignore them. */
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
          /** @description Reason why the state cannot be read now. */
          readonly message: string;
        };
    /** @description The changes of a State. An entry of a table is replaced as a whole; null means that it is gone. Everything else is unchanged. */
    readonly Change: {
      /** @description Reason why there are no devices, or "". */
      readonly trouble?: string;
      /** @description Reason why Docker cannot be used, or "". */
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
      /** @description New events only. */
      readonly events?: readonly components['schemas']['Event'][];
    };
    /** @description A message of the client. */
    readonly FeedRequest: {
      /**
       * @description A client gets no messages between `pause` and `resume`.
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
      /** @description Bytes of GPU memory that it declares to need; 0 if it declares none. */
      readonly memory: number;
      readonly folder: string;
      /** @description Reason why it cannot be loaded, or "". */
      readonly trouble: string;
    };
    /** @description One check of this machine. */
    readonly Check: {
      readonly check: string;
      /** @enum {string} */
      readonly status: 'ok' | 'warn' | 'fail';
      readonly text: string;
      /** @description Advice what to do. */
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
      /** @description Environment variables of the model server. */
      readonly env?: {
        readonly [key: string]: string;
      };
      /**
       * @description Use a running instance of the same model on the same device, also if another notebook loaded it. The instance ends with the last notebook that uses it.
       * @default false
       */
      readonly share?: boolean;
      /** @description Time for which the model runs on after its last notebook has ended: "5m", "2h", "forever", or seconds. Meanwhile the next load of the same model uses it. */
      readonly keep?: string | number;
      /** @description Time without a call after which the model sleeps: "10m", "never", or seconds. Sleeping frees its memory until the next call. The default is in the settings; a model that is kept forever sleeps only if you set this. */
      readonly idle?: string | number;
      /**
       * @description Number of copies of the model behind one handle, spread over the GPUs. A call goes to the copy with the fewest calls in flight.
       * @default 1
       */
      readonly replicas?: number;
      /**
       * @description If GPU memory is lacking, put your own idle models to sleep, the least recently called first.
       * @default false
       */
      readonly evict?: boolean;
      /** @description The most GPU memory that each copy of the model may use: bytes, or "4GiB". */
      readonly memory?: string | number;
      /**
       * @description If False, the image or environment is built again.
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
