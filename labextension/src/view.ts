import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';
import * as React from 'react';

import type { Connection, IFeed } from './feed';
import { History, type IReading } from './history';
import type { State } from './state';

/** The state of the feed, as the panel shows it. */
export interface IShown {
  readonly state: State | null;
  readonly connection: Connection;
  readonly trouble: string;
}

const TICK = 1000;

/** The panel's view of the feed. While the panel is hidden, it requests nothing and does not change. */
export class View {
  constructor(private readonly _feed: IFeed) {
    this._history = new History(_feed);
    this._shown = this._read();
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

  /** Return the state, and draw the component again when it changes. */
  useShown(): IShown {
    return React.useSyncExternalStore(this._onChange, () => this._shown);
  }

  /** Return the last readings of a device, and draw the component again when a new one arrives. */
  useReadings(device: string): readonly IReading[] {
    return React.useSyncExternalStore(this._onChange, () => this._history.of(device));
  }

  /** Return a text that depends on the server's time, and draw the component again only when the text changes. */
  useTime(text: (now: number) => string): string {
    return React.useSyncExternalStore(this.onTick, () => text(this.now()));
  }

  /** The server's clock, in seconds since the epoch. */
  now(): number {
    return this._feed.now();
  }

  /** Call `listener` every second while the panel is visible. Return a function that ends this. */
  readonly onTick = (listener: () => void): (() => void) => subscribed(this._ticked, listener);

  /** Resolve after the next reading of the server. The panel then shows the effect of an action. */
  async nextReading(): Promise<void> {
    const since = this.now();
    await new Promise<void>(resolve => {
      const end = this._onChange(() => {
        if (this._shown.state && this._shown.state.moment > since) {
          end();
          resolve();
        }
      });
    });
  }

  private _read(): IShown {
    const { state, connection, trouble } = this._feed;
    return { state, connection, trouble };
  }

  private _follow(): void {
    this._shown = this._read();
    this._changed.emit();
  }

  private readonly _onChange = (listener: () => void): (() => void) =>
    subscribed(this._changed, listener);
  private readonly _changed = new Signal<this, void>(this);
  private readonly _ticked = new Signal<this, void>(this);
  private readonly _history: History;
  private _shown: IShown;
  private _viewing: IDisposable | null = null;
  private _ticking: ReturnType<typeof setInterval> | undefined;
}

function subscribed(signal: Signal<View, void>, listener: () => void): () => void {
  signal.connect(listener);
  return () => {
    signal.disconnect(listener);
  };
}
