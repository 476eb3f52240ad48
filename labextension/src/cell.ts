import type { ICellModel, ICodeCellModel } from '@jupyterlab/cells';
import { PathExt } from '@jupyterlab/coreutils';
import { type NotebookPanel, NotebookActions } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import { loadsExtension } from './line';

/** The milliseconds in which a kernel has to report whether our extension is loaded. */
const ANSWERS_WITHIN = 2000;

const HAS_EXTENSION = `get_ipython().find_line_magic('load_model') is not None`;

/** Return a sentence on why a notebook cannot run a cell, and what to do; '' if it can. */
export function obstacle(
  { context, sessionContext }: NotebookPanel,
  language: string,
  trans: TranslationBundle
): string {
  const name = PathExt.basename(context.path);
  const { session, kernelDisplayStatus, pendingInput } = sessionContext;
  if (!session?.kernel && kernelDisplayStatus === 'unknown') {
    return trans.__('%1 has no kernel: choose one to load a model there.', name);
  }
  if (language && language.toLowerCase() !== 'python') {
    return trans.__(
      'The kernel of %1 runs %2: models are loaded in Python notebooks.',
      name,
      language
    );
  }
  if (pendingInput) {
    return trans.__('A cell of %1 waits for your input: answer it first.', name);
  }
  switch (kernelDisplayStatus) {
    case 'idle':
    case 'busy':
      return '';
    case 'dead':
      return trans.__('The kernel of %1 is dead: restart it to load a model there.', name);
    case 'disconnected':
      return trans.__('The kernel of %1 cannot be reached: is the Jupyter server running?', name);
    default:
      return trans.__('The kernel of %1 is not ready yet.', name);
  }
}

/**
 * Return true if a cell below the active one has to load the extension first.
 *
 * It has to if no cell above loads it, because the notebook would fail when it is run from its top. It also has to if
 * the kernel reports that the extension is not loaded. A busy kernel may not answer in time. The extension then counts
 * as loaded if a cell above that loads it was run. Loading the extension twice does no harm.
 */
export async function needsExtension(panel: NotebookPanel): Promise<boolean> {
  const { widgets, activeCellIndex } = panel.content;
  const above = widgets
    .slice(0, activeCellIndex + 1)
    .map(({ model }) => model)
    .filter(isCodeCellModel)
    .filter(model => loadsExtension(model.sharedModel.getSource()));
  const kernel = panel.sessionContext.session?.kernel;
  if (!above.length || !kernel) {
    return true;
  }
  const atWork = kernel.status === 'busy';
  const loaded = await hasExtension(kernel);
  return !(loaded ?? (atWork && above.some(wasRun)));
}

/** Ask the kernel silently if our extension is loaded. Return null if it does not answer in time, or fails. */
async function hasExtension(kernel: Kernel.IKernelConnection): Promise<boolean | null> {
  const future = kernel.requestExecute({
    code: '',
    silent: true,
    store_history: false,
    user_expressions: { here: HAS_EXTENSION }
  });
  const late = new Promise<null>(resolve => setTimeout(() => resolve(null), ANSWERS_WITHIN));
  const reply = await Promise.race([future.done.catch(() => null), late]);
  future.dispose();
  if (reply?.content.status !== 'ok') {
    return null;
  }
  const here = reply.content.user_expressions.here as { data?: { 'text/plain'?: string } };
  return here?.data?.['text/plain'] === 'True';
}

function isCodeCellModel(model: ICellModel): model is ICodeCellModel {
  return model.type === 'code';
}

function wasRun({ executionCount, executionState }: ICodeCellModel): boolean {
  return executionCount !== null || executionState === 'running';
}

/** Insert a cell below the active one, as one step of undo. Make it active, run it and scroll to it. */
export function insertAndRun({ content, sessionContext }: NotebookPanel, source: string): void {
  const index = content.activeCell ? content.activeCellIndex + 1 : 0;
  content.model!.sharedModel.insertCell(index, {
    cell_type: 'code',
    metadata: { trusted: true },
    source
  });
  content.activeCellIndex = index;
  content.deselectAll();
  void NotebookActions.runCells(content, [content.widgets[index]], sessionContext);
}
