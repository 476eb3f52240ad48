/**
 * Keep the focus in the panel when the focused element is removed, so that keyboard users can go on.
 *
 * The focus moves to the first button of the same row, of the row that took its place, or of the last row. Without such
 * a row it moves to the part of the panel around them.
 */
export function keepFocus(panel: HTMLElement): MutationObserver {
  let focused: IFocused | null = null;
  panel.addEventListener('focusin', event => {
    focused = locate(event.target as HTMLElement, panel);
  });
  const observer = new MutationObserver(() => {
    if (focused && !focused.element.isConnected && document.activeElement === document.body) {
      successor(focused, panel).focus();
    }
  });
  observer.observe(panel, { childList: true, subtree: true });
  return observer;
}

interface IFocused {
  readonly element: HTMLElement;
  /** The elements around the focused one, from its row (if it is in one) outwards to the panel. */
  readonly around: readonly HTMLElement[];
  /** The index in the list of the row with the focused element. */
  readonly index: number;
}

const ROW = 'li.gpumodels-Row';

function locate(element: HTMLElement, panel: HTMLElement): IFocused {
  const row = element.closest<HTMLElement>(ROW);
  const around: HTMLElement[] = [];
  for (let each = row ?? element.parentElement; each && each !== panel; each = each.parentElement) {
    around.push(each);
  }
  return { element, around, index: row ? rowsOf(row.parentElement!).indexOf(row) : 0 };
}

function successor({ around, index }: IFocused, panel: HTMLElement): HTMLElement {
  for (const each of around.filter(({ isConnected }) => isConnected)) {
    const rows = each.matches(ROW) ? [each] : rowsOf(each);
    const button = rows[Math.min(index, rows.length - 1)]?.querySelector<HTMLElement>('button');
    if (button ?? each.hasAttribute('tabindex')) {
      return button ?? each;
    }
  }
  return panel;
}

function rowsOf(list: HTMLElement): HTMLElement[] {
  return [...list.children].filter((each): each is HTMLElement => each.matches(ROW));
}
