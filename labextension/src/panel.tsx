import type { TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import * as React from 'react';

import type { IRunningModel } from './api';
import { modelsIcon } from './icon';
import type { RunningModels } from './models';
import { Row } from './row';
import { explain } from './text';

/** The sidebar: this user's running models, each with a stop button. */
export class ModelsPanel extends VDomRenderer<RunningModels> {
  constructor(
    models: RunningModels,
    private readonly _trans: TranslationBundle
  ) {
    super(models);
    this.id = 'gpumodels-panel';
    this.addClass('gpumodels-Panel');
    this.title.icon = modelsIcon;
    this.title.caption = _trans.__('Running models');
    this.node.tabIndex = -1;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', _trans.__('Running models'));
  }

  protected override render(): JSX.Element {
    return (
      <>
        <h2 className="gpumodels-Panel-title">{this._trans.__('Running models')}</h2>
        {this._body()}
      </>
    );
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      this.model.start();
    }
  }

  protected override onAfterShow(): void {
    this.model.start();
  }

  protected override onAfterHide(): void {
    this.model.pause();
  }

  protected override onActivateRequest(): void {
    this.node.focus();
  }

  /** In trouble no list: what it says may no longer be true. */
  private _body(): JSX.Element | null {
    const { models, trouble } = this.model;
    if (trouble) {
      return (
        <p className="gpumodels-trouble" role="alert">
          {explain(trouble, this._trans)}
        </p>
      );
    }
    if (!models) {
      return null;
    }
    return models.length ? this._list(models) : this._empty();
  }

  private _list(models: readonly IRunningModel[]): JSX.Element {
    return (
      <ul className="gpumodels-Panel-list" aria-label={this._trans.__('Running models')}>
        {models.map(model => (
          <Row
            key={model.id}
            model={model}
            stopping={this.model.isStopping(model)}
            trouble={this.model.stopTrouble(model)}
            onStop={() => void this._stop(model)}
            trans={this._trans}
          />
        ))}
      </ul>
    );
  }

  private _empty(): JSX.Element {
    return (
      <div className="gpumodels-Panel-empty" role="status">
        <p>{this._trans.__('No model is running. To load one, run this in a notebook:')}</p>
        <pre>{'%load_ext gpumodels\n%load_model ctpn'}</pre>
      </div>
    );
  }

  /** The button that had the focus goes with its row: the keyboard's user goes on from here. */
  private async _stop(model: IRunningModel): Promise<void> {
    await this.model.stop(model);
    if (document.activeElement === document.body) {
      this.node.focus();
    }
  }
}
