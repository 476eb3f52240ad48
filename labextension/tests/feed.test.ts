import { Feed } from '../src/feed';
import { FakeServer, FakeSocket, json } from './sockets';
import { aState } from './samples';

const SILENCE = 12000;

let server: FakeServer;
let feed: Feed;

beforeEach(() => {
  jest.useFakeTimers({ now: 1_000_000 });
  FakeSocket.made.length = 0;
  FakeSocket.forbidden = false;
  server = new FakeServer();
  feed = new Feed(server.api);
});

afterEach(() => {
  feed.dispose();
  hide(false);
  jest.useRealTimers();
});

async function after(milliseconds: number): Promise<void> {
  await jest.advanceTimersByTimeAsync(milliseconds);
}

function hide(hidden: boolean): void {
  Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}

function answerState(answer: () => unknown): void {
  Object.defineProperty(server.answers, 'GET state', { get: answer, configurable: true });
}

/** Add a viewer and send the first snapshot. */
async function live(): Promise<FakeSocket> {
  feed.view();
  await after(0);
  FakeSocket.last.open().receive({ type: 'snapshot', state: aState({ moment: 1000 }) });
  return FakeSocket.last;
}

test('nobody looks and nothing is asked', async () => {
  await after(60_000);
  expect(FakeSocket.made).toHaveLength(0);
  expect(server.requests).toEqual([]);
});

test('it listens below the base URL, with the token where Jupyter would', async () => {
  await live();
  expect(FakeSocket.last.url).toBe('ws://here/user/me/gpumodels/api/feed?token=a%20b');
});

test('a snapshot and then changes are one state, in which what has not changed is the same object', async () => {
  const changed = jest.fn();
  feed.stateChanged.connect(changed);
  const socket = await live();
  expect(feed.connection).toBe('live');
  const before = feed.state!;
  socket.receive({
    type: 'change',
    moment: 1001,
    change: {
      docker: 'it is down',
      models: { m1: { ...before.models.m1, memory: 5 }, m3: { ...before.models.m2, id: 'm3' } },
      devices: { 'GPU-1': null },
      events: [{ event: 'slept' }]
    }
  });
  const later = feed.state!;
  expect(later).toMatchObject({ moment: 1001, docker: 'it is down', trouble: before.trouble });
  expect(later.models.m1.memory).toBe(5);
  expect(later.models.m2).toBe(before.models.m2);
  expect(Object.keys(later.models)).toEqual(['m1', 'm2', 'm3']);
  expect(Object.keys(later.devices)).toEqual(['GPU-0']);
  expect(later.devices['GPU-0']).toBe(before.devices['GPU-0']);
  expect(later.kernels).toBe(before.kernels);
  expect(later.events).toHaveLength(1);
  expect(changed).toHaveBeenCalledTimes(2);
});

test('a second snapshot keeps the objects of what is as it was', async () => {
  const socket = await live();
  const before = feed.state!;
  const next = aState({ moment: 1005 });
  socket.receive({ type: 'snapshot', state: { ...next, models: { m2: next.models.m2 } } });
  expect(feed.state!.devices).toBe(before.devices);
  expect(feed.state!.models.m2).toBe(before.models.m2);
  expect(Object.keys(feed.state!.models)).toEqual(['m2']);
});

test('messages of a type that it does not know are no trouble', async () => {
  const socket = await live();
  socket.receive({ type: 'weather' });
  expect(feed.connection).toBe('live');
});

test('what the server cannot read is said until it can', async () => {
  const socket = await live();
  socket.receive({ type: 'trouble', message: 'The disk does not answer.' });
  expect(feed).toMatchObject({ connection: 'live', trouble: 'The disk does not answer.' });
  socket.receive({ type: 'snapshot', state: aState() });
  expect(feed.trouble).toBe('');
});

test("the server's clock goes on between its messages", async () => {
  await live();
  await after(3000);
  expect(feed.now()).toBeCloseTo(1003);
});

test('a server that falls silent is asked anew', async () => {
  const socket = await live();
  await after(SILENCE - 1000);
  socket.receive({ type: 'alive', moment: 1011 });
  await after(SILENCE - 1000);
  expect(FakeSocket.made).toHaveLength(1);
  await after(1000 + 500);
  expect(FakeSocket.made).toHaveLength(2);
  expect(feed.connection).toBe('connecting');
  expect(feed.state).not.toBeNull();
});

test('a server that is restarted is found again, and its snapshot is taken', async () => {
  answerState(() => new Error('refused'));
  (await live()).end();
  await after(500);
  FakeSocket.last.end();
  await after(0);
  expect(feed.connection).toBe('lost');
  await after(1000);
  FakeSocket.last.open().receive({ type: 'snapshot', state: aState({ moment: 2000, models: {} }) });
  expect(feed.connection).toBe('live');
  expect(feed.state!.models).toEqual({});
});

