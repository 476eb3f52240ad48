import { type ICommandPalette, Notification } from '@jupyterlab/apputils';
import type { CommandRegistry } from '@lumino/commands';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { type Api, troubleOf } from './api';
import { showDoctor } from './doctor';
import type { Choice } from './form';
import { explain } from './text';
import { type IParts, shutDownIdle, sleepAllHere, stopAllHere } from './together';

const OPTIONS = ['model', 'gpu', 'engine', 'idle'] as const;

interface IActing extends IParts {
  readonly api: Api;
  /** Show the panel. */
  readonly open: () => void;
  /** Show its form, with this chosen, and have the keyboard there. */
  readonly want: (choice: Partial<Choice>) => void;
}

/** The commands of the palette, which other extensions can execute too: `gpumodels:load` takes what the form does. */
export function addCommands(
  commands: CommandRegistry,
  palette: ICommandPalette | null,
  acting: IActing
): void {
  const { trans, notebooks } = acting;
  const isEnabled = (): boolean => notebooks.currentNotebook !== null;
  const told = (act: (parts: IParts) => Promise<void>) => () =>
    act(acting).catch(error => {
      Notification.error(explain(troubleOf(error), trans));
    });
  const all: Record<string, CommandRegistry.ICommandOptions> = {
    'gpumodels:open': {
      label: trans.__('GPUs and Models'),
      caption: trans.__('Show GPUs and models in the sidebar'),
      execute: () => acting.open()
    },
    'gpumodels:load': {
      label: trans.__('Load a Model…'),
      caption: trans.__('Choose a model, and load it by a cell of the current notebook'),
      execute: args => acting.want(choiceOf(args))
    },
    'gpumodels:stop-all-here': {
      label: trans.__('Stop All Models of This Notebook…'),
      isEnabled,
      execute: told(stopAllHere)
    },
    'gpumodels:sleep-all-here': {
      label: trans.__('Put All Models of This Notebook to Sleep'),
      isEnabled,
      execute: told(sleepAllHere)
    },
    'gpumodels:shut-down-idle': {
      label: trans.__('Shut Down Idle Kernels That Hold GPU Memory…'),
      execute: told(shutDownIdle)
    },
    'gpumodels:doctor': {
      label: trans.__('Check This Machine…'),
      caption: trans.__('What gpumodels needs of this machine, and how to mend what is missing'),
      execute: () => showDoctor(acting.api, trans)
    }
  };
  for (const [command, options] of Object.entries(all)) {
    commands.addCommand(command, options);
    palette?.addItem({ command, category: trans.__('GPU models') });
  }
}

function choiceOf(args: ReadonlyPartialJSONObject): Partial<Choice> {
  const given = OPTIONS.filter(option => typeof args[option] === 'string');
  return Object.fromEntries(given.map(option => [option, args[option]]));
}
