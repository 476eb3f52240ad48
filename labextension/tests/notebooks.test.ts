import { NotebookActions } from '@jupyterlab/notebook';
import { YNotebook } from '@jupyter/ydoc';
import { Signal } from '@lumino/signaling';

import { Notebooks } from '../src/notebooks';
import { trans } from './fakes';

// The rest of the package needs a real browser; tests/browser/ has one.
jest.mock('@jupyterlab/notebook', () => ({ NotebookActions: { runCells: jest.fn() } }));

// Yjs logs a warning when JupyterLab reads cells before they are part of a document.
beforeAll(() => jest.spyOn(console, 'warn').mockImplementation());

const LINE = '%load_model echo';
const BOTH = `%load_ext gpumodels\n${LINE}`;

/** An open notebook with a real document of these cells. The second cell is active. */
class Panel {
  constructor(
    path: string,
    cells: readonly string[],
    public answer = 'False'
  ) {
    this.context = { path, pathChanged: new Signal(this) };
    this.document.insertCells(
      0,
      cells.map(source => ({ cell_type: 'code' as const, source }))
    );
    this.document.clearUndoHistory();
  }

  readonly id = 'panel';
  readonly isDisposed = false;
  readonly document = new YNotebook();
  readonly model = { sharedModel: this.document, defaultKernelLanguage: 'python' };
  readonly context;
  readonly status = {
    kernelChanged: new Signal(this),
    statusChanged: new Signal(this),
    connectionStatusChanged: new Signal(this)
  };
  /** The indices of the cells that run or have run. */
  readonly ran = new Set<number>();
  readonly kernel = {
    id: 'k1',
    name: 'python3',
    status: 'idle',
    requestExecute: () => this._asked()
  };
  readonly sessionContext = {
    ...this.status,
    session: { kernel: this.kernel } as { kernel: unknown } | null,
    kernelDisplayStatus: 'idle',
    pendingInput: false
  };
  readonly content = this._content();
  answers = true;

  get sources(): string[] {
    return this.document.cells.map(cell => cell.getSource());
  }

  private _content() {
    const { document, ran } = this;
    return {
      model: this.model,
      activeCell: {},
      activeCellIndex: 1,
      deselectAll: () => undefined,
      get widgets() {
        return document.cells.map((sharedModel, at) => ({
          model: { type: 'code', sharedModel, executionCount: ran.has(at) ? 1 : null }
        }));
      }
    };
  }

  private _asked() {
    const here = { data: { 'text/plain': this.answer } };
    const reply = { content: { status: 'ok', user_expressions: { here } } };
    return {
      done: this.answers ? Promise.resolve(reply) : new Promise(() => undefined),
      dispose: () => undefined
    };
  }
}

function tab(current: Panel | null, others: readonly Panel[] = []) {
  const open = current ? [current, ...others] : [];
  const tracker = {
    currentWidget: current,
    currentChanged: new Signal({}),
    find: (wanted: (panel: unknown) => boolean) => open.find(wanted)
  };
  const app = {
    commands: { hasCommand: () => true, execute: jest.fn(async () => Promise.resolve()) },
    shell: { activateById: jest.fn() },
    serviceManager: {
      contents: { localPath: (path: string) => path.replace('RTC:', '') },
      kernels: { shutdown: jest.fn(async () => Promise.resolve()) },
      kernelspecs: {
        ready: Promise.resolve(),
        specs: {
          default: 'ir',
          kernelspecs: {
            ir: { name: 'ir', language: 'R' },
            python3: { name: 'python3', language: 'python' }
          }
        }
      },
      sessions: {
        refreshRunning: async () => Promise.resolve(),
        running: () => [{ id: 's1', kernel: { id: 'k1' } }],
        shutdown: jest.fn(async () => Promise.resolve())
      }
    }
  };
  return { app, tracker, notebooks: new Notebooks(app as never, tracker as never, trans) };
}

test('the new cell is below the active one, is run, and is removed by one undo', async () => {
  const panel = new Panel('a/signs.ipynb', ['x', 'y', 'z']);
  expect(await tab(panel).notebooks.load(LINE)).toBe('signs.ipynb');
  expect(panel.sources).toEqual(['x', 'y', BOTH, 'z']);
  expect(panel.content.activeCellIndex).toBe(2);
  const [content, cells] = jest.mocked(NotebookActions).runCells.mock.lastCall!;
  expect(content).toBe(panel.content);
  expect(cells[0].model.sharedModel.getSource()).toBe(BOTH);
  panel.document.undo();
  expect(panel.sources).toEqual(['x', 'y', 'z']);
});

