import type { IStatusBar } from '@jupyterlab/statusbar';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';
import * as React from 'react';

import type { IFeed } from './feed';
import { memoryOf, total } from './gpus';
import type { Notebooks } from './notebooks';
import { size } from './presentation';

/**
 * The item of the status bar, which shows the GPU memory of the current notebook.
 *
 * It views the feed only while the current notebook has a kernel. It stops for good if the machine has no GPU or the
 * server has no gpumodels.
 */
export class NotebookMemory extends ReactWidget {
  constructor(
    private readonly _feed: IFeed,
    private readonly _notebooks: Notebooks,
    private readonly _open: () => void,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('gpumodels-StatusBar');
    _feed.stateChanged.connect(this._refresh);
    _notebooks.currentChanged.connect(this._refresh);
  }

  /** Turn the item on or off, by the user's settings. At the start it is off. */
  enable(enabled: boolean): void {
    this._enabled = enabled;
    this._refresh();
  }

  addTo(statusBar: IStatusBar): void {
    statusBar.registerStatusItem('gpumodels:memory', {
      item: this,
      align: 'left',
      isActive: () => this._active,
      activeStateChanged: this._activeChanged
    });
  }

  override dispose(): void {
    this._feed.stateChanged.disconnect(this._refresh);
    this._notebooks.currentChanged.disconnect(this._refresh);
    this._viewing?.dispose();
    super.dispose();
  }

  protected override render(): JSX.Element | null {
    const { state } = this._feed;
    if (!this._active || !state) {
      return null;
    }
    const held = memoryOf(this._notebooks.currentKernel, state);
    const trans = this._trans;
    const parts = [...held].map(([{ label }, memory]) => `${label}: ${size(memory, trans)}`);
    const title = parts.length
      ? trans.__('GPU memory of this notebook and its models: %1', parts.join(', '))
      : trans.__('This notebook and its models hold no GPU memory');
    return (
      <button type="button" title={title} onClick={this._open}>
        {trans.__('GPU %1', size(total(held), trans))}
      </button>
    );
  }

  private readonly _refresh = (): void => {
    const { state, connection } = this._feed;
    if (state) {
      this._hasGpu = Object.keys(state.devices).length > 0;
    }
    const wanted = this._enabled && this._notebooks.currentKernel !== '';
    const viewing = wanted && this._hasGpu !== false && connection !== 'missing';
    if (viewing && !this._viewing) {
      this._viewing = this._feed.view();
    } else if (!viewing) {
      this._viewing?.dispose();
      this._viewing = null;
    }
    const answered = connection === 'live' || connection === 'polling';
    const active = viewing && this._hasGpu === true && answered;
    if (active !== this._active) {
      this._active = active;
      this._activeChanged.emit();
    }
    this.update();
  };

  private readonly _activeChanged = new Signal<this, void>(this);
  private _viewing: IDisposable | null = null;
  private _enabled = false;
  private _active = false;
  /** True if the machine has a GPU; null until that is known. */
  private _hasGpu: boolean | null = null;
}
