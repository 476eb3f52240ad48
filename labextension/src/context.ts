import type { TranslationBundle } from '@jupyterlab/translation';
import type { ISignal } from '@lumino/signaling';
import * as React from 'react';

import type { Api } from './api';
import type { View } from './view';

/** What the panel asks of the notebooks around it. Rejects with a sentence that is shown. */
export interface IActions {
  /** As the Jupyter server knows it; null where none is open. */
  readonly currentNotebook: string | null;
  readonly currentChanged: ISignal<unknown, void>;
  goToNotebook(path: string): Promise<void>;
  shutDownKernel(id: string): Promise<void>;
  /** Insert `line` into the current notebook and run it. */
  load(line: string): Promise<unknown>;
}

/** What all parts of the panel have; it never changes. */
export interface ITools {
  readonly api: Api;
  readonly actions: IActions;
  readonly view: View;
  readonly trans: TranslationBundle;
  /** Tell a screen reader what an action came to. */
  readonly announce: (text: string) => void;
}

export const Tools = React.createContext<ITools | null>(null);

export function useTools(): ITools {
  return React.useContext(Tools)!;
}

/** The path of the current notebook; null where none is open. */
export function useCurrentNotebook(): string | null {
  const { actions } = useTools();
  const subscribe = React.useCallback(
    (listener: () => void) => {
      actions.currentChanged.connect(listener);
      return () => {
        actions.currentChanged.disconnect(listener);
      };
    },
    [actions]
  );
  return React.useSyncExternalStore(subscribe, () => actions.currentNotebook);
}
