import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Trouble } from './api';

/** Return a sentence on a failed request: what happened, and what to do. */
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
    case 'gone':
    case 'failed':
      return trouble.message;
  }
}

/** Return the owner of a model or of a load: the notebook's file name, or the process. */
export function owner(of: { notebook: string; pid: number }, trans: TranslationBundle): string {
  return PathExt.basename(of.notebook) || trans.__('process %1', of.pid);
}
