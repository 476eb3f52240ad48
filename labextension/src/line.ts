/** The options of `%load_model`. One that is missing, '' or 'auto' is left to the user's settings. */
export interface ILoadOptions {
  /** A name of the catalog, or the path of a model folder. */
  readonly model: string;
  /** '0', '0,1', 'auto:2', the UUID of a slice, 'none'. */
  readonly gpu?: string;
  readonly engine?: string;
  /** '10m', 'never'. */
  readonly idle?: string;
}

export const LOAD_EXTENSION = '%load_ext gpumodels';

/**
 * Return the line that loads a model, for IPython and then `gpumodels/magics/arguments.py`. Throw RangeError where no
 * line can.
 */
export function loadLine({ model, gpu, engine, idle }: ILoadOptions): string {
  // A model with a dash in front is a path, because no name has one. Without './' it would be read as an option.
  const words = ['%load_model', quoted(model.startsWith('-') ? `./${model}` : model)];
  for (const [option, value] of Object.entries({ gpu, engine, idle })) {
    if (value && value !== 'auto') {
      words.push(`--${option}`, quoted(value));
    }
  }
  return words.join(' ');
}

/** Return true if `gpumodels/settings/durations.py` can read the text as an idle time. */
export function isDuration(text: string): boolean {
  const written = /^([0-9]+(?:\.[0-9]+)?) ?[smhd]?$/.exec(text);
  return text === 'never' || text === 'forever' || (written !== null && Number(written[1]) > 0);
}

/** Return true if a cell's source has a line that loads our extension. */
export function loadsExtension(source: string): boolean {
  return /^\s*%?(?:re)?load_ext\s+gpumodels\s*$/m.test(source);
}

/**
 * Return the text as one word of a line.
 *
 * The shell's quotes keep it together. IPython expands `{x}` also between quotes, so braces are doubled. It expands `$x`
 * as well, unless an odd number of quotes follows, so behind a dollar the quotes end and begin anew.
 */
function quoted(text: string): string {
  if (/[\u0000-\u001f\u007f\u0085\u2028\u2029]/.test(text)) {
    throw new RangeError('A line of a notebook cannot hold a name with a line break in it.');
  }
  if (/^[\w@%+=:,./~-]+$/.test(text)) {
    return text;
  }
  const inner = text
    .replace(/'/g, `'"'"'`)
    .replace(/\$/g, () => "$''")
    .replace(/[{}]/g, '$&$&');
  return `'${inner}'`;
}
