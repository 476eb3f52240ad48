import * as React from 'react';

/** Those that there are, on as few lines as they need. */
export function Facts({ of }: { of: readonly string[] }): JSX.Element {
  return <p className="gpumodels-Facts">{of.filter(Boolean).join(' · ')}</p>;
}
