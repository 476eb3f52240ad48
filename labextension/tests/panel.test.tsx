import { screen, waitFor, within } from '@testing-library/react';

import { aDevice, aKernel, aLoad, aModel, aShare, byId, MOMENT, table } from './samples';
import { GB, trans } from './fakes';
import { json } from './sockets';
import { PanelPage } from './panelpage';
import type { State } from '../src/state';

let page: PanelPage;

afterEach(async () => {
  await page.dispose();
  jest.useRealTimers();
});

async function show(of: Partial<State> = {}): Promise<PanelPage> {
  page = await PanelPage.with(of);
  return page;
}

/** Return the promise of an answer, and a function with which the test gives the answer. */
function later(): { promise: Promise<Response>; answer: (response: Response) => void } {
  let answer!: (response: Response) => void;
  const promise = new Promise<Response>(resolve => (answer = resolve));
  return { promise, answer };
}

const DONE = (): Response => new Response(null, { status: 204 });

describe('the panel', () => {
  test('views the feed only while it is visible, and keeps the typed text', async () => {
    await show();
    expect(page.feed.viewers).toBe(1);
    page.get('textbox', 'what is typed').focus();
    await page.type('ctpn');
    await page.do(() => page.panel.hide());
    expect(page.feed.viewers).toBe(0);
    await page.publish({ models: {} });
    await page.do(() => page.panel.show());
    expect(page.feed.viewers).toBe(1);
    expect(page.get('textbox', 'what is typed')).toHaveValue('ctpn');
    expect(page.section('Models')).toHaveTextContent('No model is running');
  });

  test('does not change while it is hidden', async () => {
    await show();
    await page.do(() => page.panel.hide());
    await page.publish({ models: {} });
    expect(page.panel.node).not.toHaveTextContent('No model is running');
  });

  test('shows its parts in order, and folds them', async () => {
    await show({ loads: byId([aLoad('l1', { failed: 'no' })]) });
    await page.publish({ devices: table([aDevice(0, { shares: [kernelShare()] })], d => d.uuid) });
    const parts = within(page.panel.node).getAllByRole('region');
    const names = ['GPUs', 'Models', 'Failed loads', 'Idle kernels', 'Load a model'];
    expect(parts.map(part => part.getAttribute('aria-label'))).toEqual(names);
    await page.click('Models');
    expect(page.get('button', 'Models')).toHaveAttribute('aria-expanded', 'false');
    expect(page.query('group', 'signs.ipynb (this notebook)')).toBeNull();
  });
});

describe('troubles', () => {
  const past = (): HTMLElement | null => document.querySelector<HTMLElement>('.gpumodels-mod-past');

  test('if the server does not answer, the panel reports that, and shows the last state disabled', async () => {
    await show();
    await page.publish({}, 'lost');
    expect(page.panel.node.querySelector('[role=alert]')).toHaveTextContent(
      /^The Jupyter server does not answer; trying again\. What is below was so at .+\.$/
    );
    expect(past()!.inert).toBe(true);
    await page.publish({}, 'live');
    expect(past()).toBeNull();
    expect(page.panel.node.querySelector('[role=alert]')).toBeNull();
  });

  test.each([
    ['missing', 'jupyter server extension enable gpumodels'],
    ['refused', 'log in again']
  ] as const)('a server that is %s shows nothing but what to do', async (connection, said) => {
    await show();
    await page.publish({}, connection);
    expect(screen.getByRole('alert')).toHaveTextContent(said);
    expect(within(page.panel.node).queryAllByRole('region')).toEqual([]);
  });

  test('before the first answer the panel reports that it waits', async () => {
    page = new PanelPage();
    await page.do(() => page.feed.publish(null, 'connecting'));
    const { Widget } = await import('@lumino/widgets');
    await page.do(() => Widget.attach(page.panel, document.body));
    expect(page.panel.node).toHaveTextContent('Asking the Jupyter server…');
  });

  test('a state that cannot be read is reported', async () => {
    await show();
    page.feed.trouble = 'The runtime directory is on NFS.';
    await page.publish({});
    expect(screen.getByRole('alert')).toHaveTextContent('The runtime directory is on NFS.');
  });

  test('without a GPU or Docker the panel shows the reason, and what still works', async () => {
    await show({ devices: {}, trouble: 'no driver is installed', docker: 'it is not running.' });
    expect(page.section('GPUs')).toHaveTextContent(
      'No GPU: no driver is installed. Models run on the CPU.'
    );
    expect(page.panel.node).toHaveTextContent(
      'Docker cannot be used: it is not running. Until it can, models run as local processes.'
    );
  });
});

