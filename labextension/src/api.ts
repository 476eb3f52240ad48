import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { Catalog, Check, State } from './state';

/** The reason why a request failed. For each kind the user has to do something else. */
export type Trouble =
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'gone'; readonly message: string }
  | { readonly kind: 'refused' }
  | { readonly kind: 'failed'; readonly message: string };

/** The server extension's REST interface; see docs/rest.md. Every method throws `ApiError`. */
export class Api {
  constructor(readonly settings: ServerConnection.ISettings) {}

  async state(): Promise<State> {
    return this._read<State>('state');
  }

  /**
   * Stop a model, and return false when it has stopped, even if it had stopped before. Return true if it sleeps in a
   * notebook in which a cell runs: it then stops after the cell.
   */
  async stop(id: string): Promise<boolean> {
    return this._waits(await this._unlessGone('DELETE', 'models', id));
  }

  async sleep(id: string): Promise<void> {
    await this._request('POST', 'models', id, 'sleep');
  }

  /** Begin to wake a model. Return true if it has to wait for a cell that runs in its notebook. */
  async wake(id: string): Promise<boolean> {
    return this._waits(await this._request('POST', 'models', id, 'wake'));
  }

  /** Return the last lines that the model server of a model printed. */
  async logs(id: string): Promise<readonly string[]> {
    return (await this._read<{ lines: string[] }>('models', id, 'logs')).lines;
  }

  /** Dismiss a failed load, or cancel a load that the Jupyter server itself makes. */
  async dismiss(load: string): Promise<void> {
    await this._unlessGone('DELETE', 'loads', load);
  }

  async catalog(): Promise<Catalog> {
    return this._read<Catalog>('catalog');
  }

  async doctor(): Promise<readonly Check[]> {
    return (await this._read<{ checks: Check[] }>('doctor')).checks;
  }

  private async _unlessGone(method: string, ...path: string[]): Promise<Response | null> {
    try {
      return await this._request(method, ...path);
    } catch (error) {
      if (troubleOf(error).kind !== 'gone') {
        throw error;
      }
      return null;
    }
  }

  private async _waits(response: Response | null): Promise<boolean> {
    return response?.status === 202 && ((await response.json()) as { waits: boolean }).waits;
  }

  private async _read<T>(...path: string[]): Promise<T> {
    const response = await this._request('GET', ...path);
    if (isPage(response)) {
      throw new ApiError({ kind: 'refused' }); // We were redirected to the login page.
    }
    return (await response.json()) as T;
  }

  private async _request(method: string, ...path: string[]): Promise<Response> {
    const parts = path.map(encodeURIComponent);
    const url = URLExt.join(this.settings.baseUrl, 'gpumodels', 'api', ...parts);
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, { method }, this.settings);
    } catch {
      throw new ApiError({ kind: 'unreachable' });
    }
    if (!response.ok) {
      throw new ApiError(await troubleIn(response));
    }
    return response;
  }
}

/** The error of a failed request. */
export class ApiError extends Error {
  constructor(readonly trouble: Trouble) {
    super(trouble.kind);
  }
}

/** Return the trouble of an error of any kind. */
export function troubleOf(error: unknown): Trouble {
  if (error instanceof ApiError) {
    return error.trouble;
  }
  return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
}

/** Return true if a response is a page of a proxy, or Jupyter's page for an unknown route. Ours are always JSON. */
function isPage(response: Response): boolean {
  return !response.headers.get('Content-Type')?.startsWith('application/json');
}

async function troubleIn(response: Response): Promise<Trouble> {
  if (response.status === 404 && isPage(response)) {
    return { kind: 'missing' };
  }
  if (response.status === 401 || response.status === 403) {
    return { kind: 'refused' };
  }
  if (isPage(response)) {
    return { kind: 'unreachable' };
  }
  const { message } = await ServerConnection.ResponseError.create(response);
  return { kind: response.status === 404 ? 'gone' : 'failed', message };
}
