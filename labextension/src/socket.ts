import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';

import type { IChange, IState } from './state';

/** What the server says; of other types too, if it is newer. */
export type Message =
  | { readonly type: 'snapshot'; readonly state: IState }
  | { readonly type: 'change'; readonly moment: number; readonly change: IChange }
  | { readonly type: 'alive'; readonly moment: number }
  | { readonly type: 'trouble'; readonly message: string };

/** Milliseconds until the first word, and between two: the server says something every five seconds. */
const FIRST_WORD = 5000;
const SILENCE = 12000;

/** One connection to the feed. */
export class FeedSocket {
  /** When it has ended, for whatever reason; whether anything was heard. */
  readonly ended: Promise<boolean>;

  constructor(
    { wsUrl, token, appendToken, WebSocket }: ServerConnection.ISettings,
    private readonly _hear: (message: Message) => void,
    paused: boolean
  ) {
    const asked = appendToken && token ? `?token=${encodeURIComponent(token)}` : '';
    this._paused = paused;
    this._socket = new WebSocket(URLExt.join(wsUrl, 'gpumodels', 'api', 'feed') + asked);
    this.ended = new Promise(resolve => (this._resolve = resolve));
    this._socket.onopen = () => this._paused && this._say('pause');
    this._socket.onmessage = event => this._onMessage(event as MessageEvent<string>);
    this._socket.onclose = () => this.close();
    this._listen(FIRST_WORD);
  }

  /** Nobody looks: the server need not, and may be silent. */
  pause(paused: boolean): void {
    if (paused === this._paused) {
      return;
    }
    this._paused = paused;
    this._say(paused ? 'pause' : 'resume');
    this._listen(SILENCE);
  }

  close(): void {
    clearTimeout(this._timer);
    this._socket.onclose = this._socket.onmessage = this._socket.onopen = null;
    this._socket.close();
    this._resolve(this._heard);
  }

  private _onMessage({ data }: MessageEvent<string>): void {
    this._heard = true;
    this._listen(SILENCE);
    this._hear(JSON.parse(data) as Message);
  }

  private _say(type: 'pause' | 'resume'): void {
    if (this._socket.readyState === this._socket.OPEN) {
      this._socket.send(JSON.stringify({ type }));
    }
  }

  private _listen(within: number): void {
    clearTimeout(this._timer);
    if (!this._paused) {
      this._timer = setTimeout(() => this.close(), within);
    }
  }

  private readonly _socket: WebSocket;
  private _resolve!: (heard: boolean) => void;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _heard = false;
  private _paused: boolean;
}
