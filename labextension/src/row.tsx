import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { Buttons, type ModelAction } from './buttons';
import { useTools } from './context';
import { Log } from './log';
import { since } from './presentation';
import type { Model } from './state';
import { useTask } from './task';
import { owner } from './text';
import { Work } from './work';

interface IRowProps {
  readonly model: Model;
  /** True if the model's notebook runs on this Jupyter server, so that it can be opened. */
  readonly here: boolean;
}

/** The row of one model: its state, its readings and its buttons. */
export const Row = React.memo(function Row({ model, here }: IRowProps): JSX.Element {
  const { trans } = useTools();
  const { running, trouble, begin } = useTask<ModelAction>();
  const [logShown, setLogShown] = React.useState(false);
  const [waiting, setWaiting] = React.useState<ModelAction | null>(null);
  React.useEffect(() => setWaiting(null), [model.state]);
  const state = stateOf(model, running, trans);
  const { name, notebook, pid, engine } = model;
  const title = React.useMemo(
    () => origin(model, trans),
    [name, notebook, pid, engine, model.since, trans]
  );
  return (
    <li className="gpumodels-Row" data-model-id={model.id} aria-busy={state.busy}>
      <div className="gpumodels-Row-head">
        <span className="gpumodels-Row-name" title={title}>
          {model.name}
        </span>
        <span className={`gpumodels-State gpumodels-mod-${model.state}`}>{state.text}</span>
        <Buttons
          id={model.id}
          name={model.name}
          notebook={here ? model.notebook : ''}
          asleep={model.state === 'asleep'}
          canWake={model.can_wake}
          busy={state.busy}
          {...{ begin, setWaiting, logShown, setLogShown }}
        />
      </div>
      <Work model={model} />
      {model.over_since && (
        <p className="gpumodels-Trouble">
          {trans.__('Over its memory limit %1', since(model.over_since, trans))}
        </p>
      )}
      {trouble && (
        <p className="gpumodels-Trouble" role="alert">
          {trouble}
        </p>
      )}
      {waiting && (
        <p className="gpumodels-Hint" role="status">
          {waiting === 'wake'
            ? trans.__('It wakes when the cell that runs in its notebook has ended.')
            : trans.__('It stops when the cell that runs in its notebook has ended.')}
        </p>
      )}
      {logShown && <ModelLog model={model} onClose={() => setLogShown(false)} />}
    </li>
  );
});

function ModelLog({ model, onClose }: { model: Model; onClose: () => void }): JSX.Element {
  const { api } = useTools();
  const read = React.useCallback(() => api.logs(model.id), [api, model.id]);
  return <Log name={model.name} read={read} onClose={onClose} />;
}

function stateOf(
  { state }: Model,
  running: ModelAction | null,
  trans: TranslationBundle
): { text: string; busy: boolean } {
  if (running === 'stop' || state === 'stopping') {
    return { text: trans.__('stopping…'), busy: true };
  }
  if (running === 'sleep') {
    return { text: trans.__('falling asleep…'), busy: true };
  }
  if (running === 'wake') {
    return { text: trans.__('waking…'), busy: true };
  }
  switch (state) {
    case 'loading':
      return { text: trans.__('loading…'), busy: false };
    case 'asleep':
      return { text: trans.__('asleep'), busy: false };
    case 'kept':
      return { text: trans.__('kept'), busy: false };
    default:
      return { text: trans.__('ready'), busy: false };
  }
}

/** Return the owner of a model, the moment of its load and its engine. */
function origin(model: Model, trans: TranslationBundle): string {
  return trans.__(
    '%1, loaded by %2 %3, engine %4',
    model.name,
    owner(model, trans),
    since(model.since, trans),
    model.engine
  );
}
