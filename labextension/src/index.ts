import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { Api } from './api';
import { RunningModels } from './models';
import { ModelsPanel } from './panel';

/** After JupyterLab's own tabs at the top of the left sidebar. */
const RANK = 650;

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'gpumodels:plugin',
  description: "Shows this user's running models in the sidebar and stops them.",
  autoStart: true,
  optional: [ILayoutRestorer, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('gpumodels');
    const models = new RunningModels(new Api(app.serviceManager.serverSettings));
    const panel = new ModelsPanel(models, trans);
    app.shell.add(panel, 'left', { rank: RANK });
    restorer?.add(panel, panel.id);
  }
};

export default plugin;
