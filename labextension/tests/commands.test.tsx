import { Notification } from '@jupyterlab/apputils';
import { CommandRegistry } from '@lumino/commands';
import { configure, screen, waitFor, within } from '@testing-library/dom';

import { Api, ApiError } from '../src/api';
import { addCommands } from '../src/commands';
import type { State } from '../src/state';
import { device, FakeNotebooks, GB, model, share, stateOf, trans } from './fakes';

// jsdom does not open a <dialog>, and treats its contents as hidden.
configure({ defaultHidden: true });

const STATE = stateOf(
  [
    device(0, {
      shares: [share(3 * GB, { kernel_id: 'k2' }), share(GB, { kernel_id: 'k3' })]
    })
  ],
  {
    models: {
      a: model('a', { kernel_id: 'k1' }),
      b: model('b', { kernel_id: 'k1', name: 'ctpn', state: 'asleep' }),
      c: model('c', { kernel_id: 'k2' })
    },
    kernels: {
      k1: { id: 'k1', state: 'idle', pid: 1, notebook: 'signs.ipynb', idle_since: 0 },
      k2: { id: 'k2', state: 'idle', pid: 2, notebook: 'a/train.ipynb', idle_since: 0 },
      k3: { id: 'k3', state: 'busy', pid: 3, notebook: 'busy.ipynb', idle_since: null }
    }
  }
);

function made(state: State = STATE) {
  const api = {
    state: jest.fn(async () => Promise.resolve(state)),
    stop: jest.fn<Promise<void>, [string]>(async () => Promise.resolve()),
    sleep: jest.fn<Promise<void>, [string]>(async () => Promise.resolve()),
    doctor: jest.fn<ReturnType<Api['doctor']>, []>()
  };
  const notebooks = new FakeNotebooks();
  const commands = new CommandRegistry();
  const palette = { addItem: jest.fn() };
  const [open, prefill] = [jest.fn(), jest.fn()];
  const tools = { api: api as unknown as Api, notebooks: notebooks.as(), trans, open, prefill };
  addCommands(commands, palette as never, tools);
  return { api, notebooks, commands, palette, open, prefill };
}

const dialog = async () => within(await screen.findByRole('dialog'));
const noDialog = () => waitFor(() => expect(screen.queryByRole('dialog')).toBeNull());

afterEach(() => jest.restoreAllMocks());

test('all commands are in the palette, in their own category', () => {
  const { commands, palette } = made();
  const ids = commands.listCommands().filter(id => id.startsWith('gpumodels:'));
  expect(ids).toHaveLength(6);
  for (const command of ids) {
    expect(palette.addItem).toHaveBeenCalledWith({ command, category: 'GPU models' });
    expect(commands.label(command)).not.toBe('');
  }
});

test('the arguments of the load command are chosen in the form', async () => {
  const { commands, prefill } = made();
  await commands.execute('gpumodels:load', { model: 'ctpn', gpu: '1', engine: 3, other: 'x' });
  expect(prefill).toHaveBeenCalledWith({ model: 'ctpn', gpu: '1' });
});

test('commands for this notebook are disabled if no notebook is open', () => {
  const { commands, notebooks } = made();
  expect(commands.isEnabled('gpumodels:stop-all-here')).toBe(true);
  notebooks.change({ currentNotebook: null });
  expect(commands.isEnabled('gpumodels:stop-all-here')).toBe(false);
  expect(commands.isEnabled('gpumodels:sleep-all-here')).toBe(false);
});

test('the models of this notebook are stopped after a confirmation', async () => {
  const { commands, api } = made();
  const stopped = commands.execute('gpumodels:stop-all-here');
  const asked = await dialog();
  expect(await asked.findByText('echo on GPU 0')).toBeInTheDocument();
  expect(api.stop).not.toHaveBeenCalled();
  asked.getByRole('button', { name: 'Stop' }).click();
  await stopped;
  expect(api.stop.mock.calls.flat()).toEqual(['a', 'b']);
});

