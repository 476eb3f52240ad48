import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';

import { type Api, troubleOf } from './api';
import { changed, reused } from './changes';
import { FeedSocket } from './socket';
import type { FeedMessage, State } from './state';

export type Connection =
  /** There is no answer yet, or the connection has just ended. */
  | 'connecting'
  | 'live'
  /** WebSockets do not work, but requests do. */
  | 'polling'
  /** The Jupyter server does not answer. */
  | 'lost'
  /** The Jupyter server answers, but has no gpumodels. */
  | 'missing'
  /** The Jupyter server asks for a login, or denies access. */
  | 'refused';

/** The state of models and GPUs, kept up to date. */
export interface IFeed {
  /** The last state; null until the first answer. It is up to date only if `connection` is live or polling. */
  readonly state: State | null;
  readonly connection: Connection;
  /** The reason why the server cannot read the state at present, or ''. */
  readonly trouble: string;
  /** Emitted when one of the values above may have changed, and at least every five seconds while there is a viewer. */
  readonly stateChanged: ISignal<IFeed, void>;
  /** The server's clock, in seconds since the epoch. */
  now(): number;
  /** Add a viewer until the result is disposed of. Without viewers, and in a hidden tab, nothing is requested. */
  view(): IDisposable;
}

/** Times in milliseconds. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10000;
const POLL_EVERY = 2000;
const POLL_FOR = 60000;

/** The number of failed WebSockets after which the feed polls instead. */
const ATTEMPTS = 2;

/** Seconds. If our estimate of the server's clock is further ahead of its latest message, the estimate starts anew. */
const AHEAD = 2;

/** The feed of a Jupyter server, by WebSocket, or by polling if WebSockets do not work. */
export class Feed implements IFeed, IDisposable {
  constructor(private readonly _api: Api) {
    document.addEventListener('visibilitychange', this._onVisibility);
  }

  get state(): State | null {
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
    return Date.now() / 1000 + (this._offset ?? 0);
  }

  view(): IDisposable {
    this._viewers += 1;
    this._update();
    return new DisposableDelegate(() => {
      this._viewers -= 1;
      this._update();
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

  private _update(): void {
    this._socket?.pause(!this._watched);
    if (this._watched) {
      this._running ??= this._run();
      this._wake();
    }
  }

  private async _run(): Promise<void> {
    let failures = 0;
    while (!this._isDisposed) {
      await this._untilWatched();
      failures = (await this._connect()) ? 0 : failures + 1;
      if (failures) {
        await this._request();
      }
      if (failures >= ATTEMPTS && this._connection === 'polling') {
        await this._poll();
        failures = ATTEMPTS - 1;
      } else {
        await this._pause(Math.min(FIRST_PAUSE * 2 ** failures, LONGEST_PAUSE));
      }
    }
  }

  /** Keep one connection until it ends, and return true if a message was received. */
  private async _connect(): Promise<boolean> {
    if (this._isDisposed) {
      return false;
    }
    try {
      this._socket = new FeedSocket(this._api.settings, this._receive, !this._watched);
    } catch {
      return false; // The browser forbids WebSockets here.
    }
    const received = await this._socket.ended;
    this._socket = null;
    if (received) {
      this._publish('connecting');
    }
    return received;
  }

  private readonly _receive = (message: FeedMessage): void => {
    if (message.type === 'trouble') {
      this._trouble = message.message;
    } else if (message.type === 'snapshot') {
      this._adopt(message.state);
    } else if (message.type === 'change' || message.type === 'alive') {
      this._setClock(message.moment);
      const change = message.type === 'change' ? message.change : {};
      this._state = this._state && changed(this._state, message.moment, change);
    }
    this._publish('live');
  };

  private async _poll(): Promise<void> {
    const until = Date.now() + POLL_FOR;
    while (this._connection === 'polling' && Date.now() < until && !this._isDisposed) {
      await this._pause(POLL_EVERY);
      await this._untilWatched();
      await this._request();
    }
  }

  private async _request(): Promise<void> {
    try {
      this._adopt(await this._api.state());
      this._publish('polling');
    } catch (error) {
      const trouble = troubleOf(error);
      if (trouble.kind === 'failed') {
        this._trouble = trouble.message;
        this._publish('polling');
      } else {
        this._publish(
          trouble.kind === 'missing' || trouble.kind === 'refused' ? trouble.kind : 'lost'
        );
      }
    }
  }

  private _adopt(state: State): void {
    this._setClock(state.moment);
    this._state = reused(this._state, state);
    this._trouble = '';
  }

  /**
   * Improve our estimate of the server's clock. `moment` is the time at which the server sent a message that has just
   * arrived. The message with the shortest delay gives the greatest offset, which is the best estimate.
   */
  private _setClock(moment: number): void {
    const offset = moment - Date.now() / 1000;
    if (this._offset === null || offset > this._offset || offset < this._offset - AHEAD) {
      this._offset = offset;
    }
  }

  private _publish(connection: Connection): void {
    this._connection = connection;
    if (!this._isDisposed) {
      this._stateChanged.emit();
    }
  }

  private async _untilWatched(): Promise<void> {
    while (!this._watched && !this._isDisposed) {
      await new Promise<void>(resolve => (this._wake = resolve));
    }
  }

  private async _pause(milliseconds: number): Promise<void> {
    await new Promise(resolve => setTimeout(resolve, milliseconds));
  }

  private readonly _onVisibility = (): void => this._update();
  private readonly _stateChanged = new Signal<this, void>(this);
  private _state: State | null = null;
  private _connection: Connection = 'connecting';
  private _trouble = '';
  /** The server's clock minus ours, in seconds. */
  private _offset: number | null = null;
  private _viewers = 0;
  private _running: Promise<void> | null = null;
  private _socket: FeedSocket | null = null;
  private _wake: () => void = () => undefined;
  private _isDisposed = false;
}
