// Small makers: elements, and values as text. null stands for "not available".

const SVG = 'http://www.w3.org/2000/svg';

function make(tag, attributes = {}, ...children) {
  const element =
    tag === 'svg' || tag === 'polyline'
      ? document.createElementNS(SVG, tag)
      : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false)
      element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children);
  return element;
}

/** Set the text only where it is another: a selection, and a screen reader's place, survive. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function number(value, digits = 0) {
  return value.toLocaleString(undefined, {
    maximumFractionDigits: digits,
    minimumFractionDigits: digits
  });
}

/** Bytes in powers of ten, as everywhere in gpumodels. */
function size(bytes) {
  if (bytes === null || bytes === undefined) return '? GB';
  return bytes >= 1e9 || bytes === 0 ? `${number(bytes / 1e9, 1)} GB` : `${number(bytes / 1e6)} MB`;
}

function milliseconds(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  const value = seconds * 1000;
  return value >= 1000 ? `${number(seconds, 1)} s` : `${number(value, value < 10 ? 1 : 0)} ms`;
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 60) return `${number(seconds)} s`;
  if (seconds < 5400) return `${number(seconds / 60)} min`;
  return seconds < 172800 ? `${number(seconds / 3600)} h` : `${number(seconds / 86400)} d`;
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

function filename(path) {
  return path.split('/').pop();
}

/** A device's name among the others: one that fell off the bus may not say its UUID. */
function known(device) {
  return device.uuid || device.label;
}

/** Whose a model or a share is: the notebook's file name, or the process. */
function owner(model) {
  return filename(model.notebook) || `process ${model.pid}`;
}

/** Keep one child per item, in order, behind those that are there: made once and updated, so that what is focused or
 *  pressed stays what it is. */
class Keyed {
  constructor(parent, key, maker) {
    Object.assign(this, { parent, key, maker, made: new Map(), first: parent.childElementCount });
  }

  update(items, ...more) {
    const keys = new Set(items.map(this.key));
    for (const [key, child] of this.made) {
      if (keys.has(key)) continue;
      child.element.remove();
      this.made.delete(key);
    }
    let place = this.parent.children[this.first] ?? null;
    for (const item of items) {
      const key = this.key(item);
      if (!this.made.has(key)) this.made.set(key, this.maker(item));
      const child = this.made.get(key);
      child.update(item, ...more);
      if (child.element === place) place = place.nextElementSibling;
      else this.parent.insertBefore(child.element, place);
    }
  }
}

/** The colours given to holders, the same in every part of a view; COLOURS come from Python. */
const given = new Map();

function colour(share) {
  const key = `${share.kind} ${share.instance || share.kernel_id || share.name}`;
  if (!given.has(key)) {
    const before = [...given.keys()].filter(each => each.startsWith(`${share.kind} `)).length;
    const palette = COLOURS[share.kind] ?? COLOURS.others;
    given.set(key, palette[before % palette.length]);
  }
  return given.get(key);
}
