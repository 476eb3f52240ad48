import { readFileSync } from 'fs';
import { join } from 'path';
import { runInNewContext } from 'vm';

import * as sidebar from '../src/presentation';
import { owner } from '../src/text';
import { trans } from './fakes';
// tests/unit/presentation/test_vectors.py checks gpumodels/presentation.py by the same file.
import vectors from './presentation.json';

type Form = (value: number | null) => string;

interface IPresentation {
  duration: Form;
  size: Form;
  rate: Form;
  clock: (moment: number, now: number) => string;
}

/** The functions of the widgets, from a plain script. */
const widgets = runInNewContext(
  readFileSync(join(__dirname, '../../gpumodels/widgets/front/presentation.js'), 'utf8') +
    '\n;({ duration, size, latency, rate, clock, known })'
) as IPresentation & { latency: Form; known: (form: Form, value: unknown) => string };

const ours: IPresentation = {
  ...sidebar,
  duration: seconds => sidebar.duration(seconds!, trans),
  size: bytes => sidebar.size(bytes, trans),
  rate: perSecond => sidebar.rate(perSecond!)
};

describe.each([
  ['the sidebar', ours],
  ['the widgets', widgets]
])('%s', (_, { duration, size, rate, clock }) => {
  test.each(vectors.durations)('$seconds seconds are $text', ({ seconds, text }) => {
    expect(duration(seconds)).toBe(text);
  });

  test.each(vectors.sizes)('$bytes bytes are $text', ({ bytes, text }) => {
    expect(size(bytes)).toBe(text);
  });

  test.each(vectors.rates)('$perSecond calls a second are $text', ({ perSecond, text }) => {
    expect(rate(perSecond)).toBe(text);
  });

  test.each(vectors.clocks)('at $now, $moment is $text', ({ moment, now, text }) => {
    expect(clock(moment, now)).toBe(text);
  });
});

test.each(vectors.latencies)('a call of $seconds s takes $text', ({ seconds, text }) => {
  expect(widgets.latency(seconds)).toBe(text);
});

test.each(vectors.moments)('$text is $seconds', ({ seconds, text }) => {
  expect(sidebar.secondsOf(text)).toBe(Math.floor(seconds));
});

test('a value that is not available is a dash in a widget', () => {
  expect(widgets.known(widgets.size, undefined)).toBe('–');
  expect(widgets.known(widgets.size, 0)).toBe('0.0 GB');
});

test('a moment has a date unless it is today', () => {
  const now = Date.now() / 1000;
  expect(sidebar.since(new Date().toISOString(), trans)).toBe(`since ${widgets.clock(now, now)}`);
});

test('the owner of a model without a notebook is its process', () => {
  expect(owner({ notebook: '', pid: 17 }, trans)).toBe('process 17');
  expect(owner({ notebook: 'a/b.ipynb', pid: 17 }, trans)).toBe('b.ipynb');
});
