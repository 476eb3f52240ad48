import { Button, type LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

interface IIconButtonProps {
  readonly icon: LabIcon;
  readonly label: string;
  readonly disabled?: boolean;
  /** True while the part that this button opens is open; undefined for buttons that open nothing. */
  readonly expanded?: boolean;
  readonly onClick: () => void;
}

/** A button with an icon. While disabled it keeps the focus, so that keyboard users can go on from there. */
export function IconButton(props: IIconButtonProps): JSX.Element {
  const { icon, label, disabled, expanded, onClick } = props;
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
