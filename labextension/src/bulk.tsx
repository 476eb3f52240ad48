import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import { type Api, troubleOf } from './api';
import { heldByKernels } from './groups';
import type { Notebooks } from './notebooks';
import { size } from './presentation';
import type { Kernel, Model } from './state';
import { explain } from './text';

/** The parts of the extension that the commands for several models or kernels use. */
export interface IBulkTools {
  readonly api: Pick<Api, 'state' | 'stop' | 'sleep'>;
  readonly notebooks: Notebooks;
  readonly trans: TranslationBundle;
}

/** Stop all models of the current notebook, after the user has confirmed it. */
export async function stopAllHere(tools: IBulkTools): Promise<void> {
  const { api, trans } = tools;
  const models = await modelsHere(tools);
  const lines = models.map(({ name, device }) => trans.__('%1 on %2', name, device));
  const question = trans.__('Stop all models of this notebook?');
  if (models.length && (await confirmed(question, lines, trans.__('Stop'), trans))) {
    await eachOf(models, ({ id }) => api.stop(id), trans);
  }
}

/** Put all models of the current notebook to sleep. */
export async function sleepAllHere(tools: IBulkTools): Promise<void> {
  const awake = (await modelsHere(tools)).filter(({ state }) => state === 'ready');
  await eachOf(awake, ({ id }) => tools.api.sleep(id), tools.trans);
}

/** Shut down all idle kernels that hold GPU memory, after the user has confirmed it. */
export async function shutDownIdle({ api, notebooks, trans }: IBulkTools): Promise<void> {
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
  if (await confirmed(question, lines, trans.__('Shut Down'), trans)) {
    await eachOf(kernels, ({ id }) => notebooks.shutDownKernel(id), trans);
  }
}

async function modelsHere({ api, notebooks, trans }: IBulkTools): Promise<readonly Model[]> {
  const kernel = notebooks.currentKernel;
  const { models } = await api.state();
  const here = Object.values(models).filter(({ kernel_id }) => kernel_id && kernel_id === kernel);
  if (!here.length) {
    Notification.info(trans.__('This notebook has no running model.'));
  }
  return here;
}

/** Call `act` for each item, and show an error for each call that failed, unless the item has gone meanwhile. */
async function eachOf<T>(
  all: readonly T[],
  act: (one: T) => Promise<unknown>,
  trans: TranslationBundle
): Promise<void> {
  const results = await Promise.allSettled(all.map(act));
  const troubles = results
    .filter(result => result.status === 'rejected')
    .map(({ reason }) => troubleOf(reason))
    .filter(({ kind }) => kind !== 'gone');
  for (const text of new Set(troubles.map(trouble => explain(trouble, trans)))) {
    Notification.error(text);
  }
}

async function confirmed(
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

function nameOf({ id, notebook }: Kernel, trans: TranslationBundle): string {
  return PathExt.basename(notebook) || trans.__('kernel %1', id.slice(0, 8));
}
