import { act, render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import * as React from 'react';

import { ApiError } from '../src/api';
import { LoadForm } from '../src/form';
import { LoadFormView } from '../src/loadform';
import { OPTIONS } from '../src/options';
import type { Catalog } from '../src/state';
import { device, FakeFeed, FakeNotebooks, GB, stateOf, trans } from './fakes';

const CATALOG: Catalog = {
  models: [
    {
      name: 'ctpn',
      summary: 'Finds lines of text in pictures',
      memory: 4 * GB,
      folder: '',
      trouble: ''
    },
    { name: 'echo', summary: 'Gives back what it is given', memory: 0, folder: '', trouble: '' },
    { name: 'torn', summary: '', memory: 0, folder: '', trouble: 'model.toml: no entry.' }
  ],
  engines: ['auto', 'docker', 'process']
};

async function shown(catalog = () => Promise.resolve(CATALOG)) {
  const [feed, notebooks] = [new FakeFeed(), new FakeNotebooks()];
  feed.publish(stateOf([device(0, { memory_free: GB })]));
  const form = new LoadForm({ catalog }, notebooks.as(), trans);
  const { container } = render(<LoadFormView form={form} feed={feed} />);
  await waitFor(() => expect(form.catalog ?? form.outcome).toBeTruthy());
  const user = userEvent.setup();
  const line = () => container.querySelector('code')!.textContent;
  return { feed, notebooks, form, user, line };
}

const search = () => screen.getByRole('searchbox', { name: 'Search models' });
const load = () => screen.getByRole('button', { name: 'Load' });

test('a model is found by its summary, and the line has all chosen options', async () => {
  const { user, line, notebooks } = await shown();
  expect(load()).toBeDisabled();
  await user.type(search(), 'TEXT pict');
  expect(screen.getAllByRole('radio')).toHaveLength(1);
  expect(screen.getByRole('radio', { name: 'ctpn' })).toBeChecked();
  await user.selectOptions(screen.getByRole('combobox', { name: 'GPU' }), 'GPU 0, 1.0 GB free');
  await user.selectOptions(screen.getByRole('combobox', { name: 'Engine' }), 'process');
  await user.type(screen.getByRole('combobox', { name: 'Sleep when idle for' }), '10m');
  expect(line()).toBe('%load_model ctpn --gpu 0 --engine process --idle 10m');
  expect(screen.getByRole('status')).toHaveTextContent('ctpn needs 4.0 GB, and GPU 0 has 1.0 GB');
  await user.click(load());
  expect(notebooks.load).toHaveBeenCalledWith(line());
  expect(screen.getByRole('status')).toHaveTextContent('signs.ipynb runs it.');
});

test('a model can be loaded by the keyboard alone', async () => {
  const { user, notebooks } = await shown();
  await user.click(search());
  await user.keyboard('echo{Enter}');
  expect(notebooks.load).toHaveBeenCalledWith('%load_model echo');
});

test('a path can be loaded', async () => {
  const { user, line } = await shown();
  await user.type(search(), './my models/one');
  expect(line()).toBe("%load_model './my models/one'");
});

test('a search without a result reports that, and keeps the chosen model', async () => {
  const { user, line } = await shown();
  await user.click(screen.getByRole('radio', { name: 'echo' }));
  await user.type(search(), 'nothing');
  expect(screen.getByText('No model of that name.')).toBeVisible();
  expect(line()).toBe('%load_model echo');
});

test('a model that cannot be loaded shows the reason and cannot be chosen', async () => {
  await shown();
  expect(screen.getByRole('radio', { name: 'torn' })).toBeDisabled();
  expect(screen.getByText('model.toml: no entry.')).toBeVisible();
});

test('an idle time that is not valid is reported before the line is run', async () => {
  const { user } = await shown();
  await user.click(screen.getByRole('radio', { name: 'echo' }));
  await user.type(screen.getByRole('combobox', { name: 'Sleep when idle for' }), 'soon');
  expect(screen.getByRole('status')).toHaveTextContent('such as 90s, 10m, 2h or never');
  expect(load()).toBeDisabled();
});

test('every other option is under "more options" with its help, and appears in the line', async () => {
  const { user, line } = await shown();
  await user.click(screen.getByRole('radio', { name: 'echo' }));
  await user.click(screen.getByText('More options'));
  await user.click(screen.getByRole('checkbox', { name: 'Share' }));
  await user.click(screen.getByRole('checkbox', { name: 'No cache' }));
  await user.type(screen.getByRole('combobox', { name: 'Timeout' }), '30m');
  await user.type(screen.getByRole('textbox', { name: 'Env' }), 'A=1{Enter}B=two words');
  expect(line()).toBe(
    "%load_model echo --timeout 30m --env A=1 --env 'B=two words' --share --no-cache"
  );
  expect(screen.getByRole('checkbox', { name: 'Share' })).toHaveAccessibleDescription(
    'Use a running instance of the same model, also of another notebook.'
  );
  await user.click(screen.getByRole('checkbox', { name: 'Share' }));
  await user.type(screen.getByRole('textbox', { name: 'Replicas' }), 'two');
  expect(screen.getByRole('status')).toHaveTextContent('Replicas is a whole number.');
  expect(screen.getByRole('textbox', { name: 'Replicas' })).toBeInvalid();
  expect(load()).toBeDisabled();
});

test('every option has a field', async () => {
  const { form } = await shown();
  const fields = [...document.querySelectorAll('label input:not([type=radio]), select, textarea')];
  expect(fields).toHaveLength(OPTIONS.length);
  expect(form.request).toBeNull();
});

test('an obstacle is shown until it is gone', async () => {
  const { user, notebooks } = await shown();
  await user.click(screen.getByRole('radio', { name: 'echo' }));
  const obstacle = 'The kernel of signs.ipynb is not ready yet.';
  act(() => notebooks.change({ obstacle }));
  expect(screen.getByRole('status')).toHaveTextContent(obstacle);
  expect(load()).toBeDisabled();
  act(() => notebooks.change({ obstacle: '' }));
  expect(load()).toBeEnabled();
});

test('if no notebook is open, one can be made', async () => {
  const { user, notebooks } = await shown();
  expect(screen.queryByRole('button', { name: 'New notebook' })).toBeNull();
  notebooks.canMake = true;
  await user.click(screen.getByRole('radio', { name: 'echo' }));
  await user.click(screen.getByRole('button', { name: 'New notebook' }));
  expect(notebooks.make).toHaveBeenCalled();
  expect(notebooks.load).not.toHaveBeenCalled();
});

test('a line that could not be run is an alert until the next choice', async () => {
  const { user, notebooks } = await shown();
  notebooks.load.mockRejectedValueOnce(new Error('signs.ipynb has no kernel.'));
  await user.click(screen.getByRole('radio', { name: 'echo' }));
  await user.click(load());
  expect(screen.getByRole('alert')).toHaveTextContent('signs.ipynb has no kernel.');
  await user.click(screen.getByRole('radio', { name: 'ctpn' }));
  expect(screen.queryByRole('alert')).toBeNull();
});

test('a line that is being inserted is not inserted twice', async () => {
  const { user, notebooks } = await shown();
  let arrive: (notebook: string) => void = () => undefined;
  notebooks.load.mockReturnValueOnce(new Promise(resolve => (arrive = resolve)));
  await user.click(screen.getByRole('radio', { name: 'echo' }));
  await user.click(load());
  expect(load()).toBeDisabled();
  arrive('signs.ipynb');
  await waitFor(() => expect(load()).toBeEnabled());
  expect(notebooks.load).toHaveBeenCalledTimes(1);
});

test('a double click loads once', async () => {
  const { user, notebooks } = await shown();
  await user.click(screen.getByRole('radio', { name: 'echo' }));
  for (let click = 0; click < 2; click++) {
    await user.click(load());
    await waitFor(() => expect(load()).toBeEnabled());
  }
  expect(notebooks.load).toHaveBeenCalledTimes(1);
});

test('the reason is shown if the catalog cannot be read', async () => {
  await shown(() => Promise.reject(new ApiError({ kind: 'failed', message: 'A file is broken.' })));
  expect(screen.getByRole('alert')).toHaveTextContent('A file is broken.');
});

test('a command chooses options, and moves the focus to the form', async () => {
  const { form, line } = await shown();
  await act(async () => Promise.resolve(form.prefill({ model: 'ctpn', gpu: '0,1' })));
  expect(search()).toHaveFocus();
  expect(line()).toBe('%load_model ctpn --gpu 0,1');
});
