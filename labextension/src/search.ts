import type { TranslationBundle } from '@jupyterlab/translation';

import type { CatalogModel } from './state';

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
