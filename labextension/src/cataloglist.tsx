import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { size } from './presentation';
import type { CatalogModel } from './state';

interface ICatalogListProps {
  readonly models: readonly CatalogModel[] | null;
  readonly chosen: string;
  readonly onChoose: (name: string) => void;
  readonly trans: TranslationBundle;
}

/** The models that the search found. Memoised, so that a new reading of the GPUs does not draw the list again. */
export const CatalogList = React.memo(function CatalogList(
  props: ICatalogListProps
): JSX.Element | null {
  const { models, chosen, onChoose, trans } = props;
  if (!models?.length) {
    return models && <p className="gpumodels-Form-none">{trans.__('No model of that name.')}</p>;
  }
  return (
    <div className="gpumodels-Form-models" role="radiogroup" aria-label={trans.__('Models')}>
      {models.map(({ name, summary, memory, trouble }) => (
        <label key={name} className="gpumodels-Form-model" title={trouble || summary}>
          <input
            type="radio"
            name="gpumodels-model"
            checked={name === chosen}
            onChange={() => onChoose(name)}
            aria-label={name}
            aria-description={trouble || summary}
            disabled={trouble !== ''}
          />
          <span className="gpumodels-Form-name">{name}</span>
          <span className="gpumodels-Form-need">{memory ? size(memory, trans) : ''}</span>
          <span className="gpumodels-Form-summary">{trouble || summary}</span>
        </label>
      ))}
    </div>
  );
});
