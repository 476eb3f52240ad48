import * as React from 'react';

interface IFactsProps {
  /** Texts; empty ones are left out. */
  readonly items: readonly React.ReactNode[];
}

/** A row of short texts. Lines break only between texts, and the style sheet puts dots between them. */
export function Facts({ items }: IFactsProps): JSX.Element {
  return (
    <p className="gpumodels-Facts">
      <span>
        {items.filter(Boolean).map((item, index) => (
          <React.Fragment key={index}>
            {index > 0 && ' '}
            <span>{item}</span>
          </React.Fragment>
        ))}
      </span>
    </p>
  );
}
