import type { TranslationBundle } from '@jupyterlab/translation';

import type { ILineRequest } from './line';
import { type IOption, type OptionName, OPTIONS } from './options';
import type { CatalogModel } from './state';

/** The texts in the form's fields. '' leaves an option to the user's settings. Any other text turns a switch on. */
export type Choice = Readonly<Record<'model' | OptionName, string>>;

const EMPTY = Object.fromEntries(OPTIONS.map(({ name }) => [name, ''])) as Choice;

/** The texts at the start. A field that still has its first text leaves its option to the user's settings, too. */
export const INITIAL: Choice = { ...EMPTY, model: '', gpu: 'auto', engine: 'auto' };

/** The text for a switch that is turned on. */
export const ON = 'on';

/** Return the request for the texts of the form. */
export function requestOf(choice: Choice): ILineRequest {
  const given = OPTIONS.filter(option => isGiven(option, choice));
  const values = given.map(option => [option.name, valueOf(option, choice[option.name])]);
  return { model: choice.model, ...Object.fromEntries(values) } as ILineRequest;
}

/** Return the texts for the options of a command, which another extension may pass. Leave out unsuitable values. */
export function choiceOf(asked: Readonly<Record<string, unknown>>): Partial<Choice> {
  const texts = Object.entries(asked).filter(
    ([name, value]) => name in INITIAL && typeof value === 'string'
  );
  const switches = OPTIONS.filter(({ name }) => typeof asked[name] === 'boolean');
  const turned = switches
    .filter(({ kind }) => kind === 'switch')
    .map(({ name, default: usual }) => [name, asked[name] === usual ? '' : ON]);
  return Object.fromEntries([...texts, ...turned]) as Partial<Choice>;
}

/** Return a sentence on a text that is not valid, else ''. The notebook checks the rest when it runs the line. */
export function complaint(option: IOption, choice: Choice, trans: TranslationBundle): string {
  const text = choice[option.name].trim();
  if (!isGiven(option, choice)) {
    return '';
  }
  switch (option.kind) {
    case 'duration':
      return isDuration(text) || option.examples.includes(text)
        ? ''
        : trans.__(
            '%1 is a time such as 90s, 10m, 2h or %2.',
            title(option),
            option.examples[option.examples.length - 1]
          );
    case 'count':
      return /^[1-9][0-9]*$/.test(text) ? '' : trans.__('%1 is a whole number.', title(option));
    case 'settings':
      return lines(text).every(line => line.indexOf('=') > 0)
        ? ''
        : trans.__('%1 is lines of the form %2.', title(option), option.metavar);
    default:
      return '';
  }
}

/** Return the name of an option's field, made of its flag: "No cache" for `--no-cache`. */
export function title({ flag }: IOption): string {
  const words = flag.replace(/^--/, '').replace(/-/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Return true for a time such as "10m", as `duration` of gpumodels/settings/units.py reads it; false for "never". */
export function isDuration(text: string): boolean {
  const written = /^([0-9]+(?:\.[0-9]+)?) ?[smhd]?$/.exec(text);
  return written !== null && Number(written[1]) > 0;
}

function isGiven({ name }: IOption, choice: Choice): boolean {
  return choice[name].trim() !== '' && choice[name] !== INITIAL[name];
}

function valueOf({ kind, default: usual }: IOption, given: string): unknown {
  const text = given.trim();
  switch (kind) {
    case 'switch':
      return !usual;
    case 'count':
      return Number(text);
    case 'settings':
      return Object.fromEntries(
        lines(given).map(line => [
          line.slice(0, line.indexOf('=')),
          line.slice(line.indexOf('=') + 1)
        ])
      );
    default:
      return text;
  }
}

function lines(text: string): readonly string[] {
  return text.split('\n').filter(line => line.trim() !== '');
}

/** Return the models that a search finds. If the text is a path, that is a model too. */
export function find(
  catalog: readonly CatalogModel[],
  search: string,
  trans: TranslationBundle
): readonly CatalogModel[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const models = catalog.filter(({ name, summary }) =>
    words.every(word => `${name} ${summary}`.toLowerCase().includes(word))
  );
  const path = search.trim();
  const summary = trans.__('the model folder of that path');
  return /^[.~]|\//.test(path)
    ? [...models, { name: path, summary, memory: 0, folder: path, trouble: '' }]
    : models;
}
