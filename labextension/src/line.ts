import { type IOption, OPTIONS } from './options';
import type { LoadRequest } from './state';

/** The options of one load, as for `POST models`, and the option that only a line can have. */
export interface ILineRequest extends LoadRequest {
  readonly serve?: string;
}

export const LOAD_EXTENSION = '%load_ext gpumodels';

/** Return the line that loads a model. IPython and `gpumodels/magics/arguments.py` parse it; see `load_line.py`. */
export function loadLine(request: ILineRequest): string {
  // A model that begins with a dash is a path, because no name does. Without './' it would be read as an option.
  const model = request.model.startsWith('-') ? `./${request.model}` : request.model;
  return ['%load_model', quoted(model), ...OPTIONS.flatMap(each => words(each, request))].join(' ');
}

/** Return true if a cell's source has a line that loads our extension. */
export function loadsExtension(source: string): boolean {
  return /^\s*%?(?:re)?load_ext\s+gpumodels\s*$/m.test(source);
}

/** Return the words of an option; none if it is not given or is the default. */
function words({ name, flag, kind, default: usual }: IOption, request: ILineRequest): string[] {
  const value = request[name] ?? usual;
  if (value === usual || value === null) {
    return [];
  }
  if (kind === 'switch') {
    return [flag];
  }
  // An object holds settings, NAME=VALUE. An array becomes text with commas between its items.
  const texts =
    typeof value === 'object' && !Array.isArray(value)
      ? Object.entries(value).map(pair => pair.join('='))
      : [String(value)];
  // As a separate word, a value that begins with a dash would be read as another option.
  return texts.map(text => `${flag}${text.startsWith('-') ? '=' : ' '}${quoted(text)}`);
}

/**
 * Return the text as one word of a line.
 *
 * The text is quoted as in a shell. IPython expands `{x}` even between quotes, so braces are doubled. It also expands
 * `$x`, unless an odd number of quotes follows, so the quotes are closed and opened again after each dollar. A line
 * break is written as `{chr(10)}`, which IPython expands. So are other control characters and single surrogates.
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
