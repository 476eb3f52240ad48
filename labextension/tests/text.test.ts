import { nullTranslator } from '@jupyterlab/translation';

import { owner } from '../src/text';

test('a model without a notebook is its process', () => {
  const model = { notebook: '', pid: 17 } as never;
  expect(owner(model, nullTranslator.load('gpumodels'))).toBe('process 17');
});
