import * as React from 'react';

import { useTools } from './context';
import { Devices } from './devices';
import { Failures } from './failures';
import { Kernels } from './kernels';
import { Models } from './models';
import { Section } from './section';
import { Troubles } from './troubles';
import type { ISeen } from './view';

const UNKNOWN: ISeen = { state: null, connection: 'connecting', trouble: '' };

/** All that the panel shows. */
export function Contents({ loadForm }: { loadForm: () => JSX.Element }): JSX.Element {
  const { trans, view } = useTools();
  const seen = useUnhurried(view.useSeen());
  return (
    <>
      <h2 className="gpumodels-Panel-title">{trans.__('GPU models')}</h2>
      <Troubles seen={seen} />
      <Known seen={seen} />
      {seen.connection !== 'missing' && seen.connection !== 'refused' && (
        <Section name={trans.__('Load a model')}>
          <LoadForm form={loadForm} />
        </Section>
      )}
    </>
  );
}

/** The latest value, drawn in small pieces between which the browser answers: a hundred models take their time. */
function useUnhurried(latest: ISeen): ISeen {
  const [drawn, setDrawn] = React.useState(UNKNOWN);
  React.useEffect(() => React.startTransition(() => setDrawn(latest)), [latest]);
  return drawn;
}

/** What was known when the server last answered stays in sight, and cannot be used. */
function Known({ seen: { connection, state } }: { seen: ISeen }): JSX.Element | null {
  if (!state || connection === 'missing' || connection === 'refused') {
    return null;
  }
  const lost = connection === 'lost';
  return (
    <div className={lost ? 'gpumodels-mod-past' : undefined} ref={node => inert(node, lost)}>
      <Devices state={state} />
      <Models state={state} />
      <Failures state={state} />
      <Kernels state={state} />
    </div>
  );
}

function inert(node: HTMLElement | null, is: boolean): void {
  if (node) {
    node.inert = is;
  }
}

const LoadForm = React.memo(({ form: Form }: { form: () => JSX.Element }) => <Form />);
