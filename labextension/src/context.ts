import type { TranslationBundle } from '@jupyterlab/translation';
import type { ISignal } from '@lumino/signaling';
import * as React from 'react';

import type { Api } from './api';
import type { View } from './view';

/** The notebooks around the panel, as far as it uses them. Methods reject with a sentence, which is shown. */
export interface IActions {
  /** The path as the Jupyter server knows it; null where no notebook is open. */
  readonly currentNotebook: string | null;
  readonly currentChanged: ISignal<unknown, void>;
  goToNotebook(path: string): Promise<void>;
  shutDownKernel(id: string): Promise<void>;
  /** Insert `line` into the current notebook and run it. */
  load(line: string): Promise<unknown>;
}

/** The tools that all components of the panel share; they never change. */
export interface ITools {
  readonly api: Api;
  readonly actions: IActions;
  readonly view: View;
  readonly trans: TranslationBundle;
  /** Announce the result of an action to screen readers. */
  readonly announce: (text: string) => void;
}

export const Tools = React.createContext<ITools | null>(null);

/** Return the tools of the panel around this component. */
export function useTools(): ITools {
  return React.useContext(Tools)!;
}

/** Return the path of the current notebook; null where none is open. */
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
