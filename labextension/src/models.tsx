import * as React from 'react';

import { useCurrentNotebook, useTools } from './context';
import { grouped, type IGroup } from './groups';
import { LoadRow } from './loadrow';
import { Row } from './row';
import { Section } from './section';
import type { Load, State } from './state';
import { owner } from './text';

/** The running and sleeping models and the loads in progress, by notebook. */
export function Models({ state }: { state: State }): JSX.Element {
  const { trans } = useTools();
  const current = useCurrentNotebook();
  const groups = React.useMemo(() => grouped(state, current), [state.models, state.loads, current]);
  return (
    <Section name={trans.__('Models')}>
      {groups.map(group => (
        <Group key={group.key} group={group} state={state} />
      ))}
      {!groups.length && <Nothing />}
    </Section>
  );
}

function Group({ group, state }: { group: IGroup; state: State }): JSX.Element {
  const { trans } = useTools();
  const name = owner(group, trans);
  const label = group.current ? trans.__('%1 (this notebook)', name) : name;
  return (
    <div className="gpumodels-Group" role="group" aria-label={label}>
      <h4 className="gpumodels-Group-name" title={group.notebook}>
        {label}
      </h4>
      <ul className="gpumodels-List" aria-label={trans.__('Models of %1', name)}>
        {group.loads.map(load => (
          <LoadRow key={load.id} load={load} starting={starting(load, state)} />
        ))}
        {group.models.map(model => (
          <Row key={model.id} model={model} here={model.kernel_id in state.kernels} />
        ))}
      </ul>
    </div>
  );
}

/** Return the ids of the models that a load starts, separated by spaces. */
function starting({ instances }: Load, { models }: State): string {
  return instances.filter(id => models[id]?.state === 'loading').join(' ');
}

function Nothing(): JSX.Element {
  const { trans } = useTools();
  return (
    <div className="gpumodels-Hint" role="status">
      <p>{trans.__('No model is running. Load one below, or run this in a notebook:')}</p>
      <pre>{'%load_ext gpumodels\n%load_model ctpn'}</pre>
    </div>
  );
}
