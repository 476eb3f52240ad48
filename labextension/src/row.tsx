import type { TranslationBundle } from '@jupyterlab/translation';
import { Button, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IRunningModel, Trouble } from './api';
import { explain, owner, since } from './text';

interface IRowProps {
  readonly model: IRunningModel;
  readonly stopping: boolean;
  readonly trouble?: Trouble;
  readonly onStop: () => void;
  readonly trans: TranslationBundle;
}

/** One running model. */
export function Row({ model, stopping, trouble, onStop, trans }: IRowProps): JSX.Element {
  const state = stopping
    ? trans.__('stopping…')
    : model.state === 'loading'
      ? trans.__('loading…')
      : model.state === 'kept'
        ? trans.__('kept %1', since(model.kept_since, trans))
        : '';
  return (
    <li className="gpumodels-Row" data-model-id={model.id} aria-busy={stopping}>
      <div className="gpumodels-Row-head">
        <span className="gpumodels-Row-name">{model.name}</span>
        <span className="gpumodels-Row-state">{state}</span>
        <Button
          minimal
          small
          disabled={stopping}
          onClick={onStop}
          title={trans.__('Stop %1', model.name)}
          aria-label={trans.__('Stop %1, loaded by %2', model.name, owner(model, trans))}
        >
          <stopIcon.react tag="span" stylesheet="toolbarButton" aria-hidden />
        </Button>
      </div>
      <div className="gpumodels-Row-detail">
        <span>{model.device}</span>
        <span>{model.engine}</span>
        <time dateTime={model.since} title={new Date(model.since).toLocaleString()}>
          {since(model.since, trans)}
        </time>
      </div>
      <div className="gpumodels-Row-owner" title={model.notebook}>
        {owner(model, trans)}
      </div>
      {model.over_since && (
        <div className="gpumodels-trouble">
          {trans.__('Over its memory limit %1', since(model.over_since, trans))}
        </div>
      )}
      {trouble && (
        <div className="gpumodels-trouble" role="alert">
          {trans.__('Not stopped: %1', explain(trouble, trans))}
        </div>
      )}
    </li>
  );
}
