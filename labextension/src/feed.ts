import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';

import { type Api, troubleOf } from './api';
import { changed, settled } from './changes';
import { FeedSocket, type Message } from './socket';
import type { IState } from './state';

export type Connection =
  /** Nothing is known yet, or a connection was lost a moment ago. */
  | 'connecting'
  | 'live'
  /** No WebSocket gets through, but questions do. */
  | 'polling'
  /** The Jupyter server does not answer. */
  | 'lost'
  /** It answers, and has no gpumodels. */
  | 'missing'
  /** It asks for a login, or does not allow it. */
  | 'refused';

/** What is known of models and GPUs. */
export interface IFeed {
  /** null until the first answer; what is shown of an older one may no longer be true unless `connection` is live or polling. */
  readonly state: IState | null;
  readonly connection: Connection;
  /** Why the server cannot read the state now, or ''. */
  readonly trouble: string;
  /** Anything of the above may be other than before; at least every five seconds while it is viewed. */
  readonly stateChanged: ISignal<IFeed, void>;
  /** The server's clock, in seconds since the epoch. */
  now(): number;
  /** Someone looks from now on, until it is disposed of. Without viewers, or in a hidden browser tab, nothing is asked. */
  view(): IDisposable;
}

/** Milliseconds. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10000;
const POLL_EVERY = 2000;
const POLL_FOR = 60000;

/** So many WebSockets that nothing comes through make us ask instead. */
const ATTEMPTS = 2;

/** A clock that is so many seconds ahead of the server's latest word is set anew. */
const AHEAD = 2;

export class Feed implements IFeed, IDisposable {
  constructor(private readonly _api: Api) {
    document.addEventListener('visibilitychange', this._onVisibility);
  }

  get state(): IState | null {
    return this._state;
  }

  get connection(): Connection {
    return this._connection;
  }

  get trouble(): string {
    return this._trouble;
  }

  get stateChanged(): ISignal<IFeed, void> {
    return this._stateChanged;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  now(): number {
    return Date.now() / 1000 + (this._ahead ?? 0);
  }

  view(): IDisposable {
    this._viewers += 1;
    this._attend();
    return new DisposableDelegate(() => {
      this._viewers -= 1;
      this._attend();
    });
  }

  dispose(): void {
    this._isDisposed = true;
    document.removeEventListener('visibilitychange', this._onVisibility);
    this._socket?.close();
    this._wake();
    Signal.clearData(this);
  }

  private get _watched(): boolean {
    return this._viewers > 0 && !document.hidden;
  }

  private _attend(): void {
    this._socket?.pause(!this._watched);
    if (this._watched) {
      this._running ??= this._run();
      this._wake();
    }
  }

  private async _run(): Promise<void> {
    let failures = 0;
    while (!this._isDisposed) {
      await this._viewer();
      failures = (await this._listen()) ? 0 : failures + 1;
      if (failures) {
        await this._ask();
      }
      if (failures >= ATTEMPTS && this._connection === 'polling') {
        await this._poll();
        failures = ATTEMPTS - 1;
      } else {
        await this._rest(Math.min(FIRST_PAUSE * 2 ** failures, LONGEST_PAUSE));
      }
    }
  }

  /** One connection, until it ends; whether anything came through. */
  private async _listen(): Promise<boolean> {
    if (this._isDisposed) {
      return false;
    }
    try {
      this._socket = new FeedSocket(this._api.settings, this._hear, !this._watched);
    } catch {
      return false; // A browser that forbids it here throws.
    }
    const heard = await this._socket.ended;
    this._socket = null;
    if (heard) {
      this._tell('connecting');
    }
    return heard;
  }

  private readonly _hear = (message: Message): void => {
    if (message.type === 'trouble') {
      this._trouble = message.message;
    } else if (message.type === 'snapshot') {
      this._take(message.state);
    } else if (message.type === 'change' || message.type === 'alive') {
      this._set(message.moment);
      const change = message.type === 'change' ? message.change : {};
      this._state = this._state && changed(this._state, message.moment, change);
    }
    this._tell('live');
  };

  private async _poll(): Promise<void> {
    const until = Date.now() + POLL_FOR;
    while (this._connection === 'polling' && Date.now() < until && !this._isDisposed) {
      await this._rest(POLL_EVERY);
      await this._viewer();
      await this._ask();
    }
  }

  private async _ask(): Promise<void> {
    try {
      this._take(await this._api.state());
      this._tell('polling');
    } catch (error) {
      const trouble = troubleOf(error);
      if (trouble.kind === 'failed') {
        this._trouble = trouble.message;
        this._tell('polling');
      } else {
        this._tell(
          trouble.kind === 'missing' || trouble.kind === 'refused' ? trouble.kind : 'lost'
        );
      }
    }
  }

  private _take(state: IState): void {
    this._set(state.moment);
    this._state = settled(this._state, state);
    this._trouble = '';
  }

  /** Set our clock by the server's: of two words the one that took less time on its way is nearer to the truth. */
  private _set(moment: number): void {
    const ahead = moment - Date.now() / 1000;
    if (this._ahead === null || ahead > this._ahead || ahead < this._ahead - AHEAD) {
      this._ahead = ahead;
    }
  }

  private _tell(connection: Connection): void {
    this._connection = connection;
    if (!this._isDisposed) {
      this._stateChanged.emit();
    }
  }

  private async _viewer(): Promise<void> {
    while (!this._watched && !this._isDisposed) {
      await new Promise<void>(resolve => (this._wake = resolve));
    }
  }

  private async _rest(milliseconds: number): Promise<void> {
    await new Promise(resolve => setTimeout(resolve, milliseconds));
  }

  private readonly _onVisibility = (): void => this._attend();
  private readonly _stateChanged = new Signal<this, void>(this);
  private _state: IState | null = null;
  private _connection: Connection = 'connecting';
  private _trouble = '';
  /** Of the server's clock before ours, in seconds. */
  private _ahead: number | null = null;
  private _viewers = 0;
  private _running: Promise<void> | null = null;
  private _socket: FeedSocket | null = null;
  private _wake: () => void = () => undefined;
  private _isDisposed = false;
}
