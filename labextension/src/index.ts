import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import * as React from 'react';

import { Api } from './api';
import { addCommands } from './commands';
import { Feed } from './feed';
import { LoadForm } from './form';
import { LoadFormView } from './loadform';
import { Notebooks } from './notebooks';
import { ModelsPanel } from './panel';
import { follow } from './settings';
import { NotebookMemory } from './statusbar';

/** The rank of the panel, which puts it below JupyterLab's own tabs in the left sidebar. */
const RANK = 650;

/** All tokens are optional, because Notebook 7 has no status bar, and some of its pages have no notebook tracker. */
const plugin: JupyterFrontEndPlugin<void> = {
  id: 'gpumodels:plugin',
  description: 'Shows GPUs and models in the sidebar, and loads models into the current notebook.',
  autoStart: true,
  optional: [
    ILayoutRestorer,
    ITranslator,
    INotebookTracker,
    ICommandPalette,
    IStatusBar,
    ISettingRegistry
  ],
  activate: (
    app: JupyterFrontEnd,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null,
    tracker: INotebookTracker | null,
    palette: ICommandPalette | null,
    statusBar: IStatusBar | null,
    settings: ISettingRegistry | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('gpumodels');
    const api = new Api(app.serviceManager.serverSettings);
    const feed = new Feed(api);
    const notebooks = new Notebooks(app, tracker, trans);
    const form = new LoadForm(api, notebooks, trans);
    const loadForm = (): JSX.Element => React.createElement(LoadFormView, { form, feed });
    const panel = new ModelsPanel({ feed, api, trans, actions: notebooks, loadForm });
    app.shell.add(panel, 'left', { rank: RANK });
    restorer?.add(panel, panel.id);

    const open = (): void => {
      app.shell.activateById(panel.id);
      panel.activate();
    };
    addCommands(app.commands, palette, {
      api,
      notebooks,
      trans,
      open,
      prefill: choice => {
        form.prefill(choice);
        open();
      }
    });
    const memory = statusBar && new NotebookMemory(feed, notebooks, open, trans);
    memory?.addTo(statusBar!);
    void follow(settings, plugin.id, ({ statusBar: shown, engine, idle }) => {
      memory?.enable(shown);
      form.choose({ engine, idle });
    });
  }
};

export default plugin;