describe('a GPU', () => {
  test('shows its readings and the holders of its memory', async () => {
    const shares = [
      aShare({ memory: 10 * GB }),
      aShare({ kind: 'kernel', name: 'train.ipynb', notebook: 'b/train.ipynb', memory: 2e9 }),
      aShare({ kind: 'others', name: 'others', notebook: '', memory: 3e8, over_limit: true })
    ];
    await show({ devices: table([aDevice(0, { shares })], d => d.uuid) });
    const card = within(page.get('article', 'GPU 0 NVIDIA H100'));
    expect(card.getByRole('img', { name: /^12\.3 GB of 80\.0 GB in use/ })).toHaveAccessibleName(
      '12.3 GB of 80.0 GB in use: echo · signs.ipynb 10.0 GB, train.ipynb 2.0 GB, ' +
        'other users · over its memory limit 300 MB'
    );
    expect(card.getByText('37 % busy')).toBeVisible();
    expect(card.getByText('54 °C')).toBeVisible();
    expect(card.getByText('312 of 700 W')).toBeVisible();
    expect(
      within(card.getByRole('list', { name: 'Memory of GPU 0 by holder' })).getAllByRole('listitem')
    ).toHaveLength(3);
  });

  test('shows which readings are not available, and its trouble', async () => {
    const silent = { utilisation: null, temperature: null, power: null, memory_used: null };
    const lost = { trouble: 'it fell off the bus', name: '' };
    const devices = [aDevice(0, silent), aDevice(1, lost), aDevice(2, { allowed: false })];
    await show({ devices: table(devices, d => d.uuid) });
    const first = page.get('article', 'GPU 0 NVIDIA H100');
    expect(first).toHaveTextContent('? GB of 80.0 GB utilisation not available');
    expect(first).not.toHaveTextContent('null');
    expect(page.get('article', 'GPU 1')).toHaveTextContent('it fell off the bus');
    expect(page.get('article', 'GPU 2 NVIDIA H100')).toHaveTextContent('not allowed by your');
  });

  test('is followed by its slices, in whichever order they are read', async () => {
    const slice = (n: number): Partial<State['devices'][string]> => ({
      uuid: `MIG-${n}`,
      label: `GPU 0:${n}`,
      slice_index: n,
      parent: 'GPU-0',
      utilisation: null
    });
    const devices = [
      aDevice(1),
      aDevice(0, slice(1)),
      aDevice(0, { sliced: true }),
      aDevice(0, slice(0))
    ];
    await show({ devices: table(devices, d => d.uuid) });
    const names = within(page.section('GPUs')).getAllByRole('article');
    expect(names.map(card => card.getAttribute('aria-label')!.split(' N')[0])).toEqual([
      'GPU 0',
      'GPU 0:0',
      'GPU 0:1',
      'GPU 1'
    ]);
    expect(names[0]).toHaveTextContent('MIG mode: use a slice');
    expect(names[1]).not.toHaveTextContent('not available');
  });

  test('has a line of the last minutes, with a gap for the time without a viewer', async () => {
    await show();
    const line = (): NodeListOf<Element> =>
      page.get('article', 'GPU 0 NVIDIA H100').querySelectorAll('polyline');
    for (const seconds of [1, 2, 40, 41]) {
      await page.publish({ moment: MOMENT + seconds });
    }
    expect(line()).toHaveLength(2);
    await page.publish({ moment: MOMENT + 200 });
    expect(line()).toHaveLength(2);
    await page.publish({ moment: MOMENT + 300 });
    expect(page.get('article', 'GPU 0 NVIDIA H100')).toContainElement(
      within(page.get('article', 'GPU 0 NVIDIA H100')).getByRole('img', {
        name: 'Utilisation of the last minutes; now 37 %'
      })
    );
  });
});