test('nothing is done if the question is declined', async () => {
  const { commands, api, notebooks } = made();
  for (const command of ['gpumodels:stop-all-here', 'gpumodels:shut-down-idle']) {
    const asked = commands.execute(command);
    (await dialog()).getByRole('button', { name: 'Cancel' }).click();
    await asked;
    await noDialog();
  }
  expect(api.stop).not.toHaveBeenCalled();
  expect(notebooks.shutDownKernel).not.toHaveBeenCalled();
});

test('the awake models of this notebook are put to sleep', async () => {
  const { commands, api } = made();
  await commands.execute('gpumodels:sleep-all-here');
  expect(api.sleep.mock.calls.flat()).toEqual(['a']);
});

test('idle kernels that hold GPU memory are listed with their memory, and shut down', async () => {
  const { commands, notebooks } = made();
  const done = commands.execute('gpumodels:shut-down-idle');
  const asked = await dialog();
  expect((await asked.findAllByRole('listitem')).map(item => item.textContent)).toEqual([
    'train.ipynb, 3.0 GB'
  ]);
  asked.getByRole('button', { name: 'Shut Down' }).click();
  await done;
  expect(notebooks.shutDownKernel.mock.calls.flat()).toEqual(['k2']);
});

test('a command with nothing to do reports that', async () => {
  const info = jest.spyOn(Notification, 'info').mockReturnValue('');
  const { commands } = made(stateOf([device(0)]));
  await commands.execute('gpumodels:shut-down-idle');
  await commands.execute('gpumodels:stop-all-here');
  expect(info.mock.calls.flat()).toEqual([
    'No idle kernel holds GPU memory.',
    'This notebook has no running model.'
  ]);
});

test('a failure is reported, and the other models are still stopped', async () => {
  const error = jest.spyOn(Notification, 'error').mockReturnValue('');
  const { commands, api, notebooks } = made();
  api.stop.mockRejectedValueOnce(new ApiError({ kind: 'failed', message: 'Docker is down.' }));
  const stopped = commands.execute('gpumodels:stop-all-here');
  (await dialog()).getByRole('button', { name: 'Stop' }).click();
  await stopped;
  expect(api.stop).toHaveBeenCalledTimes(2);
  api.state.mockRejectedValueOnce(new ApiError({ kind: 'unreachable' }));
  await commands.execute('gpumodels:sleep-all-here');
  expect(error.mock.calls.flat()).toEqual([
    'Docker is down.',
    'The Jupyter server does not answer; trying again.'
  ]);
  expect(notebooks.shutDownKernel).not.toHaveBeenCalled();
});

test('the doctor shows all checks with advice, the worst first', async () => {
  const { commands, api } = made();
  const mend = 'Install `nvidia-ctk`.';
  api.doctor.mockResolvedValue([
    { check: 'versions', status: 'ok', text: 'gpumodels 0.1', mend: '' },
    { check: 'Docker', status: 'fail', text: 'no GPU in containers', mend }
  ]);
  const shown = commands.execute('gpumodels:doctor');
  const box = await dialog();
  const checks = await box.findAllByRole('listitem');
  expect(checks[1]).toHaveTextContent('versions fine');
  expect(checks[0]).toHaveTextContent('Docker wrongno GPU in containersInstall nvidia-ctk.');
  box.getByRole('button', { name: 'Close' }).click();
  await shown;
});

test('a failure of the doctor is reported', async () => {
  const { commands, api } = made();
  api.doctor.mockRejectedValue(new ApiError({ kind: 'unreachable' }));
  const shown = commands.execute('gpumodels:doctor');
  const box = await dialog();
  expect(await box.findByRole('alert')).toHaveTextContent('does not answer');
  box.getByRole('button', { name: 'Close' }).click();
  await shown;
});
