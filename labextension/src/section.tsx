import { caretDownIcon, caretRightIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

interface ISectionProps {
  readonly name: string;
  /** Text beside the name. */
  readonly more?: string;
  readonly children: React.ReactNode;
}

/** A part of the panel that the user can fold. Its contents stay mounted. */
export function Section({ name, more, children }: ISectionProps): JSX.Element {
  const [open, setOpen] = React.useState(true);
  const Caret = open ? caretDownIcon : caretRightIcon;
  return (
    <section className="gpumodels-Section" aria-label={name} tabIndex={-1}>
      <h3 className="gpumodels-Section-title">
        <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
          <Caret.react tag="span" className="gpumodels-Section-caret" aria-hidden />
          {name}
        </button>
        {more && <span className="gpumodels-Section-more">{more}</span>}
      </h3>
      <div className="gpumodels-Section-body" hidden={!open}>
        {children}
      </div>
    </section>
  );
}
