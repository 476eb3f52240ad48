/** What JupyterLab's packages ask of a browser while they load, and jsdom does not have. */
Object.assign(navigator, { clipboard: {} });
Object.assign(window, {
  DragEvent: class extends MouseEvent {},
  requestIdleCallback: (then: () => void) => setTimeout(then, 0),
  matchMedia: (media: string) => ({
    media,
    matches: false,
    addEventListener: () => undefined,
    removeEventListener: () => undefined
  })
});
