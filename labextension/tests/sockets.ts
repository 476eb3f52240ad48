import { ServerConnection } from '@jupyterlab/services';

import { Api } from '../src/api';

/** A WebSocket that a test plays the server of. */
export class FakeSocket {
  static readonly made: FakeSocket[] = [];
  static forbidden = false;

  readonly OPEN = 1;
  readyState = 0;
  readonly sent: string[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;

  constructor(readonly url: string) {
    if (FakeSocket.forbidden) {
      throw new DOMException('not here', 'SecurityError');
    }
    FakeSocket.made.push(this);
  }

  static get last(): FakeSocket {
    return this.made[this.made.length - 1];
  }

  open(): this {
    this.readyState = 1;
    this.onopen?.();
    return this;
  }

  say(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** The server, or something on the way, ends it. */
  end(): void {
    this.readyState = 3;
    this.onclose?.();
  }

  send(text: string): void {
    this.sent.push(text);
  }

  close(): void {
    this.readyState = 3;
  }
}

/** What was asked of the server, as "METHOD path", and what it answers: 404 as Jupyter does, unless a test says more. */
export class FakeServer {
  readonly asked: string[] = [];
  /** By "METHOD path"; an Error is a server that cannot be reached. */
  readonly answers: Record<string, unknown> = {};

  readonly api = new Api(
    ServerConnection.makeSettings({
      baseUrl: 'http://here/user/me/',
      wsUrl: 'ws://here/user/me/',
      token: 'a b',
      appendToken: true,
      fetch: request => this._answer(request as Request),
      WebSocket: FakeSocket as unknown as typeof WebSocket
    })
  );

  private async _answer({ method, url }: Request): Promise<Response> {
    const path = new URL(url).pathname.replace('/user/me/gpumodels/api/', '');
    this.asked.push(`${method} ${path}`);
    const answer = await this.answers[`${method} ${path}`];
    if (answer instanceof Error) {
      throw answer;
    }
    return answer instanceof Response ? answer : new Response('<html>', { status: 404 });
  }
}

export function json(told: unknown, status = 200): Response {
  return new Response(JSON.stringify(told), {
    status,
    headers: { 'Content-Type': 'application/json; charset=UTF-8' }
  });
}
