import { clock, owner, size, span } from '../src/text';
import { trans } from './desk';

test('a model without a notebook is its process', () => {
  expect(owner({ notebook: '', pid: 17 }, trans)).toBe('process 17');
  expect(owner({ notebook: 'a/b.ipynb', pid: 17 }, trans)).toBe('b.ipynb');
});

test.each([
  [null, '? GB'],
  [0, '0.0 GB'],
  [999_400_000, '999 MB'],
  [12_340_000_000, '12.3 GB'],
  [1_234_000_000_000, '1,234.0 GB']
])('%s bytes are %s', (bytes, said) => {
  expect(size(bytes, trans)).toBe(said);
});

test.each([
  [-0.3, '0 s'],
  [59.9, '59 s'],
  [60, '1 min'],
  [5399, '89 min'],
  [5400, '1 h'],
  [172_800, '2 d']
])('%s seconds are %s', (seconds, said) => {
  expect(span(seconds, trans)).toBe(said);
});

test('a moment of another day says which', () => {
  const now = new Date();
  expect(clock(now.toISOString())).toMatch(/^\d\d:\d\d [AP]M$/);
  expect(clock('2025-10-09T08:53:20+00:00')).toMatch(/^10\/9\/2025 \d\d:\d\d [AP]M$/);
});
