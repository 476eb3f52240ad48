import { InputGroup } from '@jupyterlab/ui-components';
import type { ISignal } from '@lumino/signaling';
import * as React from 'react';

import { CatalogList } from './cataloglist';
import type { IFeed } from './feed';
import { FirstOptions } from './firstoptions';
import type { LoadForm } from './form';
import { shortage } from './gpus';
import { MoreOptions } from './moreoptions';
import type { Device } from './state';

interface ILoadFormProps {
  readonly form: LoadForm;
  readonly feed: Pick<IFeed, 'state' | 'stateChanged'>;
}

interface IPartProps {
  readonly form: LoadForm;
  readonly devices: readonly Device[];
}

/** The form that loads a model. It shows a line, and runs that line in the current notebook. */
export const LoadFormView = React.memo(function LoadFormView(props: ILoadFormProps): JSX.Element {
  const { form, feed } = props;
  const { choice, trans } = form;
  const search = React.useRef<HTMLInputElement>(null);
  const devices = Object.values(feed.state?.devices ?? {});
  useSignal(feed.stateChanged);
  useSignal(form.stateChanged);
  useSignal(form.notebooks.currentChanged);
  React.useEffect(() => void form.refresh(), [form]);
  React.useEffect(() => {
    if (form.wantsFocus) {
      form.wantsFocus = false;
      search.current?.focus();
    }
  });
  const found = React.useMemo(() => form.catalog && form.found, [form.catalog, form.search]);
  const onChoose = React.useCallback((model: string) => form.choose({ model }), [form]);
  return (
    <form
      className="gpumodels-Form"
      aria-label={trans.__('Load a model')}
      onSubmit={event => {
        event.preventDefault();
        void form.load();
      }}
    >
      <InputGroup
        type="search"
        rightIcon="ui-components:search"
        inputRef={search}
        aria-label={trans.__('Search models')}
        placeholder={trans.__('Search, or a path')}
        value={form.search}
        onFocus={() => void form.refresh()}
        onChange={event => form.searchFor(event.target.value)}
      />
      <CatalogList models={found} chosen={choice.model} onChoose={onChoose} trans={trans} />
      <FirstOptions form={form} devices={devices} />
      <MoreOptions form={form} />
      <Line form={form} devices={devices} />
    </form>
  );
});

/** The line, the reasons why it cannot be run, and the button that runs it. */
function Line({ form, devices }: IPartProps): JSX.Element {
  const { choice, line, notebooks, trans } = form;
  const { obstacle } = notebooks;
  const short = shortage(form.model, choice.gpu, devices, trans);
  const outcome = form.failed ? '' : form.outcome;
  return (
    <>
      <div role="group" aria-label={trans.__('The line that it will run')}>
        <code className="gpumodels-Form-line">
          {(line || '%load_model …').split(' ').map((word, index) => (
            <React.Fragment key={index}>
              {index > 0 && ' '}
              <span>{word}</span>
            </React.Fragment>
          ))}
        </code>
      </div>
      <div className="gpumodels-Form-notes" role="status">
        {[...form.complaints, short, obstacle || outcome].filter(Boolean).map(note => (
          <p key={note}>{note}</p>
        ))}
      </div>
      {form.failed && (
        <p className="gpumodels-Trouble" role="alert">
          {form.outcome}
        </p>
      )}
      {notebooks.canMake && (
        <button type="button" className="jp-mod-styled" onClick={() => void notebooks.make()}>
          {trans.__('New notebook')}
        </button>
      )}
      <button
        type="submit"
        className="jp-mod-styled jp-mod-accept"
        disabled={!line || form.busy || obstacle !== ''}
      >
        {trans.__('Load')}
      </button>
    </>
  );
}

/** Draw the component again whenever the signal is emitted. */
function useSignal<T>(signal: ISignal<T, void>): void {
  const [, redraw] = React.useReducer((times: number) => times + 1, 0);
  React.useEffect(() => {
    signal.connect(redraw);
    return () => void signal.disconnect(redraw);
  }, [signal]);
}
