/** What JupyterLab's packages ask of a browser while they load, and jsdom does not have. */
Object.assign(window, {
  DragEvent: class extends MouseEvent {},
  matchMedia: (media: string) => ({
    media,
    matches: false,
    addEventListener: () => undefined,
    removeEventListener: () => undefined
  })
});
