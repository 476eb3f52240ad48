import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import { type Api, troubleOf } from './api';
import { heldByKernels } from './groups';
import type { Notebooks } from './notebooks';
import type { IKernel, IModel } from './state';
import { explain, size } from './text';

/** What the commands that act on several things at once need. */
export interface IParts {
  readonly api: Pick<Api, 'state' | 'stop' | 'sleep'>;
  readonly notebooks: Notebooks;
  readonly trans: TranslationBundle;
}

/** End all models of the current notebook, after asking. */
export async function stopAllHere(parts: IParts): Promise<void> {
  const { api, trans } = parts;
  const models = await modelsHere(parts);
  const lines = models.map(({ name, device }) => trans.__('%1 on %2', name, device));
  const question = trans.__('Stop all models of this notebook?');
  if (models.length && (await agreed(question, lines, trans.__('Stop'), trans))) {
    await eachOf(models, ({ id }) => api.stop(id), trans);
  }
}

/** Free the memory of all models of the current notebook, until they are called again. */
export async function sleepAllHere(parts: IParts): Promise<void> {
  const awake = (await modelsHere(parts)).filter(({ state }) => state === 'ready');
  await eachOf(awake, ({ id }) => parts.api.sleep(id), parts.trans);
}

/** End all kernels that hold GPU memory and have nothing to do, after asking. */
export async function shutDownIdle({ api, notebooks, trans }: IParts): Promise<void> {
  const state = await api.state();
  const held = heldByKernels(state);
  const kernels = Object.values(state.kernels).filter(
    kernel => kernel.state === 'idle' && held.has(kernel.id)
  );
  if (!kernels.length) {
    Notification.info(trans.__('No idle kernel holds GPU memory.'));
    return;
  }
  const lines = kernels.map(kernel =>
    trans.__('%1, %2', nameOf(kernel, trans), size(held.get(kernel.id)!, trans))
  );
  const question = trans.__('Shut down these kernels? Their variables and models are lost.');
  if (await agreed(question, lines, trans.__('Shut Down'), trans)) {
    await eachOf(kernels, ({ id }) => notebooks.shutDownKernel(id), trans);
  }
}

async function modelsHere({ api, notebooks, trans }: IParts): Promise<readonly IModel[]> {
  const kernel = notebooks.currentKernel;
  const { models } = await api.state();
  const here = Object.values(models).filter(({ kernel_id }) => kernel_id && kernel_id === kernel);
  if (!here.length) {
    Notification.info(trans.__('This notebook has no running model.'));
  }
  return here;
}

/** Do it to all, and say what went wrong with any; one that has gone meanwhile is done. */
async function eachOf<T>(
  all: readonly T[],
  act: (one: T) => Promise<unknown>,
  trans: TranslationBundle
): Promise<void> {
  const ends = await Promise.allSettled(all.map(act));
  const troubles = ends
    .filter(end => end.status === 'rejected')
    .map(({ reason }) => troubleOf(reason))
    .filter(({ kind }) => kind !== 'gone');
  for (const text of new Set(troubles.map(trouble => explain(trouble, trans)))) {
    Notification.error(text);
  }
}

async function agreed(
  title: string,
  lines: readonly string[],
  action: string,
  trans: TranslationBundle
): Promise<boolean> {
  const body = ReactWidget.create(
    <ul className="gpumodels-Question">
      {lines.map((line, index) => (
        <li key={index}>{line}</li>
      ))}
    </ul>
  );
  const buttons = [
    Dialog.cancelButton({ label: trans.__('Cancel') }),
    Dialog.warnButton({ label: action })
  ];
  const { button } = await showDialog({ title, body, buttons });
  return button.accept;
}

function nameOf({ id, notebook }: IKernel, trans: TranslationBundle): string {
  return PathExt.basename(notebook) || trans.__('kernel %1', id.slice(0, 8));
}
