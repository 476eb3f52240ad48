// The GPUs: memory by holder, readings, and lines of utilisation and memory in the last minutes.

const WIDE = 120; // units of the drawing, which the style sheet stretches
const HIGH = 28;
const SHORTEST = 60; // readings; a line of fewer readings fills only the right part of the drawing

/** A line of percentages, with gaps where a reading is not available. */
class Line {
  constructor(label, look) {
    this.label = label;
    this.svg = make('svg', {
      viewBox: `0 0 ${WIDE} ${HIGH}`,
      preserveAspectRatio: 'none',
      role: 'img'
    });
    this.element = make(
      'figure',
      { class: `gpumodels-line ${look}` },
      this.svg,
      make('figcaption', { 'aria-hidden': 'true' }, label.toLowerCase())
    );
  }

  update(values) {
    const step = WIDE / (Math.max(values.length, SHORTEST) - 1);
    const from = WIDE - step * (values.length - 1);
    const runs = [[]];
    values.forEach((value, index) => {
      if (value === null) runs.push([]);
      else
        runs
          .at(-1)
          .push(
            `${(from + index * step).toFixed(1)},${(HIGH - 1 - (value / 100) * (HIGH - 2)).toFixed(1)}`
          );
    });
    this.svg.replaceChildren(
      ...runs.filter(run => run.length).map(run => make('polyline', { points: run.join(' ') }))
    );
    const last = values.at(-1) ?? null;
    this.svg.setAttribute(
      'aria-label',
      `${this.label}, last minutes; now ${last === null ? 'not available' : `${number(last)} %`}`
    );
  }
}

/** Return the holder of a share as text: its name, and the notebook's file name if that is different. */
function holder(share) {
  const notebook = filename(share.notebook);
  const text = notebook && notebook !== share.name ? `${share.name} · ${notebook}` : share.name;
  return share.over_limit ? `${text} · over its memory limit` : text;
}

/** The part of a bar for one share. */
class Part {
  constructor() {
    this.element = make('span');
  }

  update(share, total) {
    const text = `${holder(share)}: ${size(share.memory)}`;
    this.element.className = `gpumodels-part gpumodels-${share.kind}`;
    this.element.style.width = `${total ? (100 * (share.memory ?? 0)) / total : 0}%`;
    this.element.style.backgroundColor = share.colour;
    if (this.element.title !== text) this.element.title = text;
  }
}

/** The entry in the legend for one share. */
class Legend {
  constructor() {
    this.swatch = make('i', { 'aria-hidden': 'true' });
    this.text = make('span');
    this.element = make('li', {}, this.swatch, this.text);
  }

  update(share) {
    this.swatch.className = `gpumodels-${share.kind}`;
    this.swatch.style.backgroundColor = share.colour;
    setText(this.text, `${holder(share)} ${size(share.memory)}`);
    this.element.title = share.notebook;
  }
}

/** One GPU or slice. */
class DeviceRow {
  constructor(device) {
    const key = share => `${share.kind} ${share.instance || share.kernel_id || share.name}`;
    this.title = make('b');
    this.facts = make('span', { class: 'gpumodels-facts' });
    this.bar = make('div', { class: 'gpumodels-bar', role: 'img' });
    this.legend = make('ul', {
      class: 'gpumodels-legend',
      'aria-label': `Memory of ${device.label} by holder`
    });
    this.parts = new Keyed(this.bar, key, () => new Part());
    this.names = new Keyed(this.legend, key, () => new Legend());
    this.lines = {
      utilisation: new Line('Utilisation', 'gpumodels-busy'),
      memory: new Line('Memory', 'gpumodels-full')
    };
    const lines = make(
      'div',
      { class: 'gpumodels-lines' },
      ...Object.values(this.lines).map(line => line.element)
    );
    this.element = make(
      'section',
      {
        class: `gpumodels-device${device.parent ? ' gpumodels-slice' : ''}`,
        'aria-label': device.label
      },
      make('div', { class: 'gpumodels-head', title: device.uuid }, this.title, this.facts),
      make(
        'div',
        { class: 'gpumodels-body' },
        make('div', { class: 'gpumodels-memory' }, this.bar, this.legend),
        lines
      )
    );
  }

  update(device, history) {
    const { memory_total: total, memory_used: used, shares } = device;
    setText(this.title, `${device.label} ${device.name}`);
    setText(this.facts, readings(device));
    const names = shares.map(share => `${holder(share)} ${size(share.memory)}`).join(', ');
    this.bar.setAttribute(
      'aria-label',
      `${size(used)} of ${size(total)} in use: ${names || 'nothing'}`
    );
    this.parts.update(shares, total);
    this.names.update(shares);
    const past = history.get(deviceKey(device)) ?? [];
    for (const [what, line] of Object.entries(this.lines))
      line.update(past.map(each => each[what]));
  }
}

/** Return the available readings in the form of `attribution/text.py`, or the device's trouble. */
function readings(device) {
  if (device.trouble) return device.trouble;
  const { utilisation, temperature, power, power_limit: limit } = device;
  const watts = power === null ? null : `${number(power)}${limit ? ` / ${number(limit)}` : ''} W`;
  return [
    `${size(device.memory_used)} / ${size(device.memory_total)}`,
    utilisation === null ? null : `${number(utilisation)} % busy`,
    temperature === null ? null : `${number(temperature)} °C`,
    watts,
    device.allowed
      ? device.sliced
        ? 'MIG mode: use a slice'
        : null
      : 'not allowed by your administrator'
  ]
    .filter(Boolean)
    .join(' · ');
}
