import * as React from 'react';

import { useTools } from './context';
import { type IReading, KEPT } from './history';
import { number } from './presentation';

const WIDE = 120; // units of the drawing, which the style sheet stretches
const HIGH = 24;

/** Seconds. If two readings are further apart than this, the line has a gap between them. */
const GAP = 12;

/** The utilisation of the last minutes as a line, with gaps for the time without a reading. */
export function Sparkline({ device }: { device: string }): JSX.Element {
  const { trans, view } = useTools();
  const readings = view.useReadings(device);
  const now = readings.at(-1)?.utilisation ?? null;
  const text = now === null ? trans.__('not available') : trans.__('%1 %', number(now));
  return (
    <svg
      className="gpumodels-Sparkline"
      viewBox={`0 0 ${WIDE} ${HIGH}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={trans.__('Utilisation of the last minutes; now %1', text)}
    >
      {lines(readings).map(points => (
        <React.Fragment key={points[0]}>
          <polygon points={[...points, foot(points.at(-1)!), foot(points[0])].join(' ')} />
          <polyline points={points.join(' ')} />
        </React.Fragment>
      ))}
    </svg>
  );
}

/** Return the point on the ground below a point. */
function foot(point: string): string {
  return `${point.split(',')[0]},${HIGH}`;
}

/** Return the points of each part of the line between two gaps. */
export function lines(readings: readonly IReading[]): string[][] {
  const last = readings.at(-1)?.moment ?? 0;
  const runs: string[][] = [[]];
  let before = last;
  for (const { moment, utilisation } of readings) {
    if (utilisation === null || moment - before > GAP) {
      runs.push([]);
    }
    if (utilisation !== null) {
      const x = WIDE * (1 - (last - moment) / KEPT);
      const y = HIGH - 1 - (utilisation / 100) * (HIGH - 2);
      runs[runs.length - 1].push(`${x.toFixed(1)},${y.toFixed(1)}`);
    }
    before = moment;
  }
  return runs.filter(run => run.length);
}
