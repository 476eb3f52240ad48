import * as React from 'react';

interface IProgressProps {
  readonly name: string;
  /** The completed part, from 0 to 1; null if it is not known. */
  readonly fraction: number | null;
  readonly text: string;
}

/** A progress bar. */
export function Progress({ name, fraction, text }: IProgressProps): JSX.Element {
  const percent = fraction === null ? undefined : Math.round(100 * fraction);
  return (
    <div
      className={`gpumodels-Progress${percent === undefined ? ' gpumodels-mod-unknown' : ''}`}
      role="progressbar"
      aria-label={name}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      aria-valuetext={text || undefined}
    >
      <div style={{ width: percent === undefined ? undefined : `${percent}%` }} />
    </div>
  );
}
