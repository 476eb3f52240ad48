import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { useTools } from './context';
import { size } from './presentation';
import type { Share } from './state';

interface IMemoryProps {
  /** The label of the device. */
  readonly label: string;
  readonly used: number | null;
  readonly total: number | null;
  readonly shares: readonly Share[];
}

/** The memory of a device as a bar, split by holder, with a legend. */
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
              backgroundColor: share.colour
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
              style={{ backgroundColor: share.colour }}
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

/** Return a key of a holder, which is the same on all devices. */
function holderKey(share: Share): string {
  return `${share.kind} ${share.instance || share.kernel_id || share.name}`;
}

/** Return the name of a holder, and the notebook's file name if that is different. */
function holder({ kind, name, notebook, over_limit }: Share, trans: TranslationBundle): string {
  const file = PathExt.basename(notebook);
  const translated = { others: trans.__('other users'), unaccounted: trans.__('unaccounted') }[
    kind as string
  ];
  const text = translated ?? (file && file !== name ? `${name} · ${file}` : name);
  return over_limit ? trans.__('%1 · over its memory limit', text) : text;
}
