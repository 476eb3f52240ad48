import { loadLine, loadsExtension } from '../src/line';
import lines from './lines.json';

// tests/magics/test_load_lines.py reads the same file, and holds IPython, our magic and Python's own lines to it.
test.each(lines)('$line', ({ asked, line }) => {
  expect(loadLine(asked)).toBe(line);
});

test('a cell loads the extension by a line of its own', () => {
  expect(loadsExtension('import os\n%load_ext gpumodels\nos')).toBe(true);
  expect(loadsExtension('# %load_ext gpumodels')).toBe(false);
  expect(loadsExtension('%load_ext gpumodels_of_others')).toBe(false);
});
