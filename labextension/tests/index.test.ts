import type { JupyterFrontEnd } from '@jupyterlab/application';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import type { Widget } from '@lumino/widgets';
import { waitFor } from '@testing-library/dom';

import schema from '../schema/plugin.json';
import { Feed } from '../src/feed';
import { LoadForm } from '../src/form';
import plugin from '../src/index';

// These packages need more of a browser than jsdom has. The plugin needs only their tokens.
jest.mock('@jupyterlab/notebook', () => ({ INotebookTracker: {} }));
jest.mock('@jupyterlab/application', () => ({ ILayoutRestorer: {} }));

function frontEnd() {
  const added: { widget: Widget; area: string }[] = [];
  const app = {
    commands: new CommandRegistry(),
    shell: {
      add: (widget: Widget, area: string) => void added.push({ widget, area }),
      activateById: jest.fn()
    },
    serviceManager: { serverSettings: {}, contents: {}, kernelspecs: {} }
  };
  return { app: app as unknown as JupyterFrontEnd, added };
}

/** Return settings as in JupyterLab: the defaults of the schema, replaced by those of the user. */
function settingsOf(set: object) {
  const defaults = Object.entries(schema.properties).map(([key, { default: value }]) => [
    key,
    value
  ]);
  const composite = { ...Object.fromEntries(defaults), ...set } as object;
  const settings = { composite, changed: new Signal({}) };
  return { load: async () => Promise.resolve(settings) };
}

test('the panel and its commands work without the optional tokens', () => {
  const { app, added } = frontEnd();
  void plugin.activate(app, null, null, null, null, null, null);
  expect(added.map(({ widget, area }) => [widget.id, area])).toEqual([['gpumodels-panel', 'left']]);
  expect(app.commands.hasCommand('gpumodels:load')).toBe(true);
  void app.commands.execute('gpumodels:open');
  expect(app.shell.activateById).toHaveBeenCalledWith('gpumodels-panel');
});

test('settings turn the item of the status bar on, and set the first texts of the form', async () => {
  const { app } = frontEnd();
  const feed = jest.spyOn(Feed.prototype, 'view').mockImplementation(() => looking);
  const looking = { isDisposed: false, dispose: jest.fn() };
  const item = jest.fn();
  const kernel = { id: 'k1', name: 'python3' };
  const signal = new Signal({});
  const sessionContext = {
    session: { kernel },
    kernelChanged: signal,
    statusChanged: signal,
    connectionStatusChanged: signal
  };
  const currentWidget = { sessionContext, context: { path: 'a.ipynb', pathChanged: signal } };
  const tracker = { currentWidget, currentChanged: signal } as never;
  const form = jest.spyOn(LoadForm.prototype, 'choose');
  const settings = settingsOf({ engine: 'process' });
  const statusBar = { registerStatusItem: item };
  void plugin.activate(app, null, null, tracker, null, statusBar, settings);
  expect(item).toHaveBeenCalledWith('gpumodels:memory', expect.anything());
  expect(feed).not.toHaveBeenCalled();
  await waitFor(() => expect(form).toHaveBeenCalledWith({ engine: 'process', idle: '' }));
  expect(feed).toHaveBeenCalledTimes(1);

  const { composite, changed } = await settings.load();
  Object.assign(composite, { statusBar: false, idle: '10m' });
  changed.emit(undefined);
  expect(form).toHaveBeenLastCalledWith({ engine: 'process', idle: '10m' });
  expect(looking.dispose).toHaveBeenCalled();
});
