import * as React from 'react';

/** Those that there are, none broken in two, on as few lines as they need; the style puts dots between. */
export function Facts({ of }: { of: readonly React.ReactNode[] }): JSX.Element {
  return (
    <p className="gpumodels-Facts">
      <span>
        {of.filter(Boolean).map((fact, index) => (
          <React.Fragment key={index}>
            {index > 0 && ' '}
            <span>{fact}</span>
          </React.Fragment>
        ))}
      </span>
    </p>
  );
}
