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

test('without a viewer nothing is requested', async () => {
  await after(60_000);
  expect(FakeSocket.made).toHaveLength(0);
  expect(server.requests).toEqual([]);
});

test('the WebSocket is below the base URL, and has the token in its URL as those of Jupyter', async () => {
  await live();
  expect(FakeSocket.last.url).toBe('ws://here/user/me/gpumodels/api/feed?token=a%20b');
});

test('changes are applied to the snapshot, and unchanged values stay the same objects', async () => {
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

test('a second snapshot keeps the objects of unchanged values', async () => {
  const socket = await live();
  const before = feed.state!;
  const next = aState({ moment: 1005 });
  socket.receive({ type: 'snapshot', state: { ...next, models: { m2: next.models.m2 } } });
  expect(feed.state!.devices).toBe(before.devices);
  expect(feed.state!.models.m2).toBe(before.models.m2);
  expect(Object.keys(feed.state!.models)).toEqual(['m2']);
});

test('messages of an unknown type are ignored', async () => {
  const socket = await live();
  socket.receive({ type: 'weather' });
  expect(feed.connection).toBe('live');
});

test('the trouble of a server that cannot read the state is reported until it can', async () => {
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

test('the feed connects again when the server falls silent', async () => {
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

test('the feed connects to a restarted server and takes its snapshot', async () => {
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

test('a server that does not answer is tried less and less often, at last every ten seconds', async () => {
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

test('if a proxy buffers WebSockets, the feed polls every two seconds, and tries them again each minute', async () => {
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

test('if the browser forbids WebSockets, the feed polls', async () => {
  FakeSocket.forbidden = true;
  answerState(() => json(aState()));
  feed.view();
  await after(1000);
  expect(feed).toMatchObject({ connection: 'polling', state: { moment: aState().moment } });
  server.requests.length = 0;
  await after(10_000);
  expect(server.requests.length).toBeGreaterThan(3);
});

test('a server without gpumodels is distinguished from one that refuses', async () => {
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

test('a state that cannot be read is reported while polling, too', async () => {
  answerState(() => json({ message: 'The directory is on NFS.' }, 500));
  feed.view();
  await after(0);
  FakeSocket.last.end();
  await after(0);
  expect(feed).toMatchObject({ connection: 'polling', trouble: 'The directory is on NFS.' });
});

test('the server is asked to pause when the last viewer goes, and may then be silent', async () => {
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

test('a connection that is lost without a viewer is made again for the next viewer', async () => {
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

test('if the viewer goes before the connection is open, the server is asked to pause when it opens', async () => {
  const viewing = feed.view();
  await after(0);
  viewing.dispose();
  expect(FakeSocket.last.open().sent).toEqual(['{"type":"pause"}']);
});

test('the feed does not poll in a hidden browser tab', async () => {
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

test('a feed that is disposed of requests nothing more', async () => {
  const socket = await live();
  feed.dispose();
  expect(socket.readyState).toBe(3);
  await after(60_000);
  expect(FakeSocket.made).toHaveLength(1);
});
