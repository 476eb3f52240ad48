// The list of models, and their restarts.

/** The running models, and below them the sleeping models of this kernel. */
class Models {
  constructor(view, label) {
    this.view = view;
    const heads = COLUMNS.map(text =>
      make('th', { scope: 'col' }, text || make('span', { class: 'gpumodels-hidden' }, 'actions'))
    );
    this.table = make(
      'table',
      { 'aria-label': label },
      make('thead', {}, make('tr', {}, ...heads))
    );
    this.nothing = make('p', { class: 'gpumodels-none' }, 'No model is running.');
    this.asleep = make('ul', { class: 'gpumodels-asleep' });
    this.note = make('p', { class: 'gpumodels-note', role: 'status' });
    this.element = make(
      'div',
      { class: 'gpumodels-models', tabindex: '-1' },
      this.table,
      this.nothing,
      this.asleep,
      this.note
    );
    this.rows = new Keyed(
      this.table,
      model => model.id,
      model => new ModelRow(model, view)
    );
    this.sleepers = new Keyed(
      this.asleep,
      each => each.instance,
      each => new SleeperRow(each, view)
    );
  }

  /** Give a running or sleeping model a new model server. Its row disappears, so the progress is below the list. */
  async restart(instance) {
    this.restarting = instance;
    this.setNote('restarting…');
    try {
      const report = text => this.setNote(text);
      this.setNote(await this.view.askKernel('restart', { instance }, report));
    } catch (error) {
      this.setNote(error.message, true);
    }
    this.restarting = null;
  }

  setNote(text, wrong = false) {
    setText(this.note, text);
    this.note.classList.toggle('gpumodels-wrong', wrong);
  }

  update(models, asleep) {
    const focused = this.element.contains(document.activeElement);
    this.rows.update(models);
    this.sleepers.update(asleep);
    this.table.hidden = !models.length;
    this.nothing.hidden = models.length + asleep.length > 0;
    if (focused && !this.element.contains(document.activeElement)) this.element.focus(); // the focused row was removed
  }
}

/** A sleeping model of this kernel. */
class SleeperRow {
  constructor(each, view) {
    this.text = make('span');
    const wake = () => view.models.restart(each.instance);
    this.button = make(
      'button',
      { type: 'button', 'aria-label': `Wake ${each.name}`, onclick: wake },
      'Wake'
    );
    this.element = make('li', {}, this.text, ' ', this.button);
    this.view = view;
  }

  update(each) {
    setText(this.text, `${each.name} is ${each.text}`);
    const obstacle = this.view.kernelObstacle();
    this.button.disabled = Boolean(obstacle) || this.view.models.restarting === each.instance;
    this.button.title = obstacle;
  }
}
