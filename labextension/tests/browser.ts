/** Parts of a browser that jsdom lacks, and that JupyterLab's packages need while they load. */
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
