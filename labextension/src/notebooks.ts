import type { JupyterFrontEnd } from '@jupyterlab/application';
import { PathExt } from '@jupyterlab/coreutils';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { type ISignal, Signal } from '@lumino/signaling';

import { insertAndRun, needsExtension, obstacle } from './cell';
import { LOAD_EXTENSION } from './line';

const MAKE = 'notebook:create-new';
const OPEN = 'docmanager:open';

/** The notebooks of this browser tab, above all the current one: what the panel does to them. */
export class Notebooks {
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _tracker: INotebookTracker | null,
    private readonly _trans: TranslationBundle
  ) {
    _tracker?.currentChanged.connect(() => this._follow());
    this._follow();
  }

  /** Another notebook is the current one, or its kernel or the state of that has changed. */
  get currentChanged(): ISignal<this, void> {
    return this._changed;
  }

  /** The path of the current notebook as the Jupyter server knows it. */
  get currentNotebook(): string | null {
    return this._panel && this._path(this._panel);
  }

  /** The id of its kernel, '' where there is none. */
  get currentKernel(): string {
    return this._panel?.sessionContext.session?.kernel?.id ?? '';
  }

  /** Why no cell can be run in the current notebook: a sentence that says what to do; '' where one can. */
  get obstacle(): string {
    return this._panel?.model
      ? obstacle(this._panel, this._language(this._panel), this._trans)
      : this._trans.__('No notebook is open: a model is loaded by a cell of one.');
  }

  /** Whether the obstacle is that there is no notebook, and `make` can mend it. */
  get canMake(): boolean {
    return !this._panel && this._app.commands.hasCommand(MAKE);
  }

  /** A new notebook, with a kernel of Python where there is one. */
  async make(): Promise<void> {
    const { kernelspecs } = this._app.serviceManager;
    await kernelspecs.ready;
    const specs = Object.values(kernelspecs.specs?.kernelspecs ?? {});
    const python = specs.filter(spec => spec?.language.toLowerCase() === 'python');
    const preferred = python.find(spec => spec!.name === kernelspecs.specs?.default) ?? python[0];
    await this._app.commands.execute(MAKE, { kernelName: preferred?.name, activate: true });
  }

  /**
   * Insert `line` below the active cell of the current notebook, preceded by what loads the extension where that is
   * missing, and run it. Returns the notebook's name; throws an Error that says why it cannot.
   */
  async load(line: string): Promise<string> {
    const panel = this._panel;
    const missing = panel && !this.obstacle && (await needsExtension(panel));
    // The kernel was asked, and meanwhile much can have happened.
    if (this.obstacle || !panel || panel.isDisposed || panel !== this._panel) {
      throw new Error(this.obstacle || this._trans.__('The notebook was left: load it once more.'));
    }
    insertAndRun(panel, missing ? `${LOAD_EXTENSION}\n${line}` : line);
    return PathExt.basename(panel.context.path);
  }

  async goToNotebook(path: string): Promise<void> {
    const open = this._tracker?.find(panel => this._path(panel) === path);
    if (open) {
      this._app.shell.activateById(open.id);
    } else {
      await this._app.commands.execute(OPEN, { path });
    }
  }

  /** End a kernel, and the session of the notebook that it runs: the notebook then has no kernel. */
  async shutDownKernel(id: string): Promise<void> {
    const { sessions, kernels } = this._app.serviceManager;
    await sessions.refreshRunning();
    const session = [...sessions.running()].find(each => each.kernel?.id === id);
    await (session ? sessions.shutdown(session.id) : kernels.shutdown(id));
  }

  private _path(panel: NotebookPanel): string {
    return this._app.serviceManager.contents.localPath(panel.context.path);
  }

  private _language({ model, sessionContext }: NotebookPanel): string {
    const { specs } = this._app.serviceManager.kernelspecs;
    const kernel = sessionContext.session?.kernel?.name ?? '';
    return specs?.kernelspecs[kernel]?.language ?? model?.defaultKernelLanguage ?? '';
  }

  private _follow(): void {
    for (const signal of this._panel ? signals(this._panel) : []) {
      signal.disconnect(this._tell);
    }
    this._panel = this._tracker?.currentWidget ?? null;
    for (const signal of this._panel ? signals(this._panel) : []) {
      signal.connect(this._tell);
    }
    this._tell();
  }

  private readonly _tell = (): void => this._changed.emit();
  private readonly _changed = new Signal<this, void>(this);
  private _panel: NotebookPanel | null = null;
}

/** What tells that the notebook has another name, another kernel, or its kernel another state. */
function signals({ context, sessionContext }: NotebookPanel): ISignal<unknown, unknown>[] {
  const { kernelChanged, statusChanged, connectionStatusChanged } = sessionContext;
  return [context.pathChanged, kernelChanged, statusChanged, connectionStatusChanged];
}
