import * as React from 'react';

import { troubleOf } from './api';
import { useTools } from './context';
import { explain } from './text';

export interface ITask<T extends string> {
  /** The name of the task that runs. */
  readonly running: T | null;
  /** The reason why the last task failed, or ''. */
  readonly trouble: string;
  /** Begin a task, unless one runs. Its result is a text, which is announced to screen readers. */
  readonly begin: (name: T, act: () => Promise<string | void>) => void;
}

/** Run tasks of a component, one at a time. */
export function useTask<T extends string>(): ITask<T> {
  const { announce, trans } = useTools();
  const [running, setRunning] = React.useState<T | null>(null);
  const [trouble, setTrouble] = React.useState('');
  const busy = React.useRef(false);
  const begin = React.useCallback(
    (name: T, act: () => Promise<string | void>) => {
      if (busy.current) {
        return;
      }
      busy.current = true;
      setRunning(name);
      setTrouble('');
      act()
        .then(result => announce(result ?? ''))
        .catch((error: unknown) => setTrouble(explain(troubleOf(error), trans)))
        .finally(() => {
          busy.current = false;
          setRunning(null);
        });
    },
    [announce, trans]
  );
  return { running, trouble, begin };
}
