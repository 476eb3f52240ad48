import { isDuration, loadLine, loadsExtension } from '../src/line';
import lines from './lines.json';

// tests/magics/test_sidebar_lines.py reads the same file, and holds IPython and our magic to it.
test.each(lines)('$line', ({ asked, line }) => {
  expect(loadLine(asked)).toBe(line);
});

test('what cannot stand in a line is refused', () => {
  expect(() => loadLine({ model: './two\nlines' })).toThrow(RangeError);
});

test.each(['90s', '10m', '1.5d', '600', '10 m', 'never', 'forever'])('%s is a duration', text => {
  expect(isDuration(text)).toBe(true);
});

test.each(['', '0', '-1', 'soon', '1w', '1e3', ' 5m', '٣m'])('%p is no duration', text => {
  expect(isDuration(text)).toBe(false);
});

test('a cell loads the extension by a line of its own', () => {
  expect(loadsExtension('import os\n%load_ext gpumodels\nos')).toBe(true);
  expect(loadsExtension('# %load_ext gpumodels')).toBe(false);
  expect(loadsExtension('%load_ext gpumodels_of_others')).toBe(false);
});
