// Reading the state once a second, as long as a view is on screen.

const EVERY = 1000; // milliseconds between two readings
const RARELY = 8000; // milliseconds at most between two readings that fail
const REMEMBERED = 300; // readings in a line

/** The state of one source, for all its views. `history` has the last readings of each device. */
class Watch {
  constructor(source) {
    Object.assign(this, {
      source,
      views: new Set(),
      state: null,
      trouble: null,
      history: new Map(),
      failed: 0
    });
    document.addEventListener('visibilitychange', () => this.begin());
  }

  add(view) {
    this.views.add(view);
    this.begin();
  }

  remove(view) {
    this.views.delete(view);
  }

  /** Read now, and then once a second while a view is on screen. */
  begin() {
    if (this.reading || !this.watched()) return;
    clearTimeout(this.timer);
    this.reading = this.read().finally(() => {
      this.reading = null;
      if (this.watched())
        this.timer = setTimeout(() => this.begin(), Math.min(EVERY * 2 ** this.failed, RARELY));
    });
  }

  watched() {
    return this.views.size > 0 && document.visibilityState === 'visible';
  }

  async read() {
    try {
      this.state = await this.source.state();
      this.remember();
      this.trouble = null;
      this.failed = 0;
    } catch (error) {
      this.trouble = error;
      this.failed += 1;
    }
    for (const view of [...this.views]) view.show(this);
  }

  remember() {
    for (const device of this.state.devices) {
      const past = this.history.get(deviceKey(device)) ?? [];
      past.push({
        moment: this.state.moment,
        utilisation: device.utilisation,
        memory: device.memory_total ? (100 * device.memory_used) / device.memory_total : null
      });
      this.history.set(deviceKey(device), past.slice(-REMEMBERED));
    }
  }
}

/** Return the watch on the Jupyter server that all widgets of the page share; null without a Jupyter server.
 *
 *  It is in a global variable, because each widget has its own copy of this module. */
function serverWatch() {
  const name = Symbol.for('gpumodels watch 1');
  const server = jupyterServer();
  return server && (globalThis[name] ??= new Watch(server));
}

/** Call `changed` with true when a part of the element comes on screen, and with false when no part is any more.
 *
 *  Return a function that ends this. */
function whenOnScreen(element, changed) {
  const observer = new IntersectionObserver(entries => changed(entries.at(-1).isIntersecting));
  observer.observe(element);
  return () => observer.disconnect();
}
