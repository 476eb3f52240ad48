// Looking once a second, for all views of the page that are on screen, and not at all for none.

const EVERY = 1000; // ms between two looks
const RARELY = 8000; // at most, while nobody answers
const REMEMBERED = 300; // looks, of which the lines are drawn

/** What is seen of one source; `history` has the looks before, by device. */
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

  /** Look at once, and then again and again while somebody watches. */
  begin() {
    if (this.looking || !this.watched()) return;
    clearTimeout(this.timer);
    this.looking = this.look().finally(() => {
      this.looking = null;
      if (this.watched())
        this.timer = setTimeout(() => this.begin(), Math.min(EVERY * 2 ** this.failed, RARELY));
    });
  }

  watched() {
    return this.views.size > 0 && document.visibilityState === 'visible';
  }

  async look() {
    try {
      this.state = await this.source.look();
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
      const past = this.history.get(known(device)) ?? [];
      past.push({
        moment: this.state.moment,
        utilisation: device.utilisation,
        memory: device.memory_total ? (100 * device.memory_used) / device.memory_total : null
      });
      this.history.set(known(device), past.slice(-REMEMBERED));
    }
  }
}

/** The page's one watch on its Jupyter server: every widget's module is a copy of this one. */
function serverWatch() {
  const place = Symbol.for('gpumodels watch 1');
  const server = jupyterServer();
  return server && (globalThis[place] ??= new Watch(server));
}

/** Tell `seen` whether any of the element is on screen. */
function whenOnScreen(element, seen) {
  const observer = new IntersectionObserver(entries => seen(entries.at(-1).isIntersecting));
  observer.observe(element);
  return () => observer.disconnect();
}
