import { VDomModel } from '@jupyterlab/ui-components';
import { type IPoll, Poll } from '@lumino/polling';

import { type Api, ApiError, type IRunningModel, type Trouble } from './api';

/** How often a visible panel asks, and how rarely at most while the server does not answer. */
const INTERVAL = 2000;
const LONGEST_INTERVAL = 10000;

/** What the panel knows of this user's running models; `stateChanged` tells when that changes. */
export class RunningModels extends VDomModel {
  constructor(private readonly _api: Api) {
    super();
    this._poll = new Poll({
      name: 'gpumodels:models',
      auto: false,
      factory: () => this._api.list(),
      frequency: { interval: INTERVAL, backoff: true, max: LONGEST_INTERVAL }
    });
    // Not in the factory: an answer that a later question has overtaken raises no tick.
    this._poll.ticked.connect((_, state) => this._onTick(state));
  }

  /** The running models, oldest first, or null while nothing is known. */
  get models(): readonly IRunningModel[] | null {
    return this._models;
  }

  /** Why the list cannot be had, or null when all is well. */
  get trouble(): Trouble | null {
    return this._trouble;
  }

  isStopping(model: IRunningModel): boolean {
    return model.state === 'stopping' || this._stopping.has(model.id);
  }

  /** Why the last attempt to stop `model` failed, if it did. */
  stopTrouble(model: IRunningModel): Trouble | undefined {
    return this._stopTroubles.get(model.id);
  }

  /** Ask from now on, and at once; a hidden browser tab asks nothing. */
  start(): void {
    void this._poll.start();
  }

  /** Ask no more: nobody looks. */
  pause(): void {
    void this._poll.stop();
  }

  async stop(model: IRunningModel): Promise<void> {
    this._stopping.add(model.id);
    this._stopTroubles.delete(model.id);
    this.stateChanged.emit();
    try {
      await this._api.stop(model.id);
      this._models = this._models?.filter(other => other.id !== model.id) ?? null;
    } catch (error) {
      this._stopTroubles.set(model.id, troubleOf(error));
    }
    this._stopping.delete(model.id);
    if (!this.isDisposed) {
      this.stateChanged.emit();
      void this._poll.refresh();
    }
  }

  override dispose(): void {
    this._poll.dispose();
    super.dispose();
  }

  private _onTick({ phase, payload }: IPoll.State<IRunningModel[], unknown, string>): void {
    if (phase === 'resolved' || phase === 'reconnected') {
      this._models = [...(payload as IRunningModel[])].sort((a, b) =>
        a.since.localeCompare(b.since)
      );
      this._trouble = null;
    } else if (phase === 'rejected') {
      this._trouble = troubleOf(payload);
    } else {
      return;
    }
    this.stateChanged.emit();
  }

  private readonly _poll: Poll<IRunningModel[], unknown>;
  private readonly _stopping = new Set<string>();
  private readonly _stopTroubles = new Map<string, Trouble>();
  private _models: readonly IRunningModel[] | null = null;
  private _trouble: Trouble | null = null;
}

function troubleOf(error: unknown): Trouble {
  return error instanceof ApiError ? error.trouble : { kind: 'failed', message: String(error) };
}
