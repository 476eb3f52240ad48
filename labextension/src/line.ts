/** What `%load_model` is asked for; what is missing, '' or 'auto' is left to the user's settings. */
export interface IAsked {
  /** A name of the catalog, or the path of a model folder. */
  readonly model: string;
  /** '0', '0,1', 'auto:2', the UUID of a slice, 'none'. */
  readonly gpu?: string;
  readonly engine?: string;
  /** '10m', 'never'. */
  readonly idle?: string;
}

export const LOAD_EXTENSION = '%load_ext gpumodels';

/** The line that loads it, as `gpumodels/magics/arguments.py` reads it behind IPython. Throws RangeError. */
export function loadLine({ model, gpu, engine, idle }: IAsked): string {
  // No name begins with a dash, so this is a path; as it is, it would be read as an option.
  const words = ['%load_model', word(model.startsWith('-') ? `./${model}` : model)];
  for (const [option, value] of Object.entries({ gpu, engine, idle })) {
    if (value && value !== 'auto') {
      words.push(`--${option}`, word(value));
    }
  }
  return words.join(' ');
}

/** Whether an idle time is one: as `gpumodels/settings/durations.py` reads it. */
export function isDuration(text: string): boolean {
  const written = /^([0-9]+(?:\.[0-9]+)?) ?[smhd]?$/.exec(text);
  return text === 'never' || text === 'forever' || (written !== null && Number(written[1]) > 0);
}

/** Whether a cell's source has a line that loads our extension. */
export function loadsExtension(source: string): boolean {
  return /^\s*%?(?:re)?load_ext\s+gpumodels\s*$/m.test(source);
}

/**
 * `text` as one word. The shell's quotes keep it together; IPython expands `{x}` and, unless an odd number of quotes
 * follows, `$x` also in them: so braces are doubled, and behind a dollar the quotes end and begin anew.
 */
function word(text: string): string {
  if (/[\u0000-\u001f\u007f\u0085\u2028\u2029]/.test(text)) {
    throw new RangeError('A line of a notebook cannot hold a name with a line break in it.');
  }
  if (/^[\w@%+=:,./~-]+$/.test(text)) {
    return text;
  }
  const quoted = text
    .replace(/'/g, `'"'"'`)
    .replace(/\$/g, () => "$''")
    .replace(/[{}]/g, '$&$&');
  return `'${quoted}'`;
}
