import { closeIcon, listIcon, refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { useTools } from './context';
import { Facts } from './facts';
import { IconButton } from './iconbutton';
import { Log } from './log';
import { clock, secondsOf } from './presentation';
import { Section } from './section';
import type { Load, State } from './state';
import { useTask } from './task';
import { owner } from './text';

/** The failed loads that the user has not dismissed, the newest first. */
export function Failures({ state }: { state: State }): JSX.Element | null {
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

const Failure = React.memo(function Failure({ load }: { load: Load }): JSX.Element {
  const { api, actions, trans, view } = useTools();
  const { running, trouble, begin } = useTask<'dismiss' | 'load'>();
  const [logShown, setLogShown] = React.useState(false);
  const read = React.useCallback(() => Promise.resolve(load.log), [load.log]);
  const { model } = load;
  const reload = async (): Promise<string> => {
    await actions.load(load.line);
    return trans.__('%1 is being loaded.', model);
  };
  const dismiss = async (): Promise<string> => {
    await api.dismiss(load.id);
    await view.nextReading();
    return trans.__('The failed load of %1 is dismissed.', model);
  };
  return (
    <li className="gpumodels-Row">
      <div className="gpumodels-Row-head">
        <span className="gpumodels-Row-name" title={load.line}>
          {model}
        </span>
        <span className="gpumodels-Row-buttons">
          <IconButton
            icon={refreshIcon}
            label={trans.__('Load %1 again', model)}
            disabled={running !== null}
            onClick={() => begin('load', reload)}
          />
          <IconButton
            icon={listIcon}
            label={trans.__('Log of %1', model)}
            expanded={logShown}
            onClick={() => setLogShown(!logShown)}
          />
          <IconButton
            icon={closeIcon}
            label={trans.__('Dismiss %1', model)}
            disabled={running !== null}
            onClick={() => begin('dismiss', dismiss)}
          />
        </span>
      </div>
      <Facts items={[owner(load, trans), clock(secondsOf(load.began))]} />
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
