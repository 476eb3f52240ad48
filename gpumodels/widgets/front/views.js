// The two kinds of widget, dashboard and card.

const GONE =
  'The kernel is gone: it was restarted or has ended. Run the cell again to load and restart models from here.';
const BY_KERNEL = 'The kernel answers itself, and so does not count as idle: ';

/** The base class of dashboard and card. It reads the state while it is on screen. */
class View {
  constructor(model, element) {
    Object.assign(this, {
      model,
      host: element,
      kernel: new Kernel(model),
      watch: null,
      mine: new Set() // ids of this kernel's instances at the last reading
    });
    this.alert = make('p', { class: 'gpumodels-trouble', role: 'alert', hidden: true });
    this.element = make('div', { class: `gpumodels gpumodels-${model.get('kind')}` });
    // The picture in the notebook is for the time after this view. Until then the view hides it.
    const picture = `[data-gpumodels-picture="${model.get('picture_id')}"]`;
    const around = `:is(.jp-OutputArea-child, .output_area):has(> * ${picture})`;
    element.replaceChildren(
      make('style', {}, `${picture}, ${around} { display: none !important; }`),
      this.element
    );
    this.changed = () => this.draw();
    model.on('change', this.changed);
  }

  /** Draw the state that came with the widget. While the view is on screen, read the state once a second. */
  begin() {
    const server = serverWatch();
    this.watch = server ?? new Watch(this.kernel);
    this.notice = server ? '' : `${BY_KERNEL}there is no Jupyter server here that knows gpumodels.`;
    this.state = this.model.get('state');
    this.draw();
    this.forget = whenOnScreen(this.element, onScreen => {
      this.onScreen = onScreen;
      if (onScreen) this.watch.add(this);
      else this.watch.remove(this);
    });
  }

  end() {
    this.forget?.();
    this.watch?.remove(this);
    this.model.off('change', this.changed);
  }

  get source() {
    return this.watch.source;
  }

  /** Show a new reading of `watch`, unless the view has another watch by now. */
  show(watch) {
    if (watch !== this.watch) return;
    const missing = watch.trouble?.status === 404;
    const elsewhere = watch.state && watch.state.place !== this.model.get('state').place;
    if (this.source !== this.kernel && (missing || elsewhere)) {
      this.askKernelInstead(
        missing
          ? "the Jupyter server's extension gpumodels is not there."
          : "the Jupyter server does not see this kernel's models."
      );
      return;
    }
    if (watch.state) this.state = watch.state;
    this.noticeSleepers();
    this.draw();
  }

  /** Read the state from the kernel from now on, and show the reason. */
  askKernelInstead(reason) {
    this.watch.remove(this);
    this.watch = new Watch(this.kernel);
    this.notice = BY_KERNEL + reason;
    this.draw();
    if (this.onScreen) this.watch.add(this);
  }

  /** Ask the kernel to refresh if one of its instances has gone. The model may sleep, which only the kernel knows. */
  noticeSleepers() {
    const mine = new Set(
      this.state.models.filter(model => this.isMine(model)).map(model => model.id)
    );
    const gone = [...this.mine].some(id => !mine.has(id));
    this.mine = mine;
    if (gone && !this.kernelIsGone()) this.kernel.ask('refresh').catch(() => {});
  }

  isMine(model) {
    return model.pid === this.model.get('pid') && model.kernel_id === this.model.get('kernel_id');
  }

  kernelIsBusy() {
    return this.state.kernels?.[this.model.get('kernel_id')]?.state === 'busy';
  }

  /** Return true if the kernel has ended or was restarted. A restarted kernel has the same id, but not this widget. */
  kernelIsGone() {
    const id = this.model.get('kernel_id');
    const kernels = this.state.kernels; // only the Jupyter server lists them
    const { state, pid } = kernels?.[id] ?? {};
    this.process ??= pid;
    const ended = Boolean(
      id && kernels && (!(id in kernels) || state === 'dead' || pid !== this.process)
    );
    this.gone ||= ended || this.host.closest('.jupyter-widgets-disconnected') !== null;
    return this.gone;
  }

  /** Return the reason why the kernel cannot answer; '' if it can. */
  kernelObstacle() {
    return this.kernelIsGone() ? 'The kernel is gone' : '';
  }

  /** Request an action of the kernel. Call `report` with each text of progress, also while a cell has to end first. */
  askKernel(action, more, report) {
    if (this.kernelIsBusy()) report('waits for the running cell');
    return this.kernel.ask(action, more, report);
  }

  draw() {
    const { trouble } = this.watch;
    const text = this.kernelIsGone() ? GONE : (trouble?.message ?? '');
    this.alert.hidden = !text;
    setText(
      this.alert,
      trouble ? `${text} What is shown is of ${clock(this.state.moment)}.` : text
    );
    this.drawState(this.state, this.model.get('asleep'));
  }
}

/** The dashboard: GPUs, models and the form. */
class DashboardView extends View {
  constructor(model, element) {
    super(model, element);
    const devices = make('div');
    this.none = make('p', { class: 'gpumodels-none' });
    this.devices = new Keyed(devices, deviceKey, device => new DeviceRow(device));
    this.models = new Models(this, 'Models');
    this.form = new LoadForm(this, model.get('catalog'), model.get('engines'));
    this.foot = make('p', { class: 'gpumodels-foot' });
    this.element.setAttribute('role', 'region');
    this.element.setAttribute('aria-label', 'GPUs and models');
    this.element.append(
      this.alert,
      devices,
      this.none,
      this.models.element,
      this.form.element,
      this.foot
    );
  }

  drawState(state, asleep) {
    this.devices.update(state.devices, this.watch.history);
    this.none.hidden = state.devices.length > 0;
    setText(this.none, `No GPU: ${state.trouble}.`);
    this.models.update(state.models, asleep);
    this.form.update(state.devices);
    setText(this.foot, this.notice);
  }
}

/** The card of one model, or the text of its handle if no model server runs. */
class CardView extends View {
  constructor(model, element) {
    super(model, element);
    this.text = make('p', { class: 'gpumodels-none' });
    this.models = new Models(this, model.get('name'));
    this.element.append(this.alert, this.models.element, this.text);
  }

  drawState(state, asleep) {
    const instances = this.model.get('instances');
    const found = state.models.filter(model => instances.includes(model.id));
    const sleeping = asleep.filter(each => instances.includes(each.instance));
    this.models.update(found, sleeping);
    this.models.nothing.hidden = true;
    this.text.hidden = found.length + sleeping.length > 0;
    const text = this.kernelIsGone() ? 'It ended with its kernel.' : this.model.get('description');
    setText(this.text, text);
  }
}

export default {
  render({ model, el }) {
    const view =
      model.get('kind') === 'card' ? new CardView(model, el) : new DashboardView(model, el);
    view.begin();
    return () => view.end();
  }
};
