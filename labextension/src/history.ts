import type { IFeed } from './feed';
import type { State } from './state';

/** One reading of a device: the server's time in seconds, and values in percent; null if not available. */
export interface IReading {
  readonly moment: number;
  readonly utilisation: number | null;
}

/** The seconds for which readings are kept. */
export const KEPT = 180;

const NONE: readonly IReading[] = [];

/** The readings of the last minutes, except while the feed had no viewer. */
export class History {
  constructor(private readonly _feed: IFeed) {
    _feed.stateChanged.connect(this._record, this);
    this._record();
  }

  of(device: string): readonly IReading[] {
    return this._readings.get(device) ?? NONE;
  }

  private _record(): void {
    const { state } = this._feed;
    if (state && state.moment > this._latest) {
      this._latest = state.moment;
      this._readings = new Map(
        Object.keys(state.devices).map(key => [key, this._extended(key, state)])
      );
    }
  }

  private _extended(key: string, { moment, devices }: State): readonly IReading[] {
    const recent = this.of(key).filter(reading => reading.moment > moment - KEPT);
    return [...recent, { moment, utilisation: devices[key].utilisation }];
  }

  private _readings = new Map<string, readonly IReading[]>();
  private _latest = -Infinity;
}
