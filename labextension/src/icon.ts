import { LabIcon } from '@jupyterlab/ui-components';

/** A chip with eight pins and a play mark, for a running model. */
const svgstr = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16">
  <g class="jp-icon3 jp-icon-selectable" fill="#616161">
    <path fill-rule="evenodd" d="M6 4h12a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2zm0 2v12h12V6z"/>
    <path d="M10 8.5v7l5.5-3.5z"/>
    <path d="M8 1h2v3H8zM14 1h2v3h-2zM8 20h2v3H8zM14 20h2v3h-2z"/>
    <path d="M1 8h3v2H1zM1 14h3v2H1zM20 8h3v2h-3zM20 14h3v2h-3z"/>
  </g>
</svg>`;

export const modelsIcon = new LabIcon({ name: 'gpumodels:models', svgstr });

/** A moon, for sleep. */
const moon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16">
  <path class="jp-icon3 jp-icon-selectable" fill="#616161" d="M20.5 15.2A8.7 8.7 0 0 1 8.8 3.5a8.7 8.7 0 1 0 11.7 11.7z"/>
</svg>`;

export const sleepIcon = new LabIcon({ name: 'gpumodels:sleep', svgstr: moon });
