import * as React from 'react';

import { useTools } from './context';

/**
 * What `told` says of the server's time, in seconds since the epoch, now and at each tick. Not React's: a hundred of
 * these every second would be most of what the panel costs.
 */
export function Ticking({ told }: { told: (now: number) => string }): JSX.Element {
  const { view } = useTools();
  const element = React.useRef<HTMLSpanElement>(null);
  const latest = React.useRef(told);
  const tell = React.useCallback(() => {
    const text = latest.current(view.now());
    if (element.current && element.current.textContent !== text) {
      element.current.textContent = text;
    }
  }, [view]);
  React.useLayoutEffect(() => view.onTick(tell), [view, tell]);
  React.useLayoutEffect(() => {
    latest.current = told;
    tell();
  });
  return <span ref={element} />;
}
