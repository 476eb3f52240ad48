import * as React from 'react';

import { useTools } from './context';
import { explain } from './text';
import type { ISeen } from './view';

/** What is wrong with the Jupyter server or with Docker, and what to do. */
export function Troubles({ seen }: { seen: ISeen }): JSX.Element {
  const { trans } = useTools();
  const { connection, state, trouble } = seen;
  const wrong = useWrong(seen);
  return (
    <>
      {wrong && (
        <p className="gpumodels-Trouble" role="alert">
          {wrong}
        </p>
      )}
      {!wrong && !state && (
        <p className="gpumodels-Hint" role="status">
          {trans.__('Asking the Jupyter server…')}
        </p>
      )}
      {!wrong && !trouble && state?.docker && (
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

function useWrong({ connection, state, trouble }: ISeen): string {
  const { trans } = useTools();
  switch (connection) {
    case 'missing':
    case 'refused':
      return explain({ kind: connection }, trans);
    case 'lost': {
      const said = explain({ kind: 'unreachable' }, trans);
      const at = state && new Date(1000 * state.moment).toLocaleTimeString();
      return at ? trans.__('%1 What is below was so at %2.', said, at) : said;
    }
    default:
      return trouble;
  }
}
