// Who answers: the Jupyter server, which needs no kernel, or else the kernel itself.

const EXPLAINED = {
  401: 'The Jupyter server refused: log in again.',
  403: 'The Jupyter server refused: log in again, or ask its administrator.',
  404: 'It runs no more.'
};

/** An answer that there is none; `status` is 0 where nobody answered. */
class Refused extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Where the page's Jupyter server is, as JupyterLab, Notebook 7 and nbclassic say it; null for other front ends. */
function jupyterServer() {
  const config = document.getElementById('jupyter-config-data');
  try {
    const { baseUrl, token } = config ? JSON.parse(config.textContent) : {};
    const base = baseUrl ?? document.body.dataset.baseUrl;
    return base ? new Server(new URL(base, location.href).href, token) : null;
  } catch {
    return null;
  }
}

class Server {
  constructor(base, token) {
    this.root = `${base.replace(/\/$/, '')}/gpumodels/api/`;
    this.token = token;
  }

  look() {
    return this.request('GET', 'usage');
  }

  stop(instance) {
    return this.request('DELETE', `models/${encodeURIComponent(instance)}?by=dashboard`);
  }

  sleep(instance) {
    return this.request('POST', `models/${encodeURIComponent(instance)}/sleep`);
  }

  async logs(instance) {
    return (await this.request('GET', `models/${encodeURIComponent(instance)}/logs`)).lines;
  }

  async request(method, path) {
    const headers = {};
    if (this.token) headers.Authorization = `token ${this.token}`;
    const xsrf = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/);
    if (xsrf) headers['X-XSRFToken'] = decodeURIComponent(xsrf[1]);
    let response;
    try {
      response = await fetch(this.root + path, {
        method,
        headers,
        cache: 'no-store',
        credentials: 'same-origin'
      });
    } catch {
      throw new Refused('The Jupyter server does not answer; trying again.');
    }
    if (response.ok) return response.status === 204 ? null : response.json();
    const told = await response.json().catch(() => ({}));
    throw new Refused(
      told.message ??
        EXPLAINED[response.status] ??
        `The Jupyter server failed (${response.status}).`,
      response.status
    );
  }
}

/** The kernel behind a widget, asked by messages, which wait for the cell that runs. */
class Kernel {
  constructor(model) {
    Object.assign(this, { model, asked: new Map(), count: 0 });
    this.prefix = Math.random().toString(36).slice(2);
    model.on('msg:custom', message => this.hear(message));
  }

  ask(what, more = {}, tell = () => {}) {
    const id = `${this.prefix}-${this.count++}`;
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject, tell });
      this.model.send({ id, do: what, ...more });
    });
  }

  hear(message) {
    const waiting = this.asked.get(message.id);
    if (!waiting) return; // another view's
    if ('progress' in message) return void waiting.tell(message.progress);
    this.asked.delete(message.id);
    if ('error' in message) waiting.reject(new Refused(message.error, 500));
    else waiting.resolve(message.answer);
  }

  /** A kernel that is busy answers later; one that is gone, never. */
  look() {
    this.looking ??= this.ask('look').finally(() => (this.looking = null));
    const late = new Promise((_, reject) =>
      setTimeout(
        () => reject(new Refused('The kernel does not answer: it runs a cell, or is gone.')),
        5000
      )
    );
    return Promise.race([this.looking, late]);
  }

  stop(instance) {
    return this.ask('stop', { instance });
  }

  sleep(instance) {
    return this.ask('sleep', { instance });
  }

  logs(instance) {
    return this.ask('logs', { instance });
  }
}
