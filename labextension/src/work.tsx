import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { useTools } from './context';
import { Facts } from './facts';
import type { IModel } from './state';
import { number, since, size, span } from './text';
import { Ticking } from './ticking';

/** Where a model runs, what it holds and what it does. */
export function Work({ model }: { model: IModel }): JSX.Element {
  const { trans } = useTools();
  const { activity, device, freed, memory, state } = model;
  const rate = activity?.per_second ?? null;
  const running = activity?.running ?? 0;
  const waiting = activity?.waiting ?? 0;
  return (
    <Facts
      of={[
        device,
        memory !== null && size(memory, trans),
        state === 'asleep' && freed && trans.__('%1 given back', size(freed, trans)),
        running > 0 && trans._n('%1 call runs', '%1 calls run', running),
        waiting > 0 && trans._n('%1 call waits', '%1 calls wait', waiting),
        state === 'kept' && since(model.kept_since, trans),
        rest(model, trans),
        rate !== null && trans.__('%1 calls/s', number(rate, rate < 10 ? 1 : 0))
      ]}
    />
  );
}

/** For how long it sleeps, or is idle. */
function rest(model: IModel, trans: TranslationBundle): React.ReactNode {
  const { asleep_since: asleep, idle_since: idle } = model;
  if (asleep) {
    const fell = Date.parse(asleep) / 1000;
    return <Ticking told={now => trans.__('for %1', span(now - fell, trans))} />;
  }
  return idle !== null && <Ticking told={now => trans.__('idle %1', span(now - idle, trans))} />;
}
