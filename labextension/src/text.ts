import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { IRunningModel, Trouble } from './api';

/** One sentence that says what happened and what to do. */
export function explain(trouble: Trouble, trans: TranslationBundle): string {
  switch (trouble.kind) {
    case 'unreachable':
      return trans.__('The Jupyter server does not answer; trying again.');
    case 'missing':
      return trans.__(
        'The Jupyter server knows nothing of gpumodels: run "jupyter server extension enable gpumodels" and restart it.'
      );
    case 'refused':
      return trans.__('The Jupyter server refused: log in again, or ask its administrator.');
    case 'failed':
      return trouble.message;
  }
}

/** Who asked for the model: the notebook's file name, or the process. */
export function owner(model: IRunningModel, trans: TranslationBundle): string {
  return PathExt.basename(model.notebook) || trans.__('process %1', model.pid);
}

/** The time of day, with the date if that is not today's. */
export function since(moment: string, trans: TranslationBundle): string {
  const start = new Date(moment);
  const time = start.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const today = start.toDateString() === new Date().toDateString();
  return trans.__('since %1', today ? time : `${start.toLocaleDateString()} ${time}`);
}