test.each([
  ['the kernel has it and a cell above loads it', '%load_ext gpumodels', 'True', LINE],
  ['the kernel does not have it any more', '%load_ext gpumodels', 'False', BOTH],
  ['the notebook itself would not load it', 'x', 'True', BOTH]
])('the extension is loaded where it is missing: %s', async (_, above, answer, inserted) => {
  const panel = new Panel('signs.ipynb', [above, 'y', '%load_ext gpumodels'], answer);
  await tab(panel).notebooks.load(LINE);
  expect(panel.sources[2]).toBe(inserted);
});

test.each([
  ['is at work, and the cell above was run', 'busy', true, LINE],
  ['is at work, and the cell above was not run', 'busy', false, BOTH],
  ['has just been restarted, and the cell above was run before', 'idle', true, BOTH]
])('a kernel that does not say in time %s', async (_, status, ran, inserted) => {
  const panel = new Panel('signs.ipynb', ['%load_ext gpumodels', 'y']);
  panel.answers = false;
  panel.kernel.status = panel.sessionContext.kernelDisplayStatus = status;
  if (ran) {
    panel.ran.add(0);
  }
  await tab(panel).notebooks.load(LINE);
  expect(panel.sources[2]).toBe(inserted);
});

test.each([
  ['initializing', 'not ready yet'],
  ['restarting', 'not ready yet'],
  ['dead', 'is dead: restart it'],
  ['disconnected', 'cannot be reached']
])('a kernel that is %s runs nothing', async (status, said) => {
  const panel = new Panel('signs.ipynb', ['x', 'y']);
  panel.sessionContext.kernelDisplayStatus = status;
  const { notebooks } = tab(panel);
  expect(notebooks.obstacle).toContain(said);
  await expect(notebooks.load(LINE)).rejects.toThrow(said);
  expect(panel.sources).toEqual(['x', 'y']);
});

test('no line is run while a cell waits for input, because it would wait for ever', async () => {
  const panel = new Panel('signs.ipynb', ['x', 'y']);
  panel.sessionContext.pendingInput = true;
  await expect(tab(panel).notebooks.load(LINE)).rejects.toThrow('waits for your input');
  expect(panel.sources).toEqual(['x', 'y']);
});

test('a notebook that is not Python is refused', async () => {
  const panel = new Panel('signs.ipynb', ['x', 'y']);
  panel.kernel.name = 'ir';
  await expect(tab(panel).notebooks.load(LINE)).rejects.toThrow(
    'The kernel of signs.ipynb runs R: models are loaded in Python notebooks.'
  );
});

test('a notebook without a kernel is distinguished from no notebook', () => {
  const panel = new Panel('signs.ipynb', ['x']);
  Object.assign(panel.sessionContext, { session: null, kernelDisplayStatus: 'unknown' });
  expect(tab(panel).notebooks.obstacle).toContain('signs.ipynb has no kernel');
  const { notebooks } = tab(null);
  expect(notebooks.obstacle).toContain('No notebook is open');
  expect([notebooks.canMake, notebooks.currentNotebook, notebooks.currentKernel]).toEqual([
    true,
    null,
    ''
  ]);
});

test('a new notebook is for Python even if the default is another kernel', async () => {
  const { app, notebooks } = tab(null);
  await notebooks.make();
  const made = { kernelName: 'python3', activate: true };
  expect(app.commands.execute).toHaveBeenCalledWith('notebook:create-new', made);
});

test('changes of the current notebook are signalled, and those of others are not', () => {
  const [first, second] = [new Panel('a.ipynb', ['x']), new Panel('b.ipynb', ['x'])];
  const { notebooks, tracker } = tab(first);
  const changed = jest.fn();
  notebooks.currentChanged.connect(changed);
  first.status.statusChanged.emit(undefined);
  expect(changed).toHaveBeenCalledTimes(1);
  tracker.currentWidget = second;
  tracker.currentChanged.emit(undefined);
  expect(notebooks.currentNotebook).toBe('b.ipynb');
  first.status.statusChanged.emit(undefined);
  expect(changed).toHaveBeenCalledTimes(2);
});

test('an open notebook is brought to the front, and another one is opened', async () => {
  const { app, notebooks } = tab(new Panel('RTC:a.ipynb', ['x']));
  await notebooks.goToNotebook('a.ipynb');
  expect(app.shell.activateById).toHaveBeenCalledWith('panel');
  await notebooks.goToNotebook('b.ipynb');
  expect(app.commands.execute).toHaveBeenCalledWith('docmanager:open', { path: 'b.ipynb' });
});

test('a kernel is shut down with its session if it has one', async () => {
  const { app, notebooks } = tab(null);
  await notebooks.shutDownKernel('k1');
  expect(app.serviceManager.sessions.shutdown).toHaveBeenCalledWith('s1');
  expect(app.serviceManager.kernels.shutdown).not.toHaveBeenCalled();
  await notebooks.shutDownKernel('k2');
  expect(app.serviceManager.kernels.shutdown).toHaveBeenCalledWith('k2');
});
