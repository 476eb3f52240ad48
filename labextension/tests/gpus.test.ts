import { choices, memoryOf, shortage, total } from '../src/gpus';
import { device, GB, model, share, stateOf, trans } from './fakes';

const ctpn = { name: 'ctpn', summary: '', memory: 4 * GB, folder: '', trouble: '' };

test('GPUs on which no model can be loaded are not offered', () => {
  const devices = [
    device(0),
    device(1, { allowed: false }),
    device(2, { sliced: true }),
    device(3, { trouble: 'lost' }),
    device(2, { uuid: 'MIG-1', label: 'GPU 2 slice 1', parent: 'GPU-2', memory_free: null })
  ];
  expect(choices(devices, 'auto', trans)).toEqual([
    { value: 'auto', label: 'auto' },
    { value: '0', label: 'GPU 0, 80.0 GB free' },
    { value: 'MIG-1', label: 'GPU 2 slice 1' },
    { value: 'none', label: 'none (CPU)' }
  ]);
});

test('a chosen value that is no GPU of the list stays in the choices', () => {
  expect(choices([device(0)], '0,1', trans)).toContainEqual({ value: '0,1', label: '0,1' });
});

test('there is a warning if a model needs more memory than is free on any possible GPU', () => {
  const devices = [device(0, { memory_free: GB }), device(1, { memory_free: 2 * GB })];
  expect(shortage(ctpn, '1', devices, trans)).toBe('ctpn needs 4.0 GB, and GPU 1 has 2.0 GB free.');
  expect(shortage(ctpn, 'auto', devices, trans)).toBe(
    'ctpn needs 4.0 GB, and no GPU has as much free.'
  );
});

test('there is no warning if the model fits, or if that is not known', () => {
  const [full, empty, silent] = [
    device(0, { memory_free: GB }),
    device(1),
    device(2, { memory_free: null })
  ];
  expect(shortage(ctpn, 'auto', [full, empty], trans)).toBe('');
  expect(shortage(ctpn, '2', [full, silent], trans)).toBe('');
  expect(shortage(ctpn, 'none', [full], trans)).toBe('');
  expect(shortage(ctpn, 'auto', [], trans)).toBe('');
  expect(shortage({ ...ctpn, memory: 0 }, '0', [full], trans)).toBe('');
  expect(shortage(undefined, '0', [full], trans)).toBe('');
});

test("a notebook's memory is that of its kernel and its models on all devices, each byte counted once", () => {
  const mine = { kernel_id: 'k1' };
  const sliced = device(1, { sliced: true, shares: [share(5 * GB, mine)] });
  const slice = device(1, { uuid: 'MIG-1', parent: 'GPU-1', shares: [share(5 * GB, mine)] });
  const first = device(0, {
    shares: [
      share(2 * GB, mine),
      share(GB, { kind: 'model', instance: 'a' }),
      share(null, { kind: 'model', ...mine }),
      share(9 * GB, { kernel_id: 'k2' }),
      share(9 * GB, { kind: 'others' })
    ]
  });
  const models = { a: model('a', { kernel_id: 'k1' }) };
  const held = memoryOf('k1', stateOf([first, sliced, slice], { models }));
  expect([...held.values()]).toEqual([3 * GB, 5 * GB]);
  expect(total(held)).toBe(8 * GB);
});
