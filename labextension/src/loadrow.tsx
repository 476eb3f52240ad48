import { closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { useTools } from './context';
import { Facts } from './facts';
import { IconButton } from './iconbutton';
import { duration, secondsOf } from './presentation';
import { Progress } from './progress';
import type { Load } from './state';
import { useTask } from './task';
import { Ticking } from './ticking';

interface ILoadRowProps {
  readonly load: Load;
  /** The ids of the models that the load starts, separated by spaces. */
  readonly starting: string;
}

/** The row of a load in progress. */
export const LoadRow = React.memo(function LoadRow(props: ILoadRowProps): JSX.Element {
  const { load, starting } = props;
  const { api, trans, view } = useTools();
  const began = secondsOf(load.began);
  const { running, trouble, begin } = useTask<'cancel'>();
  const cancel = async (): Promise<string> => {
    await (starting
      ? Promise.all(starting.split(' ').map(id => api.stop(id)))
      : api.dismiss(load.id));
    await view.nextReading();
    return trans.__('The load of %1 was stopped.', load.model);
  };
  return (
    <li className="gpumodels-Row" aria-busy="true">
      <div className="gpumodels-Row-head">
        <span className="gpumodels-Row-name" title={load.line}>
          {load.model}
        </span>
        <span className="gpumodels-State gpumodels-mod-loading">
          <Ticking text={now => trans.__('loading… %1', duration(now - began, trans))} />
        </span>
        <span className="gpumodels-Row-buttons">
          <IconButton
            icon={closeIcon}
            label={trans.__('Stop loading %1', load.model)}
            disabled={running !== null}
            onClick={() => begin('cancel', cancel)}
          />
        </span>
      </div>
      <Progress
        name={trans.__('Loading %1', load.model)}
        fraction={load.fraction}
        text={load.text}
      />
      <Facts items={[load.text]} />
      {trouble && (
        <p className="gpumodels-Trouble" role="alert">
          {trouble}
        </p>
      )}
    </li>
  );
});
