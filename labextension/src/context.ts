import type { TranslationBundle } from '@jupyterlab/translation';
import type { ISignal } from '@lumino/signaling';
import * as React from 'react';

import type { Api } from './api';
import type { View } from './view';

/** The functions on notebooks that the panel needs. Methods reject with a sentence, which is shown to the user. */
export interface IActions {
  /** The path of the current notebook on the Jupyter server; null if none is open. */
  readonly currentNotebook: string | null;
  readonly currentChanged: ISignal<unknown, void>;
  goToNotebook(path: string): Promise<void>;
  shutDownKernel(id: string): Promise<void>;
  /** Insert `line` into the current notebook and run it. */
  load(line: string): Promise<unknown>;
}

/** The objects that all components of the panel share. They never change. */
export interface ITools {
  readonly api: Api;
  readonly actions: IActions;
  readonly view: View;
  readonly trans: TranslationBundle;
  /** Announce the result of an action to screen readers. */
  readonly announce: (text: string) => void;
}

export const Tools = React.createContext<ITools | null>(null);

/** Return the tools of the panel that contains this component. */
export function useTools(): ITools {
  return React.useContext(Tools)!;
}

/** Return the path of the current notebook; null if none is open. */
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
