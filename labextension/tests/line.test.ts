import { loadLine, loadsExtension } from '../src/line';
import lines from './lines.json';

// tests/magics/test_load_lines.py checks IPython, our magic and load_line.py by the same file.
test.each(lines)('$line', ({ asked, line }) => {
  expect(loadLine(asked)).toBe(line);
});

test('the line that loads the extension is found in a cell', () => {
  expect(loadsExtension('import os\n%load_ext gpumodels\nos')).toBe(true);
  expect(loadsExtension('# %load_ext gpumodels')).toBe(false);
  expect(loadsExtension('%load_ext gpumodels_of_others')).toBe(false);
});