describe('models', () => {
  test('are grouped: this notebook, other notebooks, processes', async () => {
    await show({
      models: byId([
        aModel('m1', { notebook: '', kernel_id: '', pid: 9 }),
        aModel('m2', { notebook: 'a/z.ipynb' }),
        aModel('m3', { notebook: 'b.ipynb' }),
        aModel('m4')
      ])
    });
    const order = ['signs.ipynb (this notebook)', 'b.ipynb', 'z.ipynb', 'process 9'];
    expect(page.groups()).toEqual(order);
    await page.do(() => {
      page.actions.currentNotebook = 'a/z.ipynb';
      page.actions.currentChanged.emit();
    });
    expect(page.groups()[0]).toBe('z.ipynb (this notebook)');
  });

  test('show their state, readings and owner', async () => {
    const work = { ...aModel('m').activity!, running: 2, waiting: 1, per_second: 12.3 };
    await show({
      models: byId([
        aModel('m1'),
        aModel('m2', { idle_since: null, activity: work }),
        aModel('m3', { device: 'CPU', memory: null, activity: null, idle_since: null }),
        aModel('m4', { state: 'kept', kept_since: '2025-10-09T08:53:20+00:00' }),
        aModel('m5', {
          state: 'asleep',
          memory: null,
          freed: 3 * GB,
          asleep_since: '2025-10-09T08:53:40+00:00',
          idle_since: null,
          activity: null
        }),
        aModel('m6', { over_since: '2025-10-09T08:53:20+00:00' })
      ])
    });
    const rows = page.rows('Models').map(row => row.textContent);
    expect(rows[0]).toBe('echoreadyGPU 0 12.3 GB idle 1 min 0.5 calls/s');
    expect(rows[1]).toContain('GPU 0 12.3 GB 2 calls run 1 call waits 12 calls/s');
    expect(rows[2]).toBe('echoreadyCPU');
    expect(rows[3]).toMatch(/^echokeptGPU 0 12.3 GB since .* idle 1 min/);
    expect(rows[4]).toBe('echoasleepGPU 0 3.0 GB given back for 1 min');
    expect(rows[5]).toContain('Over its memory limit since');
  });

  test("count their idle time by the server's clock, and nothing else is drawn meanwhile", async () => {
    jest.useFakeTimers();
    await show({ models: byId([aModel('m1', { idle_since: MOMENT - 3 })]) });
    const [row] = page.rows('Models');
    expect(row).toHaveTextContent('idle 3 s');
    const drawn = jest.spyOn(trans, '_n');
    await page.tick();
    await page.tick();
    expect(row).toHaveTextContent('idle 5 s');
    expect(drawn).not.toHaveBeenCalled();
    await page.do(() => page.panel.hide());
    await page.tick();
    expect(row).toHaveTextContent('idle 5 s');
  });

  test('that have not changed are not drawn again', async () => {
    await show();
    const drawn = jest.spyOn(trans, '__');
    const models = { ...page.feed.state!.models, m1: aModel('m1', { memory: 5 * GB }) };
    await page.publish({ models });
    expect(page.rows('Models')[0]).toHaveTextContent('5.0 GB');
    const calls = drawn.mock.calls.filter(([text]) => text === 'idle %1');
    expect(calls).toHaveLength(1);
    drawn.mockRestore();
  });

  test('can be stopped: the row shows it, the button is disabled, and a screen reader is notified', async () => {
    await show({ models: byId([aModel('m1')]) });
    const { promise, answer } = later();
    page.server.answers['DELETE models/m1'] = promise;
    await page.click('Stop echo');
    const [row] = page.rows('Models');
    expect(row).toHaveTextContent('stopping…');
    expect(row).toHaveAttribute('aria-busy', 'true');
    expect(page.get('button', 'Stop echo')).toHaveAttribute('aria-disabled', 'true');
    await page.click('Stop echo');
    await page.do(() => answer(DONE()));
    expect(row).toHaveTextContent('stopping…');
    await page.nextReading({ models: {} });
    await waitFor(() => expect(page.panel.node).toHaveTextContent('echo has stopped.'));
    expect(row).not.toBeInTheDocument();
    expect(page.server.requests).toEqual(['DELETE models/m1']);
  });

  test('that were stopped elsewhere meanwhile cause no error', async () => {
    await show({ models: byId([aModel('m1')]) });
    page.server.answers['DELETE models/m1'] = json({ message: 'none has that id' }, 404);
    await page.click('Stop echo');
    await page.nextReading({ models: {} });
    await waitFor(() => expect(page.panel.node).toHaveTextContent('echo has stopped.'));
    expect(screen.queryByRole('alert')).toBeNull();
  });

  test('that cannot be stopped show the reason until the next attempt', async () => {
    await show({ models: byId([aModel('m1')]) });
    page.server.answers['DELETE models/m1'] = json({ message: 'Docker does not answer.' }, 503);
    await page.click('Stop echo');
    expect(await screen.findByRole('alert')).toHaveTextContent('Docker does not answer.');
    const { promise } = later();
    page.server.answers['DELETE models/m1'] = promise;
    await page.click('Stop echo');
    expect(screen.queryByRole('alert')).toBeNull();
  });

  test('can be put to sleep, and woken if this server can wake them', async () => {
    const asleep = { state: 'asleep', asleep_since: '2025-10-09T08:53:40+00:00' } as const;
    await show({ models: byId([aModel('m1'), aModel('m2', { ...asleep, name: 'far' })]) });
    page.server.answers['POST models/m1/sleep'] = DONE();
    await page.click('Put echo to sleep');
    await page.nextReading({ models: byId([aModel('m1', { ...asleep, can_wake: true })]) });
    expect(page.query('button', 'Put echo to sleep')).toBeNull();
    page.server.answers['POST models/m1/wake'] = json({ waits: true }, 202);
    await page.click('Wake echo');
    expect(await screen.findByText(/when the cell that runs/)).toBeVisible();
    await page.nextReading({ models: byId([aModel('m1')]) });
    expect(screen.queryByText(/when the cell that runs/)).toBeNull();
    expect(page.query('button', 'Wake echo')).toBeNull();
    expect(page.server.requests).toEqual(['POST models/m1/sleep', 'POST models/m1/wake']);
  });

  test('that sleep have no log, and stop after the cell that runs in their notebook', async () => {
    await show({ models: byId([aModel('m1', { state: 'asleep' })]) });
    expect(page.query('button', 'Logs of echo')).toBeNull();
    page.server.answers['DELETE models/m1'] = json({ waits: true }, 202);
    await page.click('Stop echo');
    await page.nextReading();
    expect(await screen.findByText(/^It stops when the cell that runs/)).toBeVisible();
    expect(page.panel.node).not.toHaveTextContent('echo has stopped.');
  });

  test('of another server cannot be woken', async () => {
    await show({ models: byId([aModel('m1', { state: 'asleep', can_wake: false })]) });
    expect(page.query('button', 'Wake echo')).toBeNull();
  });

  test('show their log, read it again, and close it with Escape', async () => {
    await show({ models: byId([aModel('m1')]) });
    page.server.answers['GET models/m1/logs'] = json({ lines: ['one', 'two'] });
    await page.click('Logs of echo');
    const log = await screen.findByRole('log', { name: 'What echo printed' });
    await waitFor(() => expect(log.textContent).toBe('one\ntwo'));
    expect(log.tabIndex).toBe(0);
    page.server.answers['GET models/m1/logs'] = json({ message: 'It has gone.' }, 404);
    await page.click('Read the log of echo again');
    await waitFor(() => expect(log).toHaveTextContent('It has gone.'));
    log.focus();
    await page.type('{Escape}');
    expect(screen.queryByRole('log')).toBeNull();
    expect(page.get('button', 'Logs of echo')).toHaveFocus();
  });

  test('have a link to their notebook, but not to a script or to a notebook of another server', async () => {
    const script = aModel('m2', { notebook: '/bin/pytest', kernel_id: '' });
    const elsewhere = aModel('m3', { notebook: 'far.ipynb', kernel_id: 'of another server' });
    await show({ models: byId([aModel('m1'), script, elsewhere]) });
    await page.click('Go to signs.ipynb');
    expect(page.actions.goToNotebook).toHaveBeenCalledWith('a/signs.ipynb');
    expect(within(page.panel.node).getAllByRole('button', { name: /^Go to/ })).toHaveLength(1);
  });

  test('that vanish pass the focus to the row in their place, and the last one to the part around it', async () => {
    const named = ['a', 'b', 'c'].map(name => aModel(name, { name }));
    await show({ models: byId(named) });
    page.get('button', 'Stop b').focus();
    await page.publish({ models: byId([named[0], named[2]]) });
    await waitFor(() => expect(page.get('button', 'Put c to sleep')).toHaveFocus());
    await page.publish({ models: byId([named[0]]) });
    await waitFor(() => expect(page.get('button', 'Put a to sleep')).toHaveFocus());
    await page.publish({ models: {} });
    await waitFor(() => expect(page.section('Models')).toHaveFocus());
  });

  test('keep the focus in their row when a button vanishes', async () => {
    await show({ models: byId([aModel('m1'), aModel('m2')]) });
    const [, row] = page.rows('Models');
    within(row).getByRole('button', { name: 'Put echo to sleep' }).focus();
    const asleep = aModel('m2', { state: 'asleep', can_wake: true });
    await page.publish({ models: byId([aModel('m1'), asleep]) });
    await waitFor(() =>
      expect(within(row).getByRole('button', { name: 'Wake echo' })).toHaveFocus()
    );
  });

  test('that vanish do not take the focus from other elements', async () => {
    await show();
    page.get('button', 'Go to train.ipynb').focus();
    const elsewhere = document.body.appendChild(document.createElement('input'));
    elsewhere.focus();
    await page.publish({ models: {} });
    await page.settled();
    expect(elsewhere).toHaveFocus();
  });
});

