import * as React from 'react';

import type { LoadForm } from './form';
import { type IOption, OPTIONS } from './options';
import { complaint, ON, title } from './request';

/** The options that have fields in other parts of the form. */
const FIRST = ['gpu', 'engine', 'idle'];
const MORE = OPTIONS.filter(({ name }) => !FIRST.includes(name));

/** The fields for all other options of a load. Each option's kind decides which field it has. */
export function MoreOptions({ form }: { readonly form: LoadForm }): JSX.Element {
  return (
    <details className="gpumodels-Form-more">
      <summary>{form.trans.__('More options')}</summary>
      {MORE.map(option => (
        <Field key={option.name} form={form} option={option} />
      ))}
    </details>
  );
}

interface IFieldProps {
  readonly form: LoadForm;
  readonly option: IOption;
}

function Field({ form, option }: IFieldProps): JSX.Element {
  const help = React.useId();
  const { trans } = form;
  return (
    <div className="gpumodels-Form-field" data-kind={option.kind}>
      <label>
        <span>{trans.__(title(option))}</span>
        <Input form={form} option={option} help={help} />
      </label>
      <small id={help}>{trans.__(sentence(option.help))}</small>
    </div>
  );
}

function Input({ form, option, help }: IFieldProps & { readonly help: string }): JSX.Element {
  const { choice, trans } = form;
  const { name, kind, metavar, examples } = option;
  const times = React.useId();
  if (kind === 'switch') {
    return (
      <input
        type="checkbox"
        aria-describedby={help}
        checked={choice[name] !== ''}
        onChange={event => form.choose({ [name]: event.target.checked ? ON : '' })}
      />
    );
  }
  const field = {
    className: 'jp-mod-styled',
    'aria-describedby': help,
    'aria-invalid': complaint(option, choice, trans) !== '',
    spellCheck: false,
    value: choice[name],
    onChange: (event: React.ChangeEvent<HTMLInputElement | HTMLTextAreaElement>): void =>
      form.choose({ [name]: event.target.value })
  };
  if (kind === 'settings') {
    return <textarea {...field} rows={2} placeholder={metavar} />;
  }
  return (
    <>
      <input
        {...field}
        list={examples.length ? times : undefined}
        inputMode={kind === 'count' ? 'numeric' : undefined}
        placeholder={examples.length ? trans.__('such as %1', examples[0]) : metavar}
      />
      <datalist id={times}>
        {examples.map(example => (
          <option key={example} value={example} />
        ))}
      </datalist>
    </>
  );
}

/** Return a help text as a sentence, with a capital and a full stop. */
function sentence(clause: string): string {
  return `${clause.charAt(0).toUpperCase()}${clause.slice(1)}.`;
}
