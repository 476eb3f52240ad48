import { PathExt } from '@jupyterlab/coreutils';
import { launchIcon, listIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Action } from './action';
import { useTools } from './context';
import type { IDoing } from './doing';
import { sleepIcon } from './icon';

export type Deed = 'stop' | 'sleep' | 'wake' | 'go';

interface IButtonsProps {
  readonly id: string;
  readonly name: string;
  /** One that can be gone to, or ''. */
  readonly notebook: string;
  readonly asleep: boolean;
  readonly canWake: boolean;
  readonly busy: boolean;
  readonly begin: IDoing<Deed>['begin'];
  /** What waits for a cell that runs in its notebook. */
  readonly setWaiting: (deed: Deed | null) => void;
  readonly logShown: boolean;
  readonly setLogShown: (shown: boolean) => void;
}

/** Icons are most of what a row costs; a model's numbers change every second, and these do not. */
export const Buttons = React.memo(function Buttons(props: IButtonsProps): JSX.Element {
  const { id, name, notebook, asleep, canWake, busy, begin, setWaiting } = props;
  const { logShown, setLogShown } = props;
  const { api, actions, trans, view } = useTools();
  const wake = async (): Promise<string> => {
    const waits = await api.wake(id);
    setWaiting(waits ? 'wake' : null);
    await view.readAnew();
    return waits ? '' : trans.__('%1 wakes.', name);
  };
  const sleep = async (): Promise<string> => {
    await api.sleep(id);
    await view.readAnew();
    return trans.__('%1 is asleep.', name);
  };
  const stop = async (): Promise<string> => {
    const waits = await api.stop(id);
    setWaiting(waits ? 'stop' : null);
    await view.readAnew();
    return waits ? '' : trans.__('%1 has stopped.', name);
  };
  return (
    <span className="gpumodels-Row-buttons">
      {asleep && canWake && (
        <Action
          icon={runIcon}
          label={trans.__('Wake %1', name)}
          disabled={busy}
          onClick={() => begin('wake', wake)}
        />
      )}
      {!asleep && (
        <Action
          icon={sleepIcon}
          label={trans.__('Put %1 to sleep', name)}
          disabled={busy}
          onClick={() => begin('sleep', sleep)}
        />
      )}
      {!asleep && (
        <Action
          icon={listIcon}
          label={trans.__('Logs of %1', name)}
          expanded={logShown}
          onClick={() => setLogShown(!logShown)}
        />
      )}
      {notebook && (
        <Action
          icon={launchIcon}
          label={trans.__('Go to %1', PathExt.basename(notebook))}
          onClick={() => begin('go', () => actions.goToNotebook(notebook))}
        />
      )}
      <Action
        icon={stopIcon}
        label={trans.__('Stop %1', name)}
        disabled={busy}
        onClick={() => begin('stop', stop)}
      />
    </span>
  );
});
