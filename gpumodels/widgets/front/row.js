// One model: its activity and its buttons.

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

/** Return the figures of a model, in the order of COLUMNS from "device" on. */
function figures(model) {
  const activity = model.activity ?? {};
  return [
    model.device,
    known(size, model.memory),
    known(rate, activity.per_second),
    known(latency, activity.p50),
    known(latency, activity.p99),
    known(number, activity.waiting),
    activity.running ? 'running' : known(duration, model.idle)
  ];
}

/** Return the state of a model; '' if it is ready and below its memory limit. */
function stateOf(model) {
  const over = model.over_since ? `over its memory limit since ${clockOf(model.over_since)}` : '';
  return [lifecycle(model), over].filter(Boolean).join(', ');
}

function lifecycle(model) {
  if (model.state === 'loading') return 'loading…';
  if (model.state === 'stopping') return 'stopping…';
  return model.state === 'kept' ? `kept since ${clockOf(model.kept_since)}` : '';
}

/** Return the time of day of an ISO 8601 moment. */
function clockOf(iso) {
  return clock(Date.parse(iso) / 1000);
}

/** The row of one model, with a second row below it for notes and logs. */
class ModelRow {
  constructor(model, view) {
    Object.assign(this, {
      model,
      view,
      busy: false,
      cells: COLUMNS.slice(2, -1).map(() => make('td'))
    });
    this.name = make('th', { scope: 'row' });
    this.owner = make('td');
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
    const below = make(
      'td',
      { colspan: COLUMNS.length, class: 'gpumodels-below' },
      this.note,
      this.logs
    );
    const buttons = make('td', { class: 'gpumodels-buttons' }, ...Object.values(this.buttons));
    this.element = make(
      'tbody',
      { 'data-instance': model.id },
      make('tr', {}, this.name, this.owner, ...this.cells, buttons),
      make('tr', {}, below)
    );
    this.name.append(make('span', {}, model.name), ' ', this.state);
  }

  /** Return a button for `action`. While the action runs, the row shows `progress`, and its buttons are disabled. */
  button(label, progress, action) {
    const begin = async () => {
      this.busy = true;
      this.enable();
      this.setNote(progress);
      try {
        this.setNote((await action(text => this.setNote(text))) ?? '');
      } catch (error) {
        const gone = error.status === 404; // the model has ended already, which is no failure
        this.setNote(gone ? '' : `${label} failed: ${error.message}`, !gone);
      }
      this.busy = false;
      this.enable();
    };
    return make('button', { type: 'button', onclick: begin }, label);
  }

  setNote(text, wrong = false) {
    setText(this.note, text);
    this.note.classList.toggle('gpumodels-wrong', wrong);
  }

  async showLogs() {
    const open = this.logs.hidden;
    if (open) {
      const lines = await this.view.source.logs(this.model.id).catch(error => [error.message]);
      setText(this.logs, lines.join('\n') || 'It has printed nothing.');
    }
    this.logs.hidden = !open;
    this.buttons.logs.setAttribute('aria-expanded', String(open));
  }

  update(model) {
    this.model = model;
    setText(this.state, stateOf(model));
    setText(this.owner, owner(model));
    this.owner.title = model.notebook;
    figures(model).forEach((text, index) => setText(this.cells[index], text));
    this.enable();
  }

  /** Update the labels of the buttons, and enable those that can be used now. */
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
    buttons.stop.disabled = this.busy || restarting;
    buttons.sleep.disabled = buttons.restart.disabled =
      this.busy || restarting || model.state !== 'ready';
    const obstacle =
      view.kernelObstacle() ||
      (view.isMine(model) ? '' : 'Restart it in the notebook that loaded it');
    buttons.restart.disabled ||= Boolean(obstacle);
    buttons.restart.title = obstacle || (view.kernelIsBusy() ? 'Waits for the running cell' : '');
  }
}
