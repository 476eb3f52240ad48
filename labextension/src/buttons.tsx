import { PathExt } from '@jupyterlab/coreutils';
import { launchIcon, listIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { useTools } from './context';
import { sleepIcon } from './icon';
import { IconButton } from './iconbutton';
import type { ITask } from './task';

export type ModelAction = 'stop' | 'sleep' | 'wake' | 'go';

interface IButtonsProps {
  readonly id: string;
  readonly name: string;
  /** The path of the model's notebook, if it can be opened here, or ''. */
  readonly notebook: string;
  readonly asleep: boolean;
  readonly canWake: boolean;
  readonly busy: boolean;
  readonly begin: ITask<ModelAction>['begin'];
  /** Report an action that has to wait for a cell that runs in the model's notebook. */
  readonly setWaiting: (action: ModelAction | null) => void;
  readonly logShown: boolean;
  readonly setLogShown: (shown: boolean) => void;
}

/** The buttons of a model's row. Memoised, because icons are slow to draw and do not change with the numbers. */
export const Buttons = React.memo(function Buttons(props: IButtonsProps): JSX.Element {
  const { id, name, notebook, asleep, canWake, busy, begin, setWaiting } = props;
  const { logShown, setLogShown } = props;
  const { api, actions, trans, view } = useTools();
  const wake = async (): Promise<string> => {
    const waits = await api.wake(id);
    setWaiting(waits ? 'wake' : null);
    await view.nextReading();
    return waits ? '' : trans.__('%1 wakes.', name);
  };
  const sleep = async (): Promise<string> => {
    await api.sleep(id);
    await view.nextReading();
    return trans.__('%1 is asleep.', name);
  };
  const stop = async (): Promise<string> => {
    const waits = await api.stop(id);
    setWaiting(waits ? 'stop' : null);
    await view.nextReading();
    return waits ? '' : trans.__('%1 has stopped.', name);
  };
  return (
    <span className="gpumodels-Row-buttons">
      {asleep && canWake && (
        <IconButton
          icon={runIcon}
          label={trans.__('Wake %1', name)}
          disabled={busy}
          onClick={() => begin('wake', wake)}
        />
      )}
      {!asleep && (
        <IconButton
          icon={sleepIcon}
          label={trans.__('Put %1 to sleep', name)}
          disabled={busy}
          onClick={() => begin('sleep', sleep)}
        />
      )}
      {!asleep && (
        <IconButton
          icon={listIcon}
          label={trans.__('Logs of %1', name)}
          expanded={logShown}
          onClick={() => setLogShown(!logShown)}
        />
      )}
      {notebook && (
        <IconButton
          icon={launchIcon}
          label={trans.__('Go to %1', PathExt.basename(notebook))}
          onClick={() => begin('go', () => actions.goToNotebook(notebook))}
        />
      )}
      <IconButton
        icon={stopIcon}
        label={trans.__('Stop %1', name)}
        disabled={busy}
        onClick={() => begin('stop', stop)}
      />
    </span>
  );
});
