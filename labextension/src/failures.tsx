import { closeIcon, listIcon, refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Action } from './action';
import { useTools } from './context';
import { useDoing } from './doing';
import { Facts } from './facts';
import { Log } from './log';
import { Section } from './section';
import type { ILoad, IState } from './state';
import { clock, owner } from './text';

/** Loads that failed, until they are dismissed; the newest first. */
export function Failures({ state }: { state: IState }): JSX.Element | null {
  const { trans } = useTools();
  const failed = Object.values(state.loads)
    .filter(load => load.failed)
    .sort((a, b) => b.began.localeCompare(a.began));
  if (!failed.length) {
    return null;
  }
  return (
    <Section name={trans.__('Failed loads')}>
      <ul className="gpumodels-List" aria-label={trans.__('Failed loads')}>
        {failed.map(load => (
          <Failure key={load.id} load={load} />
        ))}
      </ul>
    </Section>
  );
}

const Failure = React.memo(function Failure({ load }: { load: ILoad }): JSX.Element {
  const { api, actions, trans, view } = useTools();
  const { what, trouble, begin } = useDoing<'dismiss' | 'load'>();
  const [logShown, setLogShown] = React.useState(false);
  const read = React.useCallback(() => Promise.resolve(load.log), [load.log]);
  const { model } = load;
  const again = async (): Promise<string> => {
    await actions.load(load.line);
    return trans.__('%1 is being loaded.', model);
  };
  const dismiss = async (): Promise<string> => {
    await api.dismiss(load.id);
    await view.readAnew();
    return trans.__('The failed load of %1 is dismissed.', model);
  };
  return (
    <li className="gpumodels-Row">
      <div className="gpumodels-Row-head">
        <span className="gpumodels-Row-name" title={load.line}>
          {model}
        </span>
        <span className="gpumodels-Row-buttons">
          <Action
            icon={refreshIcon}
            label={trans.__('Load %1 again', model)}
            disabled={what !== null}
            onClick={() => begin('load', again)}
          />
          <Action
            icon={listIcon}
            label={trans.__('Log of %1', model)}
            expanded={logShown}
            onClick={() => setLogShown(!logShown)}
          />
          <Action
            icon={closeIcon}
            label={trans.__('Dismiss %1', model)}
            disabled={what !== null}
            onClick={() => begin('dismiss', dismiss)}
          />
        </span>
      </div>
      <Facts of={[owner(load, trans), clock(load.began)]} />
      <p className="gpumodels-Trouble">{load.failed}</p>
      {trouble && (
        <p className="gpumodels-Trouble" role="alert">
          {trouble}
        </p>
      )}
      {logShown && <Log name={model} read={read} onClose={() => setLogShown(false)} />}
    </li>
  );
});
