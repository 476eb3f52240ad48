import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { useTools } from './context';
import { Facts } from './facts';
import { Memory } from './memory';
import { number, size } from './presentation';
import { Section } from './section';
import { Sparkline } from './sparkline';
import type { Device, State } from './state';

/** A card for each GPU and slice, or the reason why there are none. */
export function Devices({ state }: { state: State }): JSX.Element {
  const { trans } = useTools();
  const devices = Object.entries(state.devices).sort(([, one], [, other]) => order(one, other));
  return (
    <Section name={trans.__('GPUs')}>
      {devices.map(([key, device]) => (
        <Card key={key} id={key} device={device} />
      ))}
      {!devices.length && (
        <p className="gpumodels-Hint" role="status">
          {trans.__('No GPU: %1.', state.trouble || trans.__('none was found'))}{' '}
          {trans.__(
            'Models run on the CPU. If there is one, “Check This Machine” in the command palette says what is missing.'
          )}
        </p>
      )}
    </Section>
  );
}

function order(one: Device, other: Device): number {
  return one.index - other.index || (one.slice_index ?? -1) - (other.slice_index ?? -1);
}

interface ICardProps {
  /** The key of the device in the state. A GPU that has failed may have no UUID. */
  readonly id: string;
  readonly device: Device;
}

const Card = React.memo(function Card({ id, device }: ICardProps): JSX.Element {
  const { trans } = useTools();
  const slice = device.parent ? ' gpumodels-mod-slice' : '';
  return (
    <article
      className={`gpumodels-Card${slice}`}
      aria-label={`${device.label} ${device.name}`.trim()}
    >
      <div className="gpumodels-Card-head" title={device.uuid}>
        <span className="gpumodels-Card-label">{device.label}</span>
        <span className="gpumodels-Card-name">{device.name}</span>
      </div>
      {device.trouble ? (
        <p className="gpumodels-Trouble">{device.trouble}</p>
      ) : (
        <>
          <div className="gpumodels-Card-readings">
            {!device.sliced && !device.parent && <Sparkline device={id} />}
            <Facts items={readings(device, trans)} />
          </div>
          <Memory
            label={device.label}
            used={device.memory_used}
            total={device.memory_total}
            shares={device.shares}
          />
        </>
      )}
    </article>
  );
});

/** Return the readings of a device as texts; '' for a reading that is not available. */
function readings(device: Device, trans: TranslationBundle): string[] {
  const { temperature, power, power_limit: limit } = device;
  const used = size(device.memory_used, trans);
  const watts = power === null ? '' : number(power);
  return [
    trans.__('%1 of %2', used, size(device.memory_total, trans)),
    busy(device, trans),
    temperature === null ? '' : trans.__('%1 °C', number(temperature)),
    watts && (limit ? trans.__('%1 of %2 W', watts, number(limit)) : trans.__('%1 W', watts)),
    device.allowed ? '' : trans.__('not allowed by your administrator'),
    device.allowed && device.sliced ? trans.__('MIG mode: use a slice') : ''
  ];
}

/** Return the utilisation as text; '' for slices and for GPUs in MIG mode, which never have this reading. */
function busy({ parent, sliced, utilisation }: Device, trans: TranslationBundle): string {
  if (utilisation !== null) {
    return trans.__('%1 % busy', number(utilisation));
  }
  return parent || sliced ? '' : trans.__('utilisation not available');
}
