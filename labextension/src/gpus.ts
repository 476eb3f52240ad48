import type { TranslationBundle } from '@jupyterlab/translation';

import type { ICatalogModel } from './api';
import type { IDevice, IState } from './state';
import { size } from './text';

/** The devices that a model can be put on. */
export function usable(devices: readonly IDevice[]): readonly IDevice[] {
  return devices.filter(({ sliced, allowed, trouble }) => !sliced && allowed && !trouble);
}

/** What `--gpu` calls it: an index means nothing for a slice. */
export function called({ parent, uuid, index }: IDevice): string {
  return parent ? uuid : String(index);
}

/** Each value of `--gpu` that can be picked, and what it is shown as. */
export function choices(
  devices: readonly IDevice[],
  chosen: string,
  trans: TranslationBundle
): readonly { value: string; label: string }[] {
  const offered = [
    { value: 'auto', label: trans.__('auto') },
    ...usable(devices).map(device => ({ value: called(device), label: label(device, trans) })),
    { value: 'none', label: trans.__('none (CPU)') }
  ];
  // Such as "0,1", which a command asked for, or a GPU that has gone.
  return offered.some(({ value }) => value === chosen)
    ? offered
    : [...offered, { value: chosen, label: chosen }];
}

/** Where the model says that it needs more memory than is free: a sentence, else ''. */
export function shortage(
  model: ICatalogModel | undefined,
  gpu: string,
  devices: readonly IDevice[],
  trans: TranslationBundle
): string {
  const asked = usable(devices).filter(device => gpu === 'auto' || called(device) === gpu);
  const fits = ({ memory_free: free }: IDevice): boolean => free === null || free >= model!.memory;
  if (!model?.memory || !asked.length || asked.some(fits)) {
    return '';
  }
  const need = size(model.memory, trans);
  return gpu === 'auto'
    ? trans.__('%1 needs %2, and no GPU has as much free.', model.name, need)
    : trans.__(
        '%1 needs %2, and %3 has %4 free.',
        model.name,
        need,
        asked[0].label,
        size(asked[0].memory_free, trans)
      );
}

function label({ label, memory_free: free }: IDevice, trans: TranslationBundle): string {
  return free === null ? label : trans.__('%1, %2 free', label, size(free, trans));
}

/** GPU memory that a kernel holds itself and through its models, in bytes, device by device; none where it has none. */
export function memoryOf(kernel: string, state: IState): ReadonlyMap<IDevice, number> {
  const held = new Map<IDevice, number>();
  // A GPU in MIG mode shows what its slices hold once more.
  for (const device of Object.values(state.devices).filter(({ sliced }) => !sliced)) {
    const shares = device.shares.filter(
      ({ kernel_id, instance }) => (kernel_id || state.models[instance]?.kernel_id) === kernel
    );
    if (shares.length) {
      held.set(
        device,
        shares.reduce((sum, { memory }) => sum + (memory ?? 0), 0)
      );
    }
  }
  return held;
}

/** Bytes on all devices together. */
export function total(held: ReadonlyMap<IDevice, number>): number {
  return [...held.values()].reduce((sum, memory) => sum + memory, 0);
}
