import type { TranslationBundle } from '@jupyterlab/translation';
import { HTMLSelect, InputGroup } from '@jupyterlab/ui-components';
import type { ISignal } from '@lumino/signaling';
import * as React from 'react';

import type { IFeed } from './feed';
import type { LoadForm } from './form';
import { choices, shortage } from './gpus';
import { size } from './presentation';
import type { CatalogModel, Device } from './state';

const ENGINES = ['auto', 'docker', 'process'];
const IDLE_TIMES = ['10m', '1h', 'never'];

interface ILoadFormProps {
  readonly form: LoadForm;
  readonly feed: Pick<IFeed, 'state' | 'stateChanged'>;
}

interface IPartProps {
  readonly form: LoadForm;
  readonly devices: readonly Device[];
}

/** The form that loads a model, by a line that it shows and then runs in the current notebook. */
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
      <Options form={form} devices={devices} />
      <Line form={form} devices={devices} />
    </form>
  );
});

interface ICatalogListProps {
  readonly models: readonly CatalogModel[] | null;
  readonly chosen: string;
  readonly onChoose: (name: string) => void;
  readonly trans: TranslationBundle;
}

/** The models found. Memoised, so that a reading of the GPUs does not draw it again. */
const CatalogList = React.memo(function CatalogList(props: ICatalogListProps): JSX.Element | null {
  const { models, chosen, onChoose, trans } = props;
  if (!models?.length) {
    return models && <p className="gpumodels-Form-none">{trans.__('No model of that name.')}</p>;
  }
  return (
    <div className="gpumodels-Form-models" role="radiogroup" aria-label={trans.__('Models')}>
      {models.map(({ name, summary, memory, trouble }) => (
        <label key={name} className="gpumodels-Form-model" title={trouble || summary}>
          <input
            type="radio"
            name="gpumodels-model"
            checked={name === chosen}
            onChange={() => onChoose(name)}
            aria-label={name}
            aria-description={trouble || summary}
            disabled={trouble !== ''}
          />
          <span className="gpumodels-Form-name">{name}</span>
          <span className="gpumodels-Form-need">{memory ? size(memory, trans) : ''}</span>
          <span className="gpumodels-Form-summary">{trouble || summary}</span>
        </label>
      ))}
    </div>
  );
});

/** The choice of GPU, engine and idle time. */
function Options({ form, devices }: IPartProps): JSX.Element {
  const { choice, trans } = form;
  const times = React.useId();
  const engines = form.catalog?.engines ?? ENGINES;
  return (
    <>
      <label>
        <span>{trans.__('GPU')}</span>
        <HTMLSelect
          value={choice.gpu}
          options={[...choices(devices, choice.gpu, trans)]}
          onChange={event => form.choose({ gpu: event.target.value })}
        />
      </label>
      <label>
        <span>{trans.__('Engine')}</span>
        <HTMLSelect
          value={choice.engine}
          options={[...new Set([...engines, choice.engine])]}
          onChange={event => form.choose({ engine: event.target.value })}
        />
      </label>
      <label>
        <span>{trans.__('Sleep when idle for')}</span>
        <input
          className="jp-mod-styled"
          list={times}
          value={choice.idle}
          placeholder={trans.__('your default')}
          aria-invalid={form.idleIsWrong}
          onChange={event => form.choose({ idle: event.target.value.trim() })}
        />
        <datalist id={times}>
          {IDLE_TIMES.map(time => (
            <option key={time} value={time} />
          ))}
        </datalist>
      </label>
    </>
  );
}

/** The line, the obstacles to running it, and the button that runs it. */
function Line({ form, devices }: IPartProps): JSX.Element {
  const { choice, line, notebooks, trans } = form;
  const { obstacle } = notebooks;
  const short = shortage(form.model, choice.gpu, devices, trans);
  const outcome = form.failed ? '' : form.outcome;
  const idle = form.idleIsWrong ? trans.__('An idle time is such as 90s, 10m, 2h or never.') : '';
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
        {[idle, short, obstacle || outcome].filter(Boolean).map(note => (
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