describe('a load in progress', () => {
  test('shows its progress, in place of the models that it starts', async () => {
    await show({
      models: byId([aModel('m1'), aModel('m2', { state: 'loading', name: 'ctpn' })]),
      loads: byId([aLoad('l1', { instances: ['m2'] })])
    });
    const bar = page.get('progressbar', 'Loading ctpn');
    expect(bar).toHaveAttribute('aria-valuenow', '40');
    expect(bar).toHaveAttribute('aria-valuetext', 'building the image');
    expect(page.rows('Models')).toHaveLength(2);
    expect(page.rows('Models')[0]).toHaveTextContent('building the image');
    await page.publish({ loads: byId([aLoad('l1', { instances: ['m2'], fraction: null })]) });
    expect(page.get('progressbar', 'Loading ctpn')).not.toHaveAttribute('aria-valuenow');
    await page.publish({ loads: {} });
    expect(page.rows('Models')[1]).toHaveTextContent('ctpnloading…');
  });

  test('is stopped by stopping its models; before there are any, the server cancels it', async () => {
    const said = 'Interrupt signs.ipynb to stop this load.';
    await show({ models: {}, loads: byId([aLoad('l1')]) });
    page.server.answers['DELETE loads/l1'] = json({ message: said }, 409);
    await page.click('Stop loading ctpn');
    expect(await screen.findByRole('alert')).toHaveTextContent(said);
    await page.publish({
      models: byId([aModel('m1', { state: 'asleep' }), aModel('m2', { state: 'loading' })]),
      loads: byId([aLoad('l1', { instances: ['m1', 'm2'] })])
    });
    page.server.answers['DELETE models/m2'] = DONE();
    await page.click('Stop loading ctpn');
    await page.nextReading({ loads: {} });
    await waitFor(() => expect(page.panel.node).toHaveTextContent('The load of ctpn was stopped.'));
    expect(page.server.requests).toEqual(['DELETE loads/l1', 'DELETE models/m2']);
  });
});

