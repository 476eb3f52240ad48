import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';
import * as React from 'react';

import type { Connection, IFeed } from './feed';
import { History, type IReading } from './history';
import type { IState } from './state';

/** What is on the screen. */
export interface ISeen {
  readonly state: IState | null;
  readonly connection: Connection;
  readonly trouble: string;
}

const TICK = 1000;

/** The feed as the panel shows it: while the panel is hidden it stands still, and costs nothing. */
export class View {
  constructor(private readonly _feed: IFeed) {
    this._history = new History(_feed);
    this._seen = this._look();
  }

  get visible(): boolean {
    return this._viewing !== null;
  }

  set visible(visible: boolean) {
    if (visible === this.visible) {
      return;
    }
    if (visible) {
      this._viewing = this._feed.view();
      this._feed.stateChanged.connect(this._follow, this);
      this._ticking = setInterval(() => this._ticked.emit(), TICK);
      this._follow();
      this._ticked.emit();
    } else {
      clearInterval(this._ticking);
      this._feed.stateChanged.disconnect(this._follow, this);
      this._viewing?.dispose();
      this._viewing = null;
    }
  }

  useSeen(): ISeen {
    return React.useSyncExternalStore(this._onChange, () => this._seen);
  }

  useReadings(device: string): readonly IReading[] {
    return React.useSyncExternalStore(this._onChange, () => this._history.of(device));
  }

  /** What `told` says of the server's time, in seconds since the epoch; only another answer is shown anew. */
  useTime(told: (now: number) => string): string {
    return React.useSyncExternalStore(this.onTick, () => told(this.now()));
  }

  /** The server's clock, in seconds since the epoch. */
  now(): number {
    return this._feed.now();
  }

  /** Call `listener` every second while the panel is visible; returns what ends that. */
  readonly onTick = (listener: () => void): (() => void) => subscribed(this._ticked, listener);

  /** Resolves when what is shown was read after now; what was done shows then. */
  async readAnew(): Promise<void> {
    const since = this.now();
    await new Promise<void>(resolve => {
      const end = this._onChange(() => {
        if (this._seen.state && this._seen.state.moment > since) {
          end();
          resolve();
        }
      });
    });
  }

  private _look(): ISeen {
    const { state, connection, trouble } = this._feed;
    return { state, connection, trouble };
  }

  private _follow(): void {
    this._seen = this._look();
    this._changed.emit();
  }

  private readonly _onChange = (listener: () => void): (() => void) =>
    subscribed(this._changed, listener);
  private readonly _changed = new Signal<this, void>(this);
  private readonly _ticked = new Signal<this, void>(this);
  private readonly _history: History;
  private _seen: ISeen;
  private _viewing: IDisposable | null = null;
  private _ticking: ReturnType<typeof setInterval> | undefined;
}

function subscribed(signal: Signal<View, void>, listener: () => void): () => void {
  signal.connect(listener);
  return () => {
    signal.disconnect(listener);
  };
}
