// The sources of the state: the Jupyter server or, where there is none, the kernel.

const EXPLAINED = {
  401: 'The Jupyter server refused: log in again.',
  403: 'The Jupyter server refused: log in again, or ask its administrator.',
  404: 'The model does not run any more.'
};

/** The error of a failed request. `status` is the HTTP status of the answer, or 0 if there was no answer. */
class Refused extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Return the Jupyter server of a page of JupyterLab, Notebook 7 or nbclassic; null in other front ends. */
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

/** The REST interface of gpumodels; see docs/rest.md. */
class Server {
  constructor(base, token) {
    this.root = `${base.replace(/\/$/, '')}/gpumodels/api/`;
    this.token = token;
  }

  state() {
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
    const body = await response.json().catch(() => ({}));
    throw new Refused(
      body.message ??
        EXPLAINED[response.status] ??
        `The Jupyter server failed (${response.status}).`,
      response.status
    );
  }
}

/** The kernel behind a widget. It answers requests between cells; see widgets/actions.py. */
class Kernel {
  constructor(model) {
    Object.assign(this, { model, pending: new Map(), count: 0 });
    this.prefix = Math.random().toString(36).slice(2);
    model.on('msg:custom', message => this.receive(message));
  }

  /** Request an action and return its answer. `report` is called with each text of progress. */
  ask(action, more = {}, report = () => {}) {
    const id = `${this.prefix}-${this.count++}`;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject, report });
      this.model.send({ id, do: action, ...more });
    });
  }

  receive(message) {
    const request = this.pending.get(message.id);
    if (!request) return; // a request of another view
    if ('progress' in message) return void request.report(message.progress);
    this.pending.delete(message.id);
    if ('error' in message) request.reject(new Refused(message.error, 500));
    else request.resolve(message.answer);
  }

  /** Return the state. Reject after five seconds, because a busy kernel answers late, and a dead one never. */
  state() {
    this.reading ??= this.ask('state').finally(() => (this.reading = null));
    const late = new Promise((_, reject) =>
      setTimeout(
        () => reject(new Refused('The kernel does not answer: it runs a cell, or is gone.')),
        5000
      )
    );
    return Promise.race([this.reading, late]);
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
