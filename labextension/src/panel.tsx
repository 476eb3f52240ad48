import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import * as React from 'react';

import type { Api } from './api';
import type { IFeed } from './feed';
import { modelsIcon } from './icon';

/** What the panel asks of the notebooks around it. Rejects with a sentence that is shown. */
export interface IActions {
  /** As the Jupyter server knows it; null where none is open. */
  readonly currentNotebook: string | null;
  readonly currentChanged: ISignal<unknown, void>;
  goToNotebook(path: string): Promise<void>;
  shutDownKernel(id: string): Promise<void>;
  /** Insert `line` into the current notebook and run it. */
  load(line: string): Promise<unknown>;
}

export interface IPanelOptions {
  readonly feed: IFeed;
  readonly api: Api;
  readonly trans: TranslationBundle;
  readonly actions: IActions;
  /** The form that loads a model; mounted when the panel is first shown. */
  readonly loadForm: () => JSX.Element;
}

/** The sidebar: GPUs, models, loads that failed, idle kernels that hold memory, and the form that loads a model. */
export class ModelsPanel extends ReactWidget {
  constructor(private readonly _options: IPanelOptions) {
    super();
    const { trans } = _options;
    this.id = 'gpumodels-panel';
    this.addClass('gpumodels-Panel');
    this.title.icon = modelsIcon;
    this.title.caption = trans.__('GPU models');
    this.node.tabIndex = -1;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('GPU models'));
  }

  override dispose(): void {
    this._look(false);
    super.dispose();
  }

  protected override render(): JSX.Element | null {
    return this._shown ? this._options.loadForm() : null;
  }

  protected override onAfterAttach(): void {
    this._look(this.isVisible);
  }

  protected override onAfterShow(): void {
    this._look(true);
  }

  protected override onAfterHide(): void {
    this._look(false);
  }

  protected override onActivateRequest(): void {
    this.node.focus();
  }

  private _look(visible: boolean): void {
    if (visible && !this._viewing) {
      this._viewing = this._options.feed.view();
      this._shown = true;
      this.update();
    } else if (!visible) {
      this._viewing?.dispose();
      this._viewing = null;
    }
  }

  private _viewing: IDisposable | null = null;
  private _shown = false;
}
