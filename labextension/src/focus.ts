/**
 * Whoever uses the keyboard goes on from where they were when what has the focus vanishes: the focus moves to the first
 * button of the same row, of the row that came in its place, or of the last one, or to the part of the panel around it.
 */
export function keepFocus(panel: HTMLElement): MutationObserver {
  let lost: ILost | null = null;
  panel.addEventListener('focusin', event => {
    lost = where(event.target as HTMLElement, panel);
  });
  const observer = new MutationObserver(() => {
    if (lost && !lost.element.isConnected && document.activeElement === document.body) {
      heir(lost, panel).focus();
    }
  });
  observer.observe(panel, { childList: true, subtree: true });
  return observer;
}

interface ILost {
  readonly element: HTMLElement;
  /** From its own row, if it is in one, to the panel. */
  readonly around: readonly HTMLElement[];
  /** Of its row among the rows of its list. */
  readonly place: number;
}

const ROW = 'li.gpumodels-Row';

function where(element: HTMLElement, panel: HTMLElement): ILost {
  const row = element.closest<HTMLElement>(ROW);
  const around: HTMLElement[] = [];
  for (let each = row ?? element.parentElement; each && each !== panel; each = each.parentElement) {
    around.push(each);
  }
  return { element, around, place: row ? rowsOf(row.parentElement!).indexOf(row) : 0 };
}

function heir({ around, place }: ILost, panel: HTMLElement): HTMLElement {
  for (const each of around.filter(({ isConnected }) => isConnected)) {
    const rows = each.matches(ROW) ? [each] : rowsOf(each);
    const button = rows[Math.min(place, rows.length - 1)]?.querySelector<HTMLElement>('button');
    if (button ?? each.hasAttribute('tabindex')) {
      return button ?? each;
    }
  }
  return panel;
}

function rowsOf(list: HTMLElement): HTMLElement[] {
  return [...list.children].filter((each): each is HTMLElement => each.matches(ROW));
}
