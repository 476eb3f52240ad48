import { type IOption, OPTIONS } from './options';
import type { LoadRequest } from './state';

/** The options of one load, as `POST models` takes them; a line can also have the one that HTTP does not offer. */
export interface ILineRequest extends LoadRequest {
  readonly serve?: string;
}

export const LOAD_EXTENSION = '%load_ext gpumodels';

/** Return the line that loads a model, for IPython and then `gpumodels/magics/arguments.py`; see `load_line.py`. */
export function loadLine(request: ILineRequest): string {
  // A model with a dash in front is a path, because no name has one. Without './' it would be read as an option.
  const model = request.model.startsWith('-') ? `./${request.model}` : request.model;
  return ['%load_model', quoted(model), ...OPTIONS.flatMap(each => words(each, request))].join(' ');
}

/** Return true if a cell's source has a line that loads our extension. */
export function loadsExtension(source: string): boolean {
  return /^\s*%?(?:re)?load_ext\s+gpumodels\s*$/m.test(source);
}

/** Return the words of an option; none where it is not given, or is the default. */
function words({ name, flag, kind, default: usual }: IOption, request: ILineRequest): string[] {
  const value = request[name] ?? usual;
  if (value === usual || value === null) {
    return [];
  }
  if (kind === 'switch') {
    return [flag];
  }
  // An object is of settings. Text of an array has commas between.
  const texts =
    typeof value === 'object' && !Array.isArray(value)
      ? Object.entries(value).map(pair => pair.join('='))
      : [String(value)];
  // As a word of its own, a value with a dash in front would be read as another option.
  return texts.map(text => `${flag}${text.startsWith('-') ? '=' : ' '}${quoted(text)}`);
}

/**
 * Return the text as one word of a line.
 *
 * The shell's quotes keep it together. IPython expands `{x}` also between quotes, so braces are doubled. It expands `$x`
 * as well, unless an odd number of quotes follows, so behind a dollar the quotes end and begin anew. A line break is
 * written as `{chr(10)}`, which IPython expands; so are other control characters, and halves of a surrogate pair.
 */
function quoted(text: string): string {
  if (/^[\w@%+=:,./~-]+$/.test(text)) {
    return text;
  }
  const inner = text
    .replace(/'/g, `'"'"'`)
    .replace(/\$/g, () => "$''")
    .replace(/[{}]/g, '$&$&')
    .replace(/[\p{Cc}\p{Cs}\u2028\u2029]/gu, found => `{chr(${found.codePointAt(0)})}`);
  return `'${inner}'`;
}
