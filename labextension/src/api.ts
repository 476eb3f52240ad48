import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { IState } from './state';

/** Why a request failed, in the kinds that a user can do something about. */
export type Trouble =
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'gone'; readonly message: string }
  | { readonly kind: 'refused' }
  | { readonly kind: 'failed'; readonly message: string };

/** A model that can be loaded. */
export interface ICatalogModel {
  readonly name: string;
  readonly summary: string;
  /** Bytes of GPU memory that it asks for, 0 where it does not say. */
  readonly memory: number;
  readonly folder: string;
  /** Why it cannot be loaded, or ''. */
  readonly trouble: string;
}

export interface ICatalog {
  readonly models: readonly ICatalogModel[];
  readonly engines: readonly string[];
}

/** One thing that the doctor looked at; `mend` says what to do. */
export interface ICheck {
  readonly check: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly text: string;
  readonly mend: string;
}

/** The server extension's REST interface (docs/rest.md); every method throws `ApiError`. */
export class Api {
  constructor(readonly settings: ServerConnection.ISettings) {}

  async state(): Promise<IState> {
    return this._read<IState>('state');
  }

  /**
   * Resolves when the model has stopped, also if it had stopped already: false. Where it sleeps in a notebook in which
   * a cell runs, it stops after that: true.
   */
  async stop(id: string): Promise<boolean> {
    return this._waits(await this._unlessGone('DELETE', 'models', id));
  }

  async sleep(id: string): Promise<void> {
    await this._request('POST', 'models', id, 'sleep');
  }

  /** Resolves when it is asked to wake: whether it waits for a cell that runs in its notebook. */
  async wake(id: string): Promise<boolean> {
    return this._waits(await this._request('POST', 'models', id, 'wake'));
  }

  /** What it printed last. */
  async logs(id: string): Promise<readonly string[]> {
    return (await this._read<{ lines: string[] }>('models', id, 'logs')).lines;
  }

  /** Forget a load that failed, or cancel one of the Jupyter server's own. */
  async dismiss(load: string): Promise<void> {
    await this._unlessGone('DELETE', 'loads', load);
  }

  async catalog(): Promise<ICatalog> {
    return this._read<ICatalog>('catalog');
  }

  async doctor(): Promise<readonly ICheck[]> {
    return (await this._read<{ checks: ICheck[] }>('doctor')).checks;
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
      throw new ApiError({ kind: 'refused' }); // The page to log in, to which we were sent.
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
      throw new ApiError(await explain(response));
    }
    return response;
  }
}

export class ApiError extends Error {
  constructor(readonly trouble: Trouble) {
    super(trouble.kind);
  }
}

export function troubleOf(error: unknown): Trouble {
  if (error instanceof ApiError) {
    return error.trouble;
  }
  return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
}

/** Ours are JSON; a page is of somebody on the way, or Jupyter's for a route that is not there. */
function isPage(response: Response): boolean {
  return !response.headers.get('Content-Type')?.startsWith('application/json');
}

async function explain(response: Response): Promise<Trouble> {
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
