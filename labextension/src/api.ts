import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

/** One running model, as `gpumodels/widgets/described.py` describes it. */
export interface IRunningModel {
  readonly id: string;
  readonly name: string;
  /** A path, or '' where no notebook but the process `pid` asked for the model. */
  readonly notebook: string;
  readonly kernel_id: string;
  readonly pid: number;
  readonly device: string;
  readonly engine: string;
  /** ISO 8601. */
  readonly since: string;
  readonly state: 'loading' | 'ready' | 'stopping' | 'kept';
  /** Since when nobody uses it and it is only kept: ISO 8601; '' where it is not. */
  readonly kept_since: string;
  /** Since when it holds more GPU memory than its limit: ISO 8601; '' where it does not. */
  readonly over_since: string;
}

/** Why a request failed, in the kinds that a user can do something about. */
export type Trouble =
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'failed'; readonly message: string };

/** The server extension's REST interface; every method throws `ApiError`. */
export class Api {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  async list(): Promise<IRunningModel[]> {
    const response = await this._request('GET');
    const answer = (await response.json()) as { models: IRunningModel[] };
    return answer.models;
  }

  /** Resolves when the model has stopped, also if it had stopped already. */
  async stop(id: string): Promise<void> {
    try {
      await this._request('DELETE', id);
    } catch (error) {
      if (!(error instanceof ApiError && error.trouble.kind === 'missing')) {
        throw error;
      }
    }
  }

  private async _request(method: string, ...path: string[]): Promise<Response> {
    const parts = path.map(encodeURIComponent);
    const url = URLExt.join(this._settings.baseUrl, 'gpumodels', 'api', 'models', ...parts);
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, { method }, this._settings);
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

async function explain(response: Response): Promise<Trouble> {
  if (response.status === 404) {
    return { kind: 'missing' };
  }
  if (response.status === 401 || response.status === 403) {
    return { kind: 'refused' };
  }
  const { message } = await ServerConnection.ResponseError.create(response);
  return { kind: 'failed', message };
}
