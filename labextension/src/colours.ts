import type { IShare } from './state';

/** As in gpumodels/attribution/colours.py: seen on light and on dark ground. */
const PALETTE: Record<IShare['kind'], readonly string[]> = {
  model: ['#3f7fd4', '#2a9d8f', '#7b61c9', '#1fa3cf', '#5f9134', '#4b5fc0'],
  kernel: ['#e08a1e', '#d1495b', '#b8860b', '#c75c9d'],
  process: ['#8d6e63', '#a98467', '#6d5a52'],
  others: ['#8c8c8c'],
  unaccounted: ['#b8b8b8']
};

/** Who holds it, the same on every device. */
export function holderKey(share: IShare): string {
  return `${share.kind} ${share.instance || share.kernel_id || share.name}`;
}

const given = new Map<string, string>();
const counts = new Map<IShare['kind'], number>();

/** The colour of a share's holder: its kind tells the hue, its place among its kind the shade. */
export function colourOf(share: IShare): string {
  const key = holderKey(share);
  let colour = given.get(key);
  if (!colour) {
    const before = counts.get(share.kind) ?? 0;
    const palette = PALETTE[share.kind];
    colour = palette[before % palette.length];
    counts.set(share.kind, before + 1);
    given.set(key, colour);
  }
  return colour;
}
