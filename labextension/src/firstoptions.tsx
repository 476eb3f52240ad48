import { HTMLSelect } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { LoadForm } from './form';
import { choices } from './gpus';
import { OPTIONS } from './options';
import { complaint } from './request';
import type { Device } from './state';

const ENGINES = ['auto', 'docker', 'process'];
const IDLE = OPTIONS.find(({ name }) => name === 'idle')!;

interface IFirstOptionsProps {
  readonly form: LoadForm;
  readonly devices: readonly Device[];
}

/** The fields for GPU, engine and idle time. */
export function FirstOptions({ form, devices }: IFirstOptionsProps): JSX.Element {
  const { choice, trans } = form;
  const times = React.useId();
  const engines = form.catalog?.engines ?? ENGINES;
  return (
    <>
      <label>
        <span>{trans.__('GPU')}</span>
        <HTMLSelect
          value={choice.gpu}
          options={[...choices(devices, choice.gpu, trans)]}
          onChange={event => form.choose({ gpu: event.target.value })}
        />
      </label>
      <label>
        <span>{trans.__('Engine')}</span>
        <HTMLSelect
          value={choice.engine}
          options={[...new Set([...engines, choice.engine])]}
          onChange={event => form.choose({ engine: event.target.value })}
        />
      </label>
      <label>
        <span>{trans.__('Sleep when idle for')}</span>
        <input
          className="jp-mod-styled"
          list={times}
          value={choice.idle}
          placeholder={trans.__('your default')}
          aria-invalid={complaint(IDLE, choice, trans) !== ''}
          onChange={event => form.choose({ idle: event.target.value })}
        />
        <datalist id={times}>
          {IDLE.examples.map(time => (
            <option key={time} value={time} />
          ))}
        </datalist>
      </label>
    </>
  );
}
