import { URLExt } from '@jupyterlab/coreutils';
import type { ServerConnection } from '@jupyterlab/services';

import type { FeedMessage, FeedRequest } from './state';

/** The longest times until the first message, and between two messages, in milliseconds. The server sends one at least
 *  every five seconds. */
const FIRST_WITHIN = 5000;
const NEXT_WITHIN = 12000;

/** One connection to the feed. */
export class FeedSocket {
  /** Resolves when the connection has ended, for any reason, with true if a message was received. */
  readonly ended: Promise<boolean>;

  constructor(
    { wsUrl, token, appendToken, WebSocket }: ServerConnection.ISettings,
    private readonly _receive: (message: FeedMessage) => void,
    paused: boolean
  ) {
    const query = appendToken && token ? `?token=${encodeURIComponent(token)}` : '';
    this._paused = paused;
    this._socket = new WebSocket(URLExt.join(wsUrl, 'gpumodels', 'api', 'feed') + query);
    this.ended = new Promise(resolve => (this._resolve = resolve));
    this._socket.onopen = () => this._paused && this._send('pause');
    this._socket.onmessage = event => this._onMessage(event as MessageEvent<string>);
    this._socket.onclose = () => this.close();
    this._expect(FIRST_WITHIN);
  }

  /** Ask the server to pause or to resume. While paused, it sends no messages. */
  pause(paused: boolean): void {
    if (paused === this._paused) {
      return;
    }
    this._paused = paused;
    this._send(paused ? 'pause' : 'resume');
    this._expect(NEXT_WITHIN);
  }

  close(): void {
    clearTimeout(this._timer);
    this._socket.onclose = this._socket.onmessage = this._socket.onopen = null;
    this._socket.close();
    this._resolve(this._received);
  }

  private _onMessage({ data }: MessageEvent<string>): void {
    this._received = true;
    this._expect(NEXT_WITHIN);
    this._receive(JSON.parse(data) as FeedMessage);
  }

  private _send(type: FeedRequest['type']): void {
    if (this._socket.readyState === this._socket.OPEN) {
      this._socket.send(JSON.stringify({ type } satisfies FeedRequest));
    }
  }

  /** Close the connection if no message arrives within `within` milliseconds. */
  private _expect(within: number): void {
    clearTimeout(this._timer);
    if (!this._paused) {
      this._timer = setTimeout(() => this.close(), within);
    }
  }

  private readonly _socket: WebSocket;
  private _resolve!: (received: boolean) => void;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _received = false;
  private _paused: boolean;
}
