import { type ICommandPalette, Notification } from '@jupyterlab/apputils';
import type { CommandRegistry } from '@lumino/commands';

import { type Api, troubleOf } from './api';
import { type IBulkTools, shutDownIdle, sleepAllHere, stopAllHere } from './bulk';
import { showDoctor } from './doctor';
import { type Choice, choiceOf } from './request';
import { explain } from './text';

interface ICommandTools extends IBulkTools {
  readonly api: Api;
  /** Show the panel. */
  readonly open: () => void;
  /** Show the panel's form with this choice, and move the focus there. */
  readonly prefill: (choice: Partial<Choice>) => void;
}

/** Add our commands to the palette. Other extensions may execute them; `gpumodels:load` takes fields of the form. */
export function addCommands(
  commands: CommandRegistry,
  palette: ICommandPalette | null,
  tools: ICommandTools
): void {
  const { trans, notebooks } = tools;
  const isEnabled = (): boolean => notebooks.currentNotebook !== null;
  const notifying = (act: (tools: IBulkTools) => Promise<void>) => () =>
    act(tools).catch(error => {
      Notification.error(explain(troubleOf(error), trans));
    });
  const all: Record<string, CommandRegistry.ICommandOptions> = {
    'gpumodels:open': {
      label: trans.__('GPUs and Models'),
      caption: trans.__('Show GPUs and models in the sidebar'),
      execute: () => tools.open()
    },
    'gpumodels:load': {
      label: trans.__('Load a Model…'),
      caption: trans.__('Choose a model, and load it by a cell of the current notebook'),
      execute: args => tools.prefill(choiceOf(args))
    },
    'gpumodels:stop-all-here': {
      label: trans.__('Stop All Models of This Notebook…'),
      isEnabled,
      execute: notifying(stopAllHere)
    },
    'gpumodels:sleep-all-here': {
      label: trans.__('Put All Models of This Notebook to Sleep'),
      isEnabled,
      execute: notifying(sleepAllHere)
    },
    'gpumodels:shut-down-idle': {
      label: trans.__('Shut Down Idle Kernels That Hold GPU Memory…'),
      execute: notifying(shutDownIdle)
    },
    'gpumodels:doctor': {
      label: trans.__('Check This Machine…'),
      caption: trans.__('What gpumodels needs of this machine, and how to mend what is missing'),
      execute: () => showDoctor(tools.api, trans)
    }
  };
  for (const [command, options] of Object.entries(all)) {
    commands.addCommand(command, options);
    palette?.addItem({ command, category: trans.__('GPU models') });
  }
}
