// The models, those that sleep, and what becomes of a restart.

/** The models that run, those of this kernel that sleep below them. */
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
      each => new Sleeper(each, view)
    );
  }

  /** A new model server for the same handle, also for one that sleeps: its row goes meanwhile, so this tells of it. */
  async restart(instance) {
    this.restarting = instance;
    this.tell('restarting…');
    try {
      this.tell(await this.view.askKernel('restart', { instance }, text => this.tell(text)));
    } catch (error) {
      this.tell(error.message, true);
    }
    this.restarting = null;
  }

  tell(text, wrong = false) {
    say(this.note, text);
    this.note.classList.toggle('gpumodels-wrong', wrong);
  }

  update(models, asleep) {
    const focused = this.element.contains(document.activeElement);
    this.rows.update(models);
    this.sleepers.update(asleep);
    this.table.hidden = !models.length;
    this.nothing.hidden = models.length + asleep.length > 0;
    if (focused && !this.element.contains(document.activeElement)) this.element.focus(); // its row has gone
  }
}

/** A model of this kernel that sleeps. */
class Sleeper {
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
    say(this.text, `${each.name} is ${each.said}`);
    const why = this.view.mayAskKernel();
    this.button.disabled = Boolean(why) || this.view.models.restarting === each.instance;
    this.button.title = why;
  }
}
