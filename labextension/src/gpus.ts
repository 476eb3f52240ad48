import type { TranslationBundle } from '@jupyterlab/translation';

import { size } from './presentation';
import type { CatalogModel, Device, State } from './state';

/** Return the devices on which a model can be loaded. */
export function usable(devices: readonly Device[]): readonly Device[] {
  return devices.filter(({ sliced, allowed, trouble }) => !sliced && allowed && !trouble);
}

/** Return the value of `--gpu` for a device: its index, or the UUID of a slice, which has no index of its own. */
export function optionFor({ parent, uuid, index }: Device): string {
  return parent ? uuid : String(index);
}

/** Return the values of `--gpu` to choose from, each with its label. */
export function choices(
  devices: readonly Device[],
  chosen: string,
  trans: TranslationBundle
): readonly { value: string; label: string }[] {
  const offered = [
    { value: 'auto', label: trans.__('auto') },
    ...usable(devices).map(device => ({ value: optionFor(device), label: label(device, trans) })),
    { value: 'none', label: trans.__('none (CPU)') }
  ];
  // The chosen value may come from a command ("0,1"), or may name a GPU that has gone.
  return offered.some(({ value }) => value === chosen)
    ? offered
    : [...offered, { value: chosen, label: chosen }];
}

/** Return a warning if the model declares that it needs more memory than is free, else ''. */
export function shortage(
  model: CatalogModel | undefined,
  gpu: string,
  devices: readonly Device[],
  trans: TranslationBundle
): string {
  const asked = usable(devices).filter(device => gpu === 'auto' || optionFor(device) === gpu);
  const fits = ({ memory_free: free }: Device): boolean => free === null || free >= model!.memory;
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

function label({ label, memory_free: free }: Device, trans: TranslationBundle): string {
  return free === null ? label : trans.__('%1, %2 free', label, size(free, trans));
}

/** Return the bytes that a kernel and its models hold on each device, without devices on which they hold none. */
export function memoryOf(kernel: string, state: State): ReadonlyMap<Device, number> {
  const held = new Map<Device, number>();
  // The shares of a GPU in MIG mode are those of its slices, which would count twice.
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

/** Return the sum of the bytes on all devices. */
export function total(held: ReadonlyMap<Device, number>): number {
  return [...held.values()].reduce((sum, memory) => sum + memory, 0);
}
