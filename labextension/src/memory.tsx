import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { colourOf, holderKey } from './colours';
import { useTools } from './context';
import type { IShare } from './state';
import { size } from './text';

interface IMemoryProps {
  /** Whose memory it is. */
  readonly label: string;
  readonly used: number | null;
  readonly total: number | null;
  readonly shares: readonly IShare[];
}

/** A device's memory, split by who holds it, and a legend. */
export const Memory = React.memo(function Memory(props: IMemoryProps): JSX.Element {
  const { label, used, total, shares } = props;
  const { trans } = useTools();
  const inUse = trans.__('%1 of %2 in use', size(used, trans), size(total, trans));
  const by = shares.map(share => `${holder(share, trans)} ${size(share.memory, trans)}`).join(', ');
  return (
    <>
      <div
        className="gpumodels-Memory"
        role="img"
        aria-label={by ? trans.__('%1: %2', inUse, by) : inUse}
      >
        {shares.map(share => (
          <span
            key={holderKey(share)}
            className={`gpumodels-Memory-part gpumodels-mod-${share.kind}`}
            style={{
              width: `${total ? (100 * (share.memory ?? 0)) / total : 0}%`,
              backgroundColor: colourOf(share)
            }}
            title={`${holder(share, trans)}: ${size(share.memory, trans)}`}
          />
        ))}
      </div>
      <ul className="gpumodels-Legend" aria-label={trans.__('Memory of %1 by holder', label)}>
        {shares.map(share => (
          <li key={holderKey(share)} title={share.notebook || share.name}>
            <i
              className={`gpumodels-mod-${share.kind}`}
              style={{ backgroundColor: colourOf(share) }}
              aria-hidden
            />
            <span className="gpumodels-Legend-holder">{holder(share, trans)}</span>
            <span className="gpumodels-Legend-size">{size(share.memory, trans)}</span>
          </li>
        ))}
      </ul>
    </>
  );
});

/** Whose it is: a name, and the notebook's where that says more. */
function holder({ kind, name, notebook, over_limit }: IShare, trans: TranslationBundle): string {
  const file = PathExt.basename(notebook);
  const who = { others: trans.__('other users'), unaccounted: trans.__('unaccounted') }[
    kind as string
  ];
  const said = who ?? (file && file !== name ? `${name} · ${file}` : name);
  return over_limit ? trans.__('%1 · over its memory limit', said) : said;
}
