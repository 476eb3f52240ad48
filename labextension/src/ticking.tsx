import * as React from 'react';

import { useTools } from './context';

/**
 * What `told` says of the server's time, in seconds since the epoch, now and at each tick. Not React's: a hundred of these
 * every second would be most of what the panel costs.
 */
export function Ticking({ told }: { told: (now: number) => string }): JSX.Element {
  const { view } = useTools();
  const element = React.useRef<HTMLSpanElement>(null);
  React.useLayoutEffect(() => {
    const tell = (): void => {
      const text = told(view.now());
      if (element.current && element.current.textContent !== text) {
        element.current.textContent = text;
      }
    };
    tell();
    return view.onTick(tell);
  });
  return <span ref={element} />;
}
