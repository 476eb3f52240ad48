import * as React from 'react';

import { useTools } from './context';

/**
 * A text that depends on the server's time, in seconds since the epoch. It is updated every second.
 *
 * The updates are written into the element without React, because drawing a hundred of them each second would be most
 * of the panel's work.
 */
export function Ticking({ text }: { text: (now: number) => string }): JSX.Element {
  const { view } = useTools();
  const element = React.useRef<HTMLSpanElement>(null);
  const latest = React.useRef(text);
  const write = React.useCallback(() => {
    const now = latest.current(view.now());
    if (element.current && element.current.textContent !== now) {
      element.current.textContent = now;
    }
  }, [view]);
  React.useLayoutEffect(() => view.onTick(write), [view, write]);
  React.useLayoutEffect(() => {
    latest.current = text;
    write();
  });
  return <span ref={element} />;
}
