import { closeIcon, refreshIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { troubleOf } from './api';
import { useTools } from './context';
import { IconButton } from './iconbutton';
import { explain } from './text';

interface ILogProps {
  /** The model's name. */
  readonly name: string;
  readonly read: () => Promise<readonly string[]>;
  readonly onClose: () => void;
}

/** The last lines of a log, with a button to read them again. The keyboard can scroll them, and select text. */
export function Log({ name, read, onClose }: ILogProps): JSX.Element {
  const { trans } = useTools();
  const [opener] = React.useState(() => document.activeElement);
  const [text, setText] = React.useState(trans.__('Reading…'));
  const lines = React.useRef<HTMLPreElement>(null);
  const load = React.useCallback(async () => {
    try {
      setText((await read()).join('\n') || trans.__('Nothing was printed.'));
    } catch (error) {
      setText(explain(troubleOf(error), trans));
    }
  }, [read, trans]);
  React.useEffect(() => void load(), [load]);
  React.useEffect(() => {
    lines.current?.scrollTo?.({ top: lines.current.scrollHeight });
  }, [text]);
  const close = (): void => {
    onClose();
    (opener as HTMLElement | null)?.focus();
  };
  return (
    <div
      className="gpumodels-Log"
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          close();
        }
      }}
    >
      <div className="gpumodels-Log-head">
        <span>{trans.__('Last lines of %1', name)}</span>
        <IconButton
          icon={refreshIcon}
          label={trans.__('Read the log of %1 again', name)}
          onClick={() => void load()}
        />
        <IconButton
          icon={closeIcon}
          label={trans.__('Close the log of %1', name)}
          onClick={close}
        />
      </div>
      <pre
        ref={lines}
        role="log"
        aria-live="off"
        aria-label={trans.__('What %1 printed', name)}
        tabIndex={0}
        data-jp-suppress-context-menu
      >
        {text}
      </pre>
    </div>
  );
}
