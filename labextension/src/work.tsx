import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { useTools } from './context';
import { Facts } from './facts';
import { duration, rate, secondsOf, since, size } from './presentation';
import type { Model } from './state';
import { Ticking } from './ticking';

/** The device, the memory and the activity of a model. */
export function Work({ model }: { model: Model }): JSX.Element {
  const { trans } = useTools();
  const { activity, device, freed, memory, state } = model;
  const perSecond = activity?.per_second ?? null;
  const running = activity?.running ?? 0;
  const waiting = activity?.waiting ?? 0;
  return (
    <Facts
      items={[
        device,
        memory !== null && size(memory, trans),
        state === 'asleep' && freed && trans.__('%1 given back', size(freed, trans)),
        running > 0 && trans._n('%1 call runs', '%1 calls run', running),
        waiting > 0 && trans._n('%1 call waits', '%1 calls wait', waiting),
        state === 'kept' && since(model.kept_since, trans),
        rest(model, trans),
        perSecond !== null && trans.__('%1 calls/s', rate(perSecond))
      ]}
    />
  );
}

/** Return a text on how long the model sleeps or is idle. */
function rest(model: Model, trans: TranslationBundle): React.ReactNode {
  const { asleep_since: asleep, idle_since: idle } = model;
  if (asleep) {
    const fellAsleep = secondsOf(asleep);
    return <Ticking text={now => trans.__('for %1', duration(now - fellAsleep, trans))} />;
  }
  return (
    idle !== null && <Ticking text={now => trans.__('idle %1', duration(now - idle, trans))} />
  );
}