describe('failed loads', () => {
  test('stay visible with their reason and log until they are dismissed, the newest first', async () => {
    const old = aLoad('l1', {
      failed: 'No space.',
      model: 'old',
      began: '2025-10-08T08:00:00+00:00'
    });
    const recent = aLoad('l2', { failed: 'Bad spec.', log: ['Traceback', 'KeyError'] });
    await show({ loads: byId([old, recent]) });
    expect(page.rows('Failed loads').map(row => row.textContent)).toEqual([
      expect.stringMatching(/^ctpnsigns\.ipynb .*Bad spec\.$/),
      expect.stringMatching(/^oldsigns\.ipynb .*No space\.$/)
    ]);
    await page.click('Log of ctpn');
    expect(screen.getByRole('log')).toHaveTextContent('Traceback KeyError');
    page.server.answers['DELETE loads/l2'] = DONE();
    await page.click('Dismiss ctpn');
    expect(page.server.requests).toEqual(['DELETE loads/l2']);
    await page.nextReading({ loads: {} });
    expect(page.query('region', 'Failed loads')).toBeNull();
  });

  test('are loaded again by their line; without a notebook the panel shows why not', async () => {
    await show({ loads: byId([aLoad('l1', { failed: 'No space.' })]) });
    page.actions.load.mockRejectedValueOnce(new Error('No notebook is open.'));
    await page.click('Load ctpn again');
    expect(await screen.findByRole('alert')).toHaveTextContent(/^No notebook is open\.$/);
    await page.click('Load ctpn again');
    expect(page.actions.load).toHaveBeenLastCalledWith('%load_model ctpn');
  });
});

