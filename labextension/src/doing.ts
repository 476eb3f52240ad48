import * as React from 'react';

import { troubleOf } from './api';
import { useTools } from './context';
import { explain } from './text';

export interface IDoing<T extends string> {
  /** What was begun and is not done. */
  readonly what: T | null;
  /** Why the last did not succeed, or ''. */
  readonly trouble: string;
  /** Begin, unless something is being done; what it comes to is told to a screen reader. */
  readonly begin: (what: T, act: () => Promise<string | void>) => void;
}

/** One action at a time. */
export function useDoing<T extends string>(): IDoing<T> {
  const { announce, trans } = useTools();
  const [what, setWhat] = React.useState<T | null>(null);
  const [trouble, setTrouble] = React.useState('');
  const doing = React.useRef(false);
  const begin = React.useCallback(
    (next: T, act: () => Promise<string | void>) => {
      if (doing.current) {
        return;
      }
      doing.current = true;
      setWhat(next);
      setTrouble('');
      act()
        .then(told => announce(told ?? ''))
        .catch((error: unknown) => setTrouble(explain(troubleOf(error), trans)))
        .finally(() => {
          doing.current = false;
          setWhat(null);
        });
    },
    [announce, trans]
  );
  return { what, trouble, begin };
}
