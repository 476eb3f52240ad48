import type { IStatusBar } from '@jupyterlab/statusbar';
import { waitFor } from '@testing-library/dom';
import { Widget } from '@lumino/widgets';

import { NotebookMemory } from '../src/statusbar';
import { device, FakeFeed, FakeNotebooks, GB, share, stateOf, trans } from './fakes';

let feed: FakeFeed;
let notebooks: FakeNotebooks;
let item: NotebookMemory;
let registered: IStatusBar.IItem;
const open = jest.fn();

beforeEach(() => {
  feed = new FakeFeed();
  notebooks = new FakeNotebooks();
  item = new NotebookMemory(feed, notebooks.as(), open, trans);
  const registerStatusItem = (_: string, it: IStatusBar.IItem) => ((registered = it), item);
  item.addTo({ registerStatusItem });
  Widget.attach(item, document.body);
});

afterEach(() => item.dispose());

const busy = (memory: number) =>
  stateOf([device(0, { shares: [share(memory, { kernel_id: 'k1' })] })]);

test('the item views the feed only while it is enabled and the notebook has a kernel', () => {
  expect(feed.viewers).toBe(0);
  item.enable(true);
  expect(feed.viewers).toBe(1);
  notebooks.change({ currentKernel: '' });
  expect(feed.viewers).toBe(0);
  notebooks.change({ currentKernel: 'k1' });
  expect(feed.viewers).toBe(1);
  item.enable(false);
  expect(feed.viewers).toBe(0);
});

test('the item shows the memory of the current notebook, and in its title that of each device', async () => {
  item.enable(true);
  feed.publish(busy(3 * GB));
  await waitFor(() => expect(item.node).toHaveTextContent('GPU 3.0 GB'));
  expect(registered.isActive!()).toBe(true);
  const button = item.node.querySelector('button')!;
  expect(button.title).toContain('GPU 0: 3.0 GB');
  button.click();
  expect(open).toHaveBeenCalled();
  notebooks.change({ currentKernel: 'k2' });
  await waitFor(() => expect(item.node).toHaveTextContent('GPU 0.0 GB'));
});

test('without a GPU the item is hidden and stops viewing', () => {
  item.enable(true);
  feed.publish(stateOf([]));
  expect(feed.viewers).toBe(0);
  expect(registered.isActive!()).toBe(false);
});

test('the item stops viewing if the server has no gpumodels', () => {
  item.enable(true);
  feed.publish(null, 'missing');
  expect(feed.viewers).toBe(0);
});

test('the item is hidden while the state may be out of date', () => {
  item.enable(true);
  feed.publish(busy(GB));
  expect(registered.isActive!()).toBe(true);
  feed.publish(feed.state, 'lost');
  expect(registered.isActive!()).toBe(false);
  expect(feed.viewers).toBe(1);
});

test('an item that is disposed of stops viewing', () => {
  item.enable(true);
  item.dispose();
  expect(feed.viewers).toBe(0);
});
