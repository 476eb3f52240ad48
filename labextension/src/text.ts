import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Trouble } from './api';

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
    case 'gone':
    case 'failed':
      return trouble.message;
  }
}

/** Whose a model or a load is: the notebook's file name, or the process. */
export function owner(of: { notebook: string; pid: number }, trans: TranslationBundle): string {
  return PathExt.basename(of.notebook) || trans.__('process %1', of.pid);
}

const formats = [0, 1].map(
  digits =>
    new Intl.NumberFormat(undefined, {
      maximumFractionDigits: digits,
      minimumFractionDigits: digits
    })
);

/** In the language of the browser, as all numbers here. */
export function number(value: number, digits: 0 | 1 = 0): string {
  return formats[digits].format(value);
}

/** Bytes in powers of ten, as everywhere in gpumodels. */
export function size(bytes: number | null, trans: TranslationBundle): string {
  if (bytes === null) {
    return trans.__('? GB');
  }
  return bytes >= 1e9 || bytes === 0
    ? trans.__('%1 GB', number(bytes / 1e9, 1))
    : trans.__('%1 MB', number(bytes / 1e6));
}

/** For how long, to one unit. */
export function span(seconds: number, trans: TranslationBundle): string {
  if (seconds < 60) {
    return trans.__('%1 s', number(Math.max(0, Math.floor(seconds))));
  }
  if (seconds < 5400) {
    return trans.__('%1 min', number(Math.floor(seconds / 60)));
  }
  return seconds < 172800
    ? trans.__('%1 h', number(Math.floor(seconds / 3600)))
    : trans.__('%1 d', number(Math.floor(seconds / 86400)));
}

const day = new Intl.DateTimeFormat();
const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

/** The time of day, with the date if that is not today's. */
export function clock(moment: string): string {
  const start = new Date(moment);
  const time = timeOfDay.format(start);
  return start.toDateString() === new Date().toDateString() ? time : `${day.format(start)} ${time}`;
}

export function since(moment: string, trans: TranslationBundle): string {
  return trans.__('since %1', clock(moment));
}
