import * as React from 'react';

interface IFactsProps {
  /** Texts; empty ones are left out. */
  readonly items: readonly React.ReactNode[];
}

/** Short texts on as few lines as they need, none broken in two. The style puts dots between them. */
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
