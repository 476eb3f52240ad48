import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Api } from './api';
import { Contents } from './contents';
import { type IActions, type ITools, Tools } from './context';
import type { IFeed } from './feed';
import { keepFocus } from './focus';
import { modelsIcon } from './icon';
import { View } from './view';

export type { IActions } from './context';

export interface IPanelOptions {
  readonly feed: IFeed;
  readonly api: Api;
  readonly trans: TranslationBundle;
  readonly actions: IActions;
  /** The form that loads a model: a component, mounted when the panel is first shown. */
  readonly loadForm: () => JSX.Element;
}

/** The sidebar: GPUs, models, failed loads, idle kernels that hold memory, and the form that loads a model. */
export class ModelsPanel extends ReactWidget {
  constructor({ feed, api, trans, actions, loadForm }: IPanelOptions) {
    super();
    this._view = new View(feed);
    this._loadForm = loadForm;
    this._tools = { api, actions, trans, view: this._view, announce: text => this._announce(text) };
    this.id = 'gpumodels-panel';
    this.addClass('gpumodels-Panel');
    this.title.icon = modelsIcon;
    this.title.caption = trans.__('GPU models');
    this.node.tabIndex = -1;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('GPU models'));
    this._focus = keepFocus(this.node);
  }

  override dispose(): void {
    this._view.visible = false;
    this._focus.disconnect();
    super.dispose();
  }

  protected override render(): JSX.Element | null {
    if (!this._mounted) {
      return null;
    }
    return (
      <Tools.Provider value={this._tools}>
        <Contents loadForm={this._loadForm} />
        <div ref={this._results} className="gpumodels-Panel-results" role="status" />
      </Tools.Provider>
    );
  }

  protected override onAfterAttach(): void {
    this._setVisible(this.isVisible);
  }

  protected override onAfterShow(): void {
    this._setVisible(true);
  }

  protected override onAfterHide(): void {
    this._setVisible(false);
  }

  protected override onActivateRequest(): void {
    this.node.focus();
  }

  private _setVisible(visible: boolean): void {
    this._view.visible = visible;
    if (visible && !this._mounted) {
      this._mounted = true;
      this.update();
    }
  }

  private _announce(text: string): void {
    if (this._results.current) {
      this._results.current.textContent = text;
    }
  }

  private readonly _view: View;
  private readonly _tools: ITools;
  private readonly _loadForm: () => JSX.Element;
  private readonly _focus: MutationObserver;
  private readonly _results = React.createRef<HTMLDivElement>();
  private _mounted = false;
}
