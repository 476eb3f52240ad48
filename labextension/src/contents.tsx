import * as React from 'react';

import { useTools } from './context';
import { Devices } from './devices';
import { Failures } from './failures';
import { Kernels } from './kernels';
import { Models } from './models';
import { Section } from './section';
import { Troubles } from './troubles';
import type { IShown } from './view';

const UNKNOWN: IShown = { state: null, connection: 'connecting', trouble: '' };

/** The contents of the panel. */
export function Contents({ loadForm }: { loadForm: () => JSX.Element }): JSX.Element {
  const { trans, view } = useTools();
  const shown = useDeferred(view.useShown());
  return (
    <>
      <h2 className="gpumodels-Panel-title">{trans.__('GPU models')}</h2>
      <Troubles shown={shown} />
      <Known shown={shown} />
      {shown.connection !== 'missing' && shown.connection !== 'refused' && (
        <Section name={trans.__('Load a model')}>
          <LoadForm form={loadForm} />
        </Section>
      )}
    </>
  );
}

/** Return the latest value in a transition of React, because drawing a hundred models must not block the browser. */
function useDeferred(latest: IShown): IShown {
  const [drawn, setDrawn] = React.useState(UNKNOWN);
  React.useEffect(() => React.startTransition(() => setDrawn(latest)), [latest]);
  return drawn;
}

/** The state, as soon as it is known. If the connection is lost, the last state stays visible but disabled. */
function Known({ shown: { connection, state } }: { shown: IShown }): JSX.Element | null {
  if (!state || connection === 'missing' || connection === 'refused') {
    return null;
  }
  const lost = connection === 'lost';
  return (
    <div className={lost ? 'gpumodels-mod-past' : undefined} ref={node => setInert(node, lost)}>
      <Devices state={state} />
      <Models state={state} />
      <Failures state={state} />
      <Kernels state={state} />
    </div>
  );
}

function setInert(node: HTMLElement | null, inert: boolean): void {
  if (node) {
    node.inert = inert;
  }
}

const LoadForm = React.memo(({ form: Form }: { form: () => JSX.Element }) => <Form />);
