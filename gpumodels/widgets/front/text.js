// Elements and their texts.

const SVG = 'http://www.w3.org/2000/svg';

/** Create an element. An attribute `onNAME` is a listener. Attributes that are null or false are left out. */
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

/** Set the text of an element only if it changes, to keep the selection and the position of a screen reader. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function filename(path) {
  return path.split('/').pop();
}

/** Return a key of a device, unique in the state. A GPU that has failed may have no UUID. */
function deviceKey(device) {
  return device.uuid || device.label;
}

/** Return the owner of a model: the notebook's file name, or the process. */
function owner(model) {
  return filename(model.notebook) || `process ${model.pid}`;
}

/** A list of children of `parent`: one for each item, in the order of the items. It follows the children that `parent`
 *  already has.
 *
 *  A child is made once and then updated, so that a focused or pressed element stays the same element. */
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
    let next = this.parent.children[this.first] ?? null;
    for (const item of items) {
      const key = this.key(item);
      if (!this.made.has(key)) this.made.set(key, this.maker(item));
      const child = this.made.get(key);
      child.update(item, ...more);
      if (child.element === next) next = next.nextElementSibling;
      else this.parent.insertBefore(child.element, next);
    }
  }
}
