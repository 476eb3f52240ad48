// One model: what it does, and its buttons.

const COLUMNS = [
  'model',
  'notebook',
  'device',
  'memory',
  'calls/s',
  'p50',
  'p99',
  'queue',
  'idle',
  ''
];

/** The numbers of a model, in the order of COLUMNS from "device" on. */
function figures(model) {
  const work = model.activity ?? {};
  return [
    model.device,
    model.memory === null ? '–' : size(model.memory),
    work.per_second === null || work.per_second === undefined
      ? '–'
      : number(work.per_second, work.per_second < 10 ? 1 : 0),
    milliseconds(work.p50),
    milliseconds(work.p99),
    work.waiting === null || work.waiting === undefined ? '–' : number(work.waiting),
    work.running ? 'running' : span(model.idle)
  ];
}

function stateOf(model) {
  const over = model.over_since
    ? `over its memory limit since ${clock(Date.parse(model.over_since) / 1000)}`
    : '';
  return [whatItDoes(model), over].filter(Boolean).join(', ');
}

function whatItDoes(model) {
  if (model.state === 'loading') return 'loading…';
  if (model.state === 'stopping') return 'stopping…';
  return model.state === 'kept' ? `kept since ${clock(Date.parse(model.kept_since) / 1000)}` : '';
}

class ModelRow {
  constructor(model, view) {
    Object.assign(this, {
      model,
      view,
      doing: false,
      cells: COLUMNS.slice(2, -1).map(() => make('td'))
    });
    this.name = make('th', { scope: 'row' });
    this.whose = make('td');
    this.state = make('small');
    this.note = make('p', { class: 'gpumodels-note', role: 'status' });
    this.logs = make('pre', {
      class: 'gpumodels-logs',
      tabindex: '0',
      'aria-label': `What ${model.name} printed`,
      hidden: true
    });
    this.buttons = {
      stop: this.button('Stop', 'stopping…', () => view.source.stop(this.model.id)),
      sleep: this.button('Sleep', 'falling asleep…', () => view.source.sleep(this.model.id)),
      logs: make(
        'button',
        { type: 'button', 'aria-expanded': 'false', onclick: () => this.showLogs() },
        'Logs'
      ),
      restart: make(
        'button',
        { type: 'button', onclick: () => view.models.restart(this.model.id) },
        'Restart'
      )
    };
    const said = make(
      'td',
      { colspan: COLUMNS.length, class: 'gpumodels-said' },
      this.note,
      this.logs
    );
    const buttons = make('td', { class: 'gpumodels-buttons' }, ...Object.values(this.buttons));
    this.element = make(
      'tbody',
      { 'data-instance': model.id },
      make('tr', {}, this.name, this.whose, ...this.cells, buttons),
      make('tr', {}, said)
    );
    this.name.append(make('span', {}, model.name), ' ', this.state);
  }

  /** A button that does something of which a note tells, until it is done. */
  button(label, doing, act) {
    const begin = async () => {
      this.doing = true;
      this.enable();
      this.tell(doing);
      try {
        this.tell((await act(text => this.tell(text))) ?? '');
      } catch (error) {
        const went = error.status === 404; // as was wanted
        this.tell(went ? '' : `${label} failed: ${error.message}`, !went);
      }
      this.doing = false;
      this.enable();
    };
    return make('button', { type: 'button', onclick: begin }, label);
  }

  tell(text, wrong = false) {
    say(this.note, text);
    this.note.classList.toggle('gpumodels-wrong', wrong);
  }

  async showLogs() {
    const open = this.logs.hidden;
    if (open) {
      const lines = await this.view.source.logs(this.model.id).catch(error => [error.message]);
      say(this.logs, lines.join('\n') || 'It has printed nothing.');
    }
    this.logs.hidden = !open;
    this.buttons.logs.setAttribute('aria-expanded', String(open));
  }

  update(model) {
    this.model = model;
    say(this.state, stateOf(model));
    say(this.whose, owner(model));
    this.whose.title = model.notebook;
    figures(model).forEach((text, index) => say(this.cells[index], text));
    this.enable();
  }

  enable() {
    const { model, buttons, view } = this;
    const restarting = view.models?.restarting === model.id;
    const labels = {
      stop: 'Stop',
      sleep: 'Sleep',
      logs: 'Show what is printed by',
      restart: 'Restart'
    };
    for (const [name, button] of Object.entries(buttons)) {
      const label = `${labels[name]} ${model.name}, loaded by ${owner(model)}`;
      if (button.getAttribute('aria-label') !== label) button.setAttribute('aria-label', label);
    }
    buttons.stop.disabled = this.doing || restarting;
    buttons.sleep.disabled = buttons.restart.disabled =
      this.doing || restarting || model.state !== 'ready';
    const why =
      view.mayAskKernel() ||
      (view.isMine(model) ? '' : 'Restart it in the notebook that loaded it');
    buttons.restart.disabled ||= Boolean(why);
    buttons.restart.title = why || (view.kernelIsBusy() ? 'Waits for the running cell' : '');
  }
}
