/**
 * Whoever uses the keyboard goes on from where they were when the row with the focus vanishes: the focus moves to the
 * row that came in its place, to the last one, or to the part of the panel around it.
 */
export function keepFocus(panel: HTMLElement): MutationObserver {
  let row: HTMLElement | null = null;
  let around: HTMLElement[] = [];
  let place = 0;
  panel.addEventListener('focusin', event => {
    const target = event.target as HTMLElement;
    row = target.closest<HTMLElement>('li.gpumodels-Row');
    around = row ? ancestors(row, panel) : [];
    place = row ? rowsOf(around[0]).indexOf(row) : 0;
  });
  const observer = new MutationObserver(() => {
    if (!row || row.isConnected || document.activeElement !== document.body) {
      return;
    }
    const rows = around[0].isConnected ? rowsOf(around[0]) : [];
    const heir = rows[Math.min(place, rows.length - 1)];
    row = null;
    const next = heir?.querySelector<HTMLElement>('button') ?? around.find(each => focusable(each));
    (next ?? panel).focus();
  });
  observer.observe(panel, { childList: true, subtree: true });
  return observer;
}

function focusable(element: HTMLElement): boolean {
  return element.isConnected && element.hasAttribute('tabindex');
}

function rowsOf(list: HTMLElement): HTMLElement[] {
  return [...list.children].filter((each): each is HTMLElement => each.matches('li.gpumodels-Row'));
}

function ancestors(row: HTMLElement, panel: HTMLElement): HTMLElement[] {
  const found: HTMLElement[] = [];
  for (let each = row.parentElement; each && each !== panel; each = each.parentElement) {
    found.push(each);
  }
  return found;
}
