import { closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Action } from './action';
import { useTools } from './context';
import { useDoing } from './doing';
import { Facts } from './facts';
import { Progress } from './progress';
import type { ILoad } from './state';
import { span } from './text';
import { Ticking } from './ticking';

interface ILoadRowProps {
  readonly load: ILoad;
  /** The ids of its models that are starting, with spaces between. */
  readonly starting: string;
}

/** A load under way. */
export const LoadRow = React.memo(function LoadRow(props: ILoadRowProps): JSX.Element {
  const { load, starting } = props;
  const { api, trans, view } = useTools();
  const began = Date.parse(load.began) / 1000;
  const { what, trouble, begin } = useDoing<'cancel'>();
  const cancel = async (): Promise<string> => {
    await (starting
      ? Promise.all(starting.split(' ').map(id => api.stop(id)))
      : api.dismiss(load.id));
    await view.readAnew();
    return trans.__('The load of %1 was stopped.', load.model);
  };
  return (
    <li className="gpumodels-Row" aria-busy="true">
      <div className="gpumodels-Row-head">
        <span className="gpumodels-Row-name" title={load.line}>
          {load.model}
        </span>
        <span className="gpumodels-State gpumodels-mod-loading">
          <Ticking told={now => trans.__('loading… %1', span(now - began, trans))} />
        </span>
        <span className="gpumodels-Row-buttons">
          <Action
            icon={closeIcon}
            label={trans.__('Stop loading %1', load.model)}
            disabled={what !== null}
            onClick={() => begin('cancel', cancel)}
          />
        </span>
      </div>
      <Progress
        name={trans.__('Loading %1', load.model)}
        fraction={load.fraction}
        text={load.text}
      />
      <Facts of={[load.text]} />
      {trouble && (
        <p className="gpumodels-Trouble" role="alert">
          {trouble}
        </p>
      )}
    </li>
  );
});
