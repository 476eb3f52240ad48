import { Dialog, showDialog } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { useTools } from './context';
import { Facts } from './facts';
import { heldByKernels } from './groups';
import { duration, size } from './presentation';
import { Section } from './section';
import type { Kernel, State } from './state';
import { useTask } from './task';
import { Ticking } from './ticking';

/** Seconds after which a kernel is shown as idle. Before that it may be between two cells. */
const IDLE_FOR = 5;

/** The idle kernels that hold GPU memory, those with the most memory first. */
export function Kernels({ state }: { state: State }): JSX.Element | null {
  const { trans, view } = useTools();
  const held = React.useMemo(() => heldByKernels(state), [state.devices]);
  const idle = Object.values(state.kernels).filter(
    kernel => kernel.state === 'idle' && held.has(kernel.id)
  );
  const resting = view.useTime(now =>
    idle
      .filter(({ idle_since: since }) => since === null || now - since >= IDLE_FOR)
      .sort((a, b) => held.get(b.id)! - held.get(a.id)! || a.id.localeCompare(b.id))
      .map(kernel => kernel.id)
      .join(' ')
  );
  if (!resting) {
    return null;
  }
  return (
    <Section name={trans.__('Idle kernels')}>
      <ul className="gpumodels-List" aria-label={trans.__('Idle kernels')}>
        {resting.split(' ').map(id => (
          <KernelRow
            key={id}
            kernel={state.kernels[id]}
            memory={held.get(id)!}
            models={modelsOf(id, state)}
          />
        ))}
      </ul>
    </Section>
  );
}

function modelsOf(kernel: string, { models }: State): string {
  const own = Object.values(models).filter(model => model.kernel_id === kernel);
  return own.map(model => model.name).join(', ');
}

interface IKernelRowProps {
  readonly kernel: Kernel;
  readonly memory: number;
  /** The names of the kernel's models, which end with the kernel. */
  readonly models: string;
}

const KernelRow = React.memo(function KernelRow(props: IKernelRowProps): JSX.Element {
  const { kernel, memory, models } = props;
  const { actions, trans, view } = useTools();
  const { running, trouble, begin } = useTask<'shut down'>();
  const { id, idle_since: since } = kernel;
  const name = PathExt.basename(kernel.notebook) || trans.__('kernel %1', id.slice(0, 8));
  const idle =
    since === null ? (
      trans.__('idle')
    ) : (
      <Ticking text={now => trans.__('idle %1', duration(now - since, trans))} />
    );
  const shutDown = async (): Promise<string> => {
    if (!(await confirmed(name, memory, models, trans))) {
      return '';
    }
    await actions.shutDownKernel(id);
    await view.nextReading();
    return trans.__('The kernel of %1 was shut down.', name);
  };
  return (
    <li className="gpumodels-Row" aria-busy={running !== null}>
      <div className="gpumodels-Row-head">
        <span className="gpumodels-Row-name" title={kernel.notebook}>
          {name}
        </span>
        <button
          type="button"
          className="gpumodels-Button"
          aria-label={trans.__('Shut down kernel of %1', name)}
          aria-disabled={running !== null || undefined}
          onClick={() => begin('shut down', shutDown)}
        >
          {trans.__('Shut down kernel')}
        </button>
      </div>
      <Facts items={[trans.__('holds %1', size(memory, trans)), idle]} />
      {trouble && (
        <p className="gpumodels-Trouble" role="alert">
          {trouble}
        </p>
      )}
    </li>
  );
});

async function confirmed(
  name: string,
  memory: number,
  models: string,
  trans: TranslationBundle
): Promise<boolean> {
  const lost = trans.__(
    'What its notebook has computed is lost, and %1 come free.',
    size(memory, trans)
  );
  const { button } = await showDialog({
    title: trans.__('Shut down the kernel of %1?', name),
    body: models ? `${lost} ${trans.__('Its models end with it: %1.', models)}` : lost,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({ label: trans.__('Shut Down') })
    ]
  });
  return button.accept;
}