function kernelShare(of: Partial<ReturnType<typeof aShare>> = {}): ReturnType<typeof aShare> {
  const named = { kind: 'kernel', name: 'train.ipynb', notebook: 'train.ipynb' } as const;
  return aShare({ ...named, instance: '', kernel_id: 'k2', memory: 7 * GB, ...of });
}

describe('idle kernels that hold memory', () => {
  const holding = (...kernels: string[]): State['devices'] =>
    table(
      [0, 1].map(n =>
        aDevice(n, { shares: kernels.map(kernel_id => kernelShare({ kernel_id, memory: 2e9 })) })
      ),
      d => d.uuid
    );

  test('are shown with all their memory when they have been idle for some seconds', async () => {
    jest.useFakeTimers();
    const kernels = byId([
      aKernel('k1', { idle_since: MOMENT - 3 }),
      aKernel('k2', { notebook: 'train.ipynb' }),
      aKernel('k3', { state: 'busy', idle_since: null }),
      aKernel('k4')
    ]);
    await show({ devices: holding('k1', 'k2', 'k3', 'of another server'), kernels });
    expect(page.rows('Idle kernels').map(row => row.textContent)).toEqual([
      'train.ipynbShut down kernelholds 4.0 GB idle 1 min'
    ]);
    await page.tick();
    await page.tick();
    expect(page.rows('Idle kernels')).toHaveLength(2);
    await page.publish({ kernels: {} });
    expect(page.query('region', 'Idle kernels')).toBeNull();
  });

  test('have the memory on slices of a GPU in MIG mode counted once', async () => {
    const shares = [kernelShare({ memory: 2e9 })];
    const slice = { uuid: 'MIG-0', parent: 'GPU-0', slice_index: 0, shares };
    const devices = [aDevice(0, { sliced: true, shares }), aDevice(0, slice)];
    await show({ devices: table(devices, d => d.uuid) });
    expect(page.rows('Idle kernels')[0]).toHaveTextContent('holds 2.0 GB');
  });

  test('are shut down after a confirmation that lists their models', async () => {
    await show({ devices: holding('k2') });
    // jsdom treats a dialog as hidden: it shows one by its attribute, and not by its style.
    const dialog = async (): Promise<HTMLElement> => screen.findByRole('dialog', { hidden: true });
    const press = async (name: string): Promise<void> =>
      page.user.click(within(await dialog()).getByRole('button', { name, hidden: true }));
    await page.click('Shut down kernel of train.ipynb');
    expect(await dialog()).toHaveTextContent('Shut down the kernel of train.ipynb?');
    expect(await dialog()).toHaveTextContent('Its models end with it: echo.');
    await press('Cancel');
    await waitFor(() => expect(screen.queryByRole('dialog', { hidden: true })).toBeNull());
    expect(page.actions.shutDownKernel).not.toHaveBeenCalled();
    await page.click('Shut down kernel of train.ipynb');
    await press('Shut Down');
    await waitFor(() => expect(page.actions.shutDownKernel).toHaveBeenCalledWith('k2'));
  });
});

test('holders have the colours of the server', async () => {
  const shares = [
    aShare({ instance: 'm1', colour: '#123456' }),
    aShare({ instance: 'm2', colour: '#654321' })
  ];
  await show({ devices: table([aDevice(0, { shares })], d => d.uuid) });
  const card = page.get('article', 'GPU 0 NVIDIA H100');
  const [bar, legend] = ['.gpumodels-Memory > span', '.gpumodels-Legend i'].map(selector =>
    [...card.querySelectorAll<HTMLElement>(selector)].map(part => part.style.backgroundColor)
  );
  expect(bar).toEqual(['rgb(18, 52, 86)', 'rgb(101, 67, 33)']);
  expect(legend).toEqual(bar);
});
