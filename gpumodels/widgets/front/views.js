// What a widget shows, and where it asks.

const GONE =
  'The kernel is gone: it was restarted or has ended. Run the cell again to load and restart models from here.';
const BY_KERNEL = 'The kernel answers itself, and so does not count as idle: ';

class View {
  constructor(model, element) {
    Object.assign(this, {
      model,
      host: element,
      kernel: new Kernel(model),
      watch: null,
      known: new Set()
    });
    this.alert = make('p', { class: 'gpumodels-trouble', role: 'alert', hidden: true });
    this.element = make('div', { class: `gpumodels gpumodels-${model.get('kind')}` });
    // While this is on the page it hides the picture that is left for when it is not.
    const still = `[data-gpumodels-still="${model.get('still')}"]`;
    const around = `:is(.jp-OutputArea-child, .output_area):has(> * ${still})`;
    element.replaceChildren(
      make('style', {}, `${still}, ${around} { display: none !important; }`),
      this.element
    );
    this.changed = () => this.draw();
    model.on('change', this.changed);
  }

  /** With the element on the page: draw what was seen when the widget was made, and look while on screen. */
  begin() {
    const server = serverWatch();
    this.watch = server ?? new Watch(this.kernel);
    this.why = server ? '' : `${BY_KERNEL}there is no Jupyter server here that knows gpumodels.`;
    this.state = this.model.get('state');
    this.draw();
    this.forget = whenOnScreen(this.element, seen => {
      this.seen = seen;
      if (seen) this.watch.add(this);
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

  /** The watch has looked. */
  show(watch) {
    if (watch !== this.watch) return;
    const misses = watch.trouble?.status === 404;
    const elsewhere = watch.state && watch.state.place !== this.model.get('state').place;
    if (this.source !== this.kernel && (misses || elsewhere)) {
      this.askKernelInstead(
        misses
          ? "the Jupyter server's extension gpumodels is not there."
          : "the Jupyter server does not see this kernel's models."
      );
      return;
    }
    if (watch.state) this.state = watch.state;
    this.hearWhatWasMissed();
    this.draw();
  }

  askKernelInstead(why) {
    this.watch.remove(this);
    this.watch = new Watch(this.kernel);
    this.why = BY_KERNEL + why;
    this.draw();
    if (this.seen) this.watch.add(this);
  }

  /** An instance of this kernel that went may sleep, which the kernel alone knows; it is asked once. */
  hearWhatWasMissed() {
    const mine = new Set(
      this.state.models.filter(model => this.isMine(model)).map(model => model.id)
    );
    const went = [...this.known].some(id => !mine.has(id));
    this.known = mine;
    if (went && !this.kernelIsGone()) this.kernel.ask('refresh').catch(() => {});
  }

  isMine(model) {
    return model.pid === this.model.get('pid') && model.kernel_id === this.model.get('kernel_id');
  }

  kernelIsBusy() {
    return this.state.kernels?.[this.model.get('kernel_id')]?.state === 'busy';
  }

  /** Once gone, always gone: after a restart the kernel has the same id, but knows nothing of this widget. */
  kernelIsGone() {
    const id = this.model.get('kernel_id');
    const kernels = this.state.kernels; // told by the Jupyter server only
    const { state, pid } = kernels?.[id] ?? {};
    this.process ??= pid;
    const ended = Boolean(
      id && kernels && (!(id in kernels) || state === 'dead' || pid !== this.process)
    );
    this.gone ||= ended || this.host.closest('.jupyter-widgets-disconnected') !== null;
    return this.gone;
  }

  /** Why the kernel cannot be asked; "" where it can. */
  mayAskKernel() {
    return this.kernelIsGone() ? 'The kernel is gone' : '';
  }

  /** Ask, and say what the answer waits for. */
  askKernel(what, more, tell) {
    if (this.kernelIsBusy()) tell('waits for the running cell');
    return this.kernel.ask(what, more, tell);
  }

  draw() {
    const { trouble } = this.watch;
    const text = this.kernelIsGone() ? GONE : (trouble?.message ?? '');
    this.alert.hidden = !text;
    say(this.alert, trouble ? `${text} What is shown is of ${clock(this.state.moment)}.` : text);
    this.drawState(this.state, this.model.get('asleep'));
  }
}

class DashboardView extends View {
  constructor(model, element) {
    super(model, element);
    const devices = make('div');
    this.none = make('p', { class: 'gpumodels-none' });
    this.devices = new Keyed(devices, known, device => new DeviceRow(device));
    this.models = new Models(this, 'Models');
    this.form = new Loading(this, model.get('catalog'), model.get('engines'));
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
    say(this.none, `No GPU: ${state.trouble}.`);
    this.models.update(state.models, asleep);
    this.form.update(state.devices);
    say(this.foot, this.why);
  }
}

class CardView extends View {
  constructor(model, element) {
    super(model, element);
    this.said = make('p', { class: 'gpumodels-none' });
    this.models = new Models(this, model.get('name'));
    this.element.append(this.alert, this.models.element, this.said);
  }

  drawState(state, asleep) {
    const instances = this.model.get('instances');
    const found = state.models.filter(model => instances.includes(model.id));
    const sleeping = asleep.filter(each => instances.includes(each.instance));
    this.models.update(found, sleeping);
    this.models.nothing.hidden = true;
    this.said.hidden = found.length + sleeping.length > 0;
    say(this.said, this.kernelIsGone() ? 'It ended with its kernel.' : this.model.get('said'));
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
