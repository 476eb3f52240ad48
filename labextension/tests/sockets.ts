import { ServerConnection } from '@jupyterlab/services';

import { Api } from '../src/api';

/** A WebSocket. The test plays its server. */
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

  receive(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** End the connection from the server's side. */
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

/** A server that records requests and returns prepared answers. Other requests get 404, as in Jupyter. */
export class FakeServer {
  /** The requests, each as "METHOD path". */
  readonly requests: string[] = [];
  /** The answers by "METHOD path". An Error stands for a server that cannot be reached. */
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
    this.requests.push(`${method} ${path}`);
    const answer = await this.answers[`${method} ${path}`];
    if (answer instanceof Error) {
      throw answer;
    }
    return answer instanceof Response ? answer : new Response('<html>', { status: 404 });
  }
}

export function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'Content-Type': 'application/json; charset=UTF-8' }
  });
}
