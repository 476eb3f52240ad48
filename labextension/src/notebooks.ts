import type { JupyterFrontEnd } from '@jupyterlab/application';
import { PathExt } from '@jupyterlab/coreutils';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { type ISignal, Signal } from '@lumino/signaling';

import { insertAndRun, needsExtension, obstacle } from './cell';
import { LOAD_EXTENSION } from './line';

const MAKE = 'notebook:create-new';
const OPEN = 'docmanager:open';

/** The current notebook and the other notebooks of this browser tab, for the panel and its commands. */
export class Notebooks {
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _tracker: INotebookTracker | null,
    private readonly _trans: TranslationBundle
  ) {
    _tracker?.currentChanged.connect(() => this._follow());
    this._follow();
  }

  /** Emitted when another notebook becomes current, and when its path, its kernel or the kernel's state changes. */
  get currentChanged(): ISignal<this, void> {
    return this._changed;
  }

  /** The path of the current notebook on the Jupyter server; null if none is open. */
  get currentNotebook(): string | null {
    return this._panel && this._path(this._panel);
  }

  /** The id of the kernel of the current notebook; '' if it has none. */
  get currentKernel(): string {
    return this._panel?.sessionContext.session?.kernel?.id ?? '';
  }

  /** A sentence on why the current notebook cannot run a cell, and what to do; '' if it can. */
  get obstacle(): string {
    return this._panel?.model
      ? obstacle(this._panel, this._language(this._panel), this._trans)
      : this._trans.__('No notebook is open: a model is loaded by a cell of one.');
  }

  /** True if no notebook is open and `make` can make one. */
  get canMake(): boolean {
    return !this._panel && this._app.commands.hasCommand(MAKE);
  }

  /** Make a notebook, with a Python kernel if one is installed. */
  async make(): Promise<void> {
    const { kernelspecs } = this._app.serviceManager;
    await kernelspecs.ready;
    const specs = Object.values(kernelspecs.specs?.kernelspecs ?? {});
    const python = specs.filter(spec => spec?.language.toLowerCase() === 'python');
    const preferred = python.find(spec => spec!.name === kernelspecs.specs?.default) ?? python[0];
    await this._app.commands.execute(MAKE, { kernelName: preferred?.name, activate: true });
  }

  /**
   * Run `line` in a new cell below the active one, after a line that loads the extension if that is needed. Return the
   * name of the notebook. Throw an Error with the reason if the line cannot be run.
   */
  async load(line: string): Promise<string> {
    const panel = this._panel;
    const missing = panel && !this.obstacle && (await needsExtension(panel));
    // While the kernel is asked, the user may close the notebook or go to another one.
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

  /** Shut down a kernel and its session. Its notebook then has no kernel. */
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
      signal.disconnect(this._emit);
    }
    this._panel = this._tracker?.currentWidget ?? null;
    for (const signal of this._panel ? signals(this._panel) : []) {
      signal.connect(this._emit);
    }
    this._emit();
  }

  private readonly _emit = (): void => this._changed.emit();
  private readonly _changed = new Signal<this, void>(this);
  private _panel: NotebookPanel | null = null;
}

/** Return the signals for changes of a notebook's path, its kernel and the state of its kernel. */
function signals({ context, sessionContext }: NotebookPanel): ISignal<unknown, unknown>[] {
  const { kernelChanged, statusChanged, connectionStatusChanged } = sessionContext;
  return [context.pathChanged, kernelChanged, statusChanged, connectionStatusChanged];
}
