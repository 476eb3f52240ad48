import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import { type Api, troubleOf } from './api';
import type { Check } from './state';
import { explain } from './text';

/** Show the server's checks of the machine, with advice. Resolve when the dialog is closed. */
export async function showDoctor(
  api: Pick<Api, 'doctor'>,
  trans: TranslationBundle
): Promise<void> {
  await showDialog({
    title: trans.__('What gpumodels needs of this machine'),
    body: ReactWidget.create(<Findings api={api} trans={trans} />),
    buttons: [Dialog.okButton({ label: trans.__('Close') })],
    hasClose: true
  });
}

interface IFindingsProps {
  readonly api: Pick<Api, 'doctor'>;
  readonly trans: TranslationBundle;
}

/** The list of checks, the worst first. */
export function Findings({ api, trans }: IFindingsProps): JSX.Element {
  const [checks, setChecks] = React.useState<readonly Check[] | null>(null);
  const [trouble, setTrouble] = React.useState('');
  React.useEffect(() => {
    api.doctor().then(setChecks, error => setTrouble(explain(troubleOf(error), trans)));
  }, [api, trans]);
  if (trouble) {
    return (
      <p className="gpumodels-Trouble" role="alert">
        {trouble}
      </p>
    );
  }
  if (!checks) {
    return <p role="status">{trans.__('Looking…')}</p>;
  }
  const labels = {
    ok: trans.__('fine'),
    warn: trans.__('less than it could be'),
    fail: trans.__('wrong')
  };
  return (
    <ul className="gpumodels-Doctor">
      {worstFirst(checks).map(({ check, status, text, mend }, index) => (
        <li key={index} data-status={status}>
          <b>{check}</b> <span className="gpumodels-Doctor-status">{labels[status]}</span>
          <div>{text}</div>
          {mend && <div className="gpumodels-Doctor-mend">{withCode(mend)}</div>}
        </li>
      ))}
    </ul>
  );
}

function worstFirst(checks: readonly Check[]): readonly Check[] {
  const order = ['fail', 'warn', 'ok'];
  return [...checks].sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
}

/** Return the text with its parts between backticks as code. */
function withCode(text: string): React.ReactNode[] {
  return text.split('`').map((part, at) => (at % 2 ? <code key={at}>{part}</code> : part));
}
