import * as React from 'react';

import { useTools } from './context';
import { clock } from './presentation';
import { explain } from './text';
import type { IShown } from './view';

/** The problems of the Jupyter server and of Docker, with advice. */
export function Troubles({ shown }: { shown: IShown }): JSX.Element {
  const { trans } = useTools();
  const { connection, state, trouble } = shown;
  const problem = useProblem(shown);
  return (
    <>
      {problem && (
        <p className="gpumodels-Trouble" role="alert">
          {problem}
        </p>
      )}
      {!problem && !state && (
        <p className="gpumodels-Hint" role="status">
          {trans.__('Asking the Jupyter server…')}
        </p>
      )}
      {!problem && !trouble && state?.docker && (
        <p className="gpumodels-Notice" role="status">
          {trans.__('Docker cannot be used: %1', state.docker)}{' '}
          {trans.__('Until it can, models run as local processes.')}
        </p>
      )}
      {connection === 'polling' && state && (
        <p className="gpumodels-Hint">
          {trans.__('No WebSocket gets through, so this is read every two seconds.')}
        </p>
      )}
    </>
  );
}

/** Return a sentence on a problem of the connection or the server; '' if there is none. */
function useProblem({ connection, state, trouble }: IShown): string {
  const { trans } = useTools();
  switch (connection) {
    case 'missing':
    case 'refused':
      return explain({ kind: connection }, trans);
    case 'lost': {
      const text = explain({ kind: 'unreachable' }, trans);
      return state ? trans.__('%1 What is below was so at %2.', text, clock(state.moment)) : text;
    }
    default:
      return trouble;
  }
}
