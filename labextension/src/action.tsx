import { Button, type LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

interface IActionProps {
  readonly icon: LabIcon;
  readonly label: string;
  readonly disabled?: boolean;
  /** Of what it shows and hides; not given where it does something else. */
  readonly expanded?: boolean;
  readonly onClick: () => void;
}

/** A button of one icon. One that is disabled keeps the focus, so that the keyboard's user stays where they are. */
export function Action({ icon, label, disabled, expanded, onClick }: IActionProps): JSX.Element {
  return (
    <Button
      minimal
      small
      type="button"
      className="gpumodels-Action"
      title={label}
      aria-label={label}
      aria-disabled={disabled || undefined}
      aria-expanded={expanded}
      onClick={() => !disabled && onClick()}
    >
      <icon.react tag="span" stylesheet="toolbarButton" aria-hidden />
    </Button>
  );
}
