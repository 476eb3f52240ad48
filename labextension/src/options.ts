// Generated from gpumodels/loading/request.py by `make generate`. Do not edit.

export type OptionName =
  | 'gpu'
  | 'engine'
  | 'timeout'
  | 'env'
  | 'serve'
  | 'share'
  | 'keep'
  | 'idle'
  | 'replicas'
  | 'evict'
  | 'memory'
  | 'cache';

/** An option of a load, as `Option` of gpumodels/loading/options.py describes it. */
export interface IOption {
  readonly name: OptionName;
  readonly flag: string;
  /** A switch takes no value; settings are NAME=VALUE and may be repeated. */
  readonly kind: 'text' | 'duration' | 'count' | 'switch' | 'settings';
  readonly metavar: string;
  readonly help: string;
  readonly examples: readonly string[];
  /** Null if the default is in the user's settings, or if there is none. */
  readonly default: string | number | boolean | null;
}

/** All options, in their order in `--help`. */
// prettier-ignore
export const OPTIONS: readonly IOption[] = [
  {
    "name": "gpu",
    "flag": "--gpu",
    "kind": "text",
    "metavar": "GPU",
    "help": "0, 0,1, the start of a UUID, auto, auto:2 or none (default: auto)",
    "examples": [],
    "default": "auto"
  },
  {
    "name": "engine",
    "flag": "--engine",
    "kind": "text",
    "metavar": "ENGINE",
    "help": "docker, process or auto (default: auto)",
    "examples": [],
    "default": null
  },
  {
    "name": "timeout",
    "flag": "--timeout",
    "kind": "duration",
    "metavar": "TIME",
    "help": "90s, 10m: for starting and loading (default: 10m)",
    "examples": ["10m", "30m", "never"],
    "default": null
  },
  {
    "name": "env",
    "flag": "--env",
    "kind": "settings",
    "metavar": "NAME=VALUE",
    "help": "set a variable for the model server; may be repeated",
    "examples": [],
    "default": null
  },
  {
    "name": "serve",
    "flag": "--serve",
    "kind": "text",
    "metavar": "HOST:PORT",
    "help": "answer tritonclient at this address, such as 127.0.0.1:8001 (port 0: a free one)",
    "examples": ["127.0.0.1:8001", "127.0.0.1:0"],
    "default": null
  },
  {
    "name": "share",
    "flag": "--share",
    "kind": "switch",
    "metavar": "",
    "help": "use a running instance of the same model, also of another notebook",
    "examples": [],
    "default": false
  },
  {
    "name": "keep",
    "flag": "--keep",
    "kind": "duration",
    "metavar": "TIME",
    "help": "5m, 2h, forever: how long the model runs on without a notebook",
    "examples": ["5m", "2h", "forever"],
    "default": null
  },
  {
    "name": "idle",
    "flag": "--idle",
    "kind": "duration",
    "metavar": "TIME",
    "help": "10m, never: time without a call after which the model sleeps (default: 1h)",
    "examples": ["10m", "1h", "never"],
    "default": null
  },
  {
    "name": "replicas",
    "flag": "--replicas",
    "kind": "count",
    "metavar": "N",
    "help": "number of copies behind one handle, spread over the GPUs",
    "examples": [],
    "default": 1
  },
  {
    "name": "evict",
    "flag": "--evict",
    "kind": "switch",
    "metavar": "",
    "help": "if GPU memory is lacking, put your own idle models to sleep",
    "examples": [],
    "default": false
  },
  {
    "name": "memory",
    "flag": "--memory",
    "kind": "text",
    "metavar": "SIZE",
    "help": "4GiB: the most GPU memory that the model may use",
    "examples": [],
    "default": null
  },
  {
    "name": "cache",
    "flag": "--no-cache",
    "kind": "switch",
    "metavar": "",
    "help": "build the image or environment again",
    "examples": [],
    "default": true
  }
];
