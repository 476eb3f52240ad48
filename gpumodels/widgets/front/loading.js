// The form that loads a model. It shows the line `%load_model ...`, and the kernel runs that line.

/** One option of a select. */
class Choice {
  constructor() {
    this.element = make('option');
  }

  update({ value, text, disabled = false }) {
    this.element.value = value;
    this.element.disabled = disabled;
    setText(this.element, text);
  }
}

/** The form that loads a model. */
class LoadForm {
  constructor(view, catalog, engines) {
    this.view = view;
    this.model = make(
      'select',
      {},
      ...catalog.map(({ name, summary }) => make('option', { value: name, title: summary }, name))
    );
    this.gpu = make('select');
    this.engine = make('select', {}, ...engines.map(name => make('option', { value: name }, name)));
    this.line = make('code', { 'aria-label': 'The line that is run' });
    this.button = make('button', { type: 'submit' }, 'Load');
    this.note = make('p', { class: 'gpumodels-note', role: 'status' });
    this.choices = new Keyed(
      this.gpu,
      each => each.value,
      () => new Choice()
    );
    const fields = { Model: this.model, GPU: this.gpu, Engine: this.engine };
    const labelled = Object.entries(fields).map(([text, field]) =>
      make('label', {}, text, ' ', field)
    );
    this.element = make(
      'form',
      {
        class: 'gpumodels-load',
        'aria-label': 'Load a model',
        onchange: () => this.preview(),
        onsubmit: event => this.load(event)
      },
      ...labelled,
      this.button,
      this.line,
      this.note
    );
  }

  update(devices) {
    const free = ({ memory_free: bytes }) => (bytes === null ? '' : ` – ${size(bytes)} free`);
    const usable = devices.filter(device => !device.sliced && device.allowed && !device.trouble);
    this.choices.update([
      { value: 'auto', text: 'auto' },
      ...usable.map(device => ({
        value: device.parent ? device.uuid : String(device.index),
        text: device.label + free(device)
      })),
      { value: 'none', text: 'none (CPU)' }
    ]);
    const obstacle = this.view.kernelObstacle();
    this.button.disabled = Boolean(obstacle) || this.busy === true || !this.model.value;
    this.button.title = obstacle;
    this.preview();
  }

  /** Show the line that the form will run. */
  preview() {
    const word = /^[\w./-]+$/.test(this.model.value)
      ? this.model.value
      : `'${this.model.value.replaceAll("'", `'"'"'`)}'`;
    const gpu = this.gpu.value === 'auto' ? '' : ` --gpu ${this.gpu.value}`;
    const engine = this.engine.value === 'auto' ? '' : ` --engine ${this.engine.value}`;
    setText(this.line, `%load_model ${word}${gpu}${engine}`);
  }

  async load(event) {
    event.preventDefault();
    const line = this.line.textContent;
    this.busy = this.button.disabled = true;
    this.setNote(`running ${line}`);
    try {
      const report = text => this.setNote(text);
      this.setNote(`${line}: ${await this.view.askKernel('load', { line }, report)}`);
    } catch (error) {
      this.setNote(`${line}: ${error.message}`, true);
    }
    this.busy = this.button.disabled = false;
  }

  setNote(text, wrong = false) {
    setText(this.note, text);
    this.note.classList.toggle('gpumodels-wrong', wrong);
  }
}