test('a server that stays away is asked less and less, every ten seconds at last', async () => {
  answerState(() => new Error('refused'));
  feed.view();
  const pauses: number[] = [];
  await after(0);
  for (let before = Date.now(); pauses.length < 8; before = Date.now()) {
    const { length } = FakeSocket.made;
    FakeSocket.last.end();
    while (FakeSocket.made.length === length) {
      await after(250);
    }
    pauses.push((Date.now() - before) / 1000);
  }
  expect(pauses).toEqual([1, 2, 4, 8, 10, 10, 10, 10]);
});

test('where WebSockets are buffered on their way, it asks every two seconds, and tries them again each minute', async () => {
  let moment = 1000;
  answerState(() => json(aState({ moment: moment++ })));
  feed.view();
  await after(0);
  FakeSocket.last.open();
  await after(5000 + 1000 + 5000);
  expect(FakeSocket.made).toHaveLength(2);
  expect(feed.connection).toBe('polling');
  server.requests.length = 0;
  await after(20_000);
  expect(server.requests).toEqual(Array(10).fill('GET state'));
  expect(feed.state!.moment).toBe(moment - 1);
  await after(40_000);
  expect(FakeSocket.made).toHaveLength(3);
  FakeSocket.last.open().receive({ type: 'snapshot', state: aState({ moment: 3000 }) });
  expect(feed.connection).toBe('live');
});

test('where the browser forbids WebSockets, it asks', async () => {
  FakeSocket.forbidden = true;
  answerState(() => json(aState()));
  feed.view();
  await after(1000);
  expect(feed).toMatchObject({ connection: 'polling', state: { moment: aState().moment } });
  server.requests.length = 0;
  await after(10_000);
  expect(server.requests.length).toBeGreaterThan(3);
});

test('a server without gpumodels, and one that refuses, are told apart', async () => {
  feed.view();
  await after(0);
  FakeSocket.last.end();
  await after(0);
  expect(feed.connection).toBe('missing');
  answerState(() => json({ message: 'Forbidden' }, 403));
  await after(1000);
  FakeSocket.last.end();
  await after(0);
  expect(feed.connection).toBe('refused');
});

test.each([
  [200, 'refused', 'the page to log in'],
  [502, 'lost', 'a proxy without a server behind it']
])('a page with status %s is %s: %s', async (status, connection) => {
  answerState(() => new Response('<html>', { status, headers: { 'Content-Type': 'text/html' } }));
  feed.view();
  await after(0);
  FakeSocket.last.end();
  await after(0);
  expect(feed.connection).toBe(connection);
});

test('a state that cannot be read is said while polling, too', async () => {
  answerState(() => json({ message: 'The directory is on NFS.' }, 500));
  feed.view();
  await after(0);
  FakeSocket.last.end();
  await after(0);
  expect(feed).toMatchObject({ connection: 'polling', trouble: 'The directory is on NFS.' });
});

test('the server is told when the last viewer goes, and may then be silent', async () => {
  feed.view();
  const other = feed.view();
  await after(0);
  const socket = FakeSocket.last.open();
  socket.receive({ type: 'snapshot', state: aState() });
  other.dispose();
  other.dispose();
  expect(socket.sent).toEqual([]);
  hide(true);
  expect(socket.sent).toEqual(['{"type":"pause"}']);
  await after(10 * SILENCE);
  hide(false);
  expect(socket.sent).toEqual(['{"type":"pause"}', '{"type":"resume"}']);
  expect(FakeSocket.made).toHaveLength(1);
  await after(SILENCE + 500);
  expect(FakeSocket.made).toHaveLength(2);
});

test('a connection that is lost while nobody looks is made anew when somebody does', async () => {
  const viewing = feed.view();
  await after(0);
  FakeSocket.last.open().receive({ type: 'snapshot', state: aState() });
  viewing.dispose();
  FakeSocket.last.end();
  await after(60_000);
  expect(FakeSocket.made).toHaveLength(1);
  feed.view();
  await after(0);
  expect(FakeSocket.made).toHaveLength(2);
});

test('whoever goes before the connection stands is told as soon as it does', async () => {
  const viewing = feed.view();
  await after(0);
  viewing.dispose();
  expect(FakeSocket.last.open().sent).toEqual(['{"type":"pause"}']);
});

test('nothing is polled in a hidden browser tab', async () => {
  answerState(() => json(aState()));
  feed.view();
  await after(0);
  FakeSocket.last.end();
  await after(1000);
  FakeSocket.last.end();
  await after(5000);
  hide(true);
  await after(3000);
  server.requests.length = 0;
  await after(30_000);
  expect(server.requests).toEqual([]);
  hide(false);
  await after(0);
  expect(server.requests).toEqual(['GET state']);
});

test('nothing goes on when it is disposed of', async () => {
  const socket = await live();
  feed.dispose();
  expect(socket.readyState).toBe(3);
  await after(60_000);
  expect(FakeSocket.made).toHaveLength(1);
});
