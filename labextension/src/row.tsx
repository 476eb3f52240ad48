import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { launchIcon, listIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { Action } from './action';
import { useTools } from './context';
import { useDoing } from './doing';
import { Facts } from './facts';
import { sleepIcon } from './icon';
import { Log } from './log';
import type { IModel } from './state';
import { number, owner, since, size, span } from './text';
import { Ticking } from './ticking';

type Deed = 'stop' | 'sleep' | 'wake' | 'go';

/** One model: what it is and does, and what can be done with it. */
export const Row = React.memo(function Row({ model }: { model: IModel }): JSX.Element {
  const { trans } = useTools();
  const { what, trouble, begin } = useDoing<Deed>();
  const [logShown, setLogShown] = React.useState(false);
  const [waits, setWaits] = React.useState(false);
  React.useEffect(() => setWaits(false), [model.state]);
  const state = stateOf(model, what, trans);
  const { name, notebook, pid, engine } = model;
  const asked = React.useMemo(
    () => origin(model, trans),
    [name, notebook, pid, engine, model.since, trans]
  );
  return (
    <li className="gpumodels-Row" data-model-id={model.id} aria-busy={state.busy}>
      <div className="gpumodels-Row-head">
        <span className="gpumodels-Row-name" title={asked}>
          {model.name}
        </span>
        <span className={`gpumodels-State gpumodels-mod-${model.state}`}>{state.text}</span>
        <Buttons
          id={model.id}
          name={model.name}
          notebook={model.notebook}
          asleep={model.state === 'asleep'}
          canWake={model.can_wake}
          busy={state.busy}
          {...{ begin, setWaits, logShown, setLogShown }}
        />
      </div>
      <Work model={model} />
      {model.over_since && (
        <p className="gpumodels-Trouble">
          {trans.__('Over its memory limit %1', since(model.over_since, trans))}
        </p>
      )}
      {trouble && (
        <p className="gpumodels-Trouble" role="alert">
          {trouble}
        </p>
      )}
      {waits && (
        <p className="gpumodels-Hint">
          {trans.__('It wakes when the cell that runs in its notebook has ended.')}
        </p>
      )}
      {logShown && <ModelLog model={model} onClose={() => setLogShown(false)} />}
    </li>
  );
});

interface IButtonsProps {
  readonly id: string;
  readonly name: string;
  readonly notebook: string;
  readonly asleep: boolean;
  readonly canWake: boolean;
  readonly busy: boolean;
  readonly begin: ReturnType<typeof useDoing<Deed>>['begin'];
  /** For a cell that runs in its notebook, before it can wake. */
  readonly setWaits: (waits: boolean) => void;
  readonly logShown: boolean;
  readonly setLogShown: (shown: boolean) => void;
}

/** Icons are most of what a row costs; a model's numbers change every second, and these do not. */
const Buttons = React.memo(function Buttons(props: IButtonsProps): JSX.Element {
  const { id, name, notebook, asleep, canWake, busy, begin, setWaits } = props;
  const { logShown, setLogShown } = props;
  const { api, actions, trans } = useTools();
  const wake = async (): Promise<string> => {
    const waits = await api.wake(id);
    setWaits(waits);
    return waits ? '' : trans.__('%1 wakes.', name);
  };
  const sleep = async (): Promise<string> => {
    await api.sleep(id);
    return trans.__('%1 is asleep.', name);
  };
  const stop = async (): Promise<string> => {
    await api.stop(id);
    return trans.__('%1 has stopped.', name);
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
      <Action
        icon={listIcon}
        label={trans.__('Logs of %1', name)}
        expanded={logShown}
        onClick={() => setLogShown(!logShown)}
      />
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

function ModelLog({ model, onClose }: { model: IModel; onClose: () => void }): JSX.Element {
  const { api } = useTools();
  const read = React.useCallback(() => api.logs(model.id), [api, model.id]);
  return <Log name={model.name} read={read} onClose={onClose} />;
}

function Work({ model }: { model: IModel }): JSX.Element {
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

function stateOf(
  { state }: IModel,
  what: Deed | null,
  trans: TranslationBundle
): { text: string; busy: boolean } {
  if (what === 'stop' || state === 'stopping') {
    return { text: trans.__('stopping…'), busy: true };
  }
  if (what === 'sleep') {
    return { text: trans.__('falling asleep…'), busy: true };
  }
  if (what === 'wake') {
    return { text: trans.__('waking…'), busy: true };
  }
  switch (state) {
    case 'loading':
      return { text: trans.__('loading…'), busy: false };
    case 'asleep':
      return { text: trans.__('asleep'), busy: false };
    case 'kept':
      return { text: trans.__('kept'), busy: false };
    default:
      return { text: trans.__('ready'), busy: false };
  }
}

/** Who asked for it and how it runs. */
function origin(model: IModel, trans: TranslationBundle): string {
  return trans.__(
    '%1, loaded by %2 %3, engine %4',
    model.name,
    owner(model, trans),
    since(model.since, trans),
    model.engine
  );
}
