import type { TranslationBundle } from '@jupyterlab/translation';
import { type ISignal, Signal } from '@lumino/signaling';

import { type Api, troubleOf } from './api';
import { type ILineRequest, loadLine } from './line';
import type { Notebooks } from './notebooks';
import { OPTIONS } from './options';
import { type Choice, complaint, find, INITIAL, requestOf } from './request';
import type { Catalog, CatalogModel } from './state';
import { explain } from './text';

/** The milliseconds after a load in which the same line is not run again. */
const DOUBLE_CLICK = 800;

/** The state of the form that loads a model: the catalog, the choice, and the outcome of the last line. */
export class LoadForm {
  constructor(
    private readonly _api: Pick<Api, 'catalog'>,
    readonly notebooks: Notebooks,
    readonly trans: TranslationBundle
  ) {}

  get stateChanged(): ISignal<this, void> {
    return this._changed;
  }

  /** The catalog; null until it is known. */
  get catalog(): Catalog | null {
    return this._catalog;
  }

  get choice(): Choice {
    return this._choice;
  }

  get search(): string {
    return this._search;
  }

  /** True while a line is being inserted into a notebook. */
  get busy(): boolean {
    return this._busy;
  }

  /** A sentence on the line that was run last, or on why the catalog cannot be read; or ''. */
  get outcome(): string {
    return this._outcome;
  }

  get failed(): boolean {
    return this._failed;
  }

  /** True if the form should get the focus. The view resets it. */
  wantsFocus = false;

  /** The models that the search finds. */
  get found(): readonly CatalogModel[] {
    return find(this._catalog?.models ?? [], this._search, this.trans);
  }

  /** The chosen model, if it is in the catalog. */
  get model(): CatalogModel | undefined {
    return this._catalog?.models.find(({ name }) => name === this._choice.model);
  }

  /** Sentences on the texts in fields that are not valid. */
  get complaints(): readonly string[] {
    return OPTIONS.map(option => complaint(option, this._choice, this.trans)).filter(Boolean);
  }

  /** The choice as a request in the form of `POST models`; null if a field is missing or wrong. */
  get request(): ILineRequest | null {
    return this._choice.model && !this.complaints.length ? requestOf(this._choice) : null;
  }

  /** The `%load_model` line that will be run; '' if a field is missing or wrong. */
  get line(): string {
    return this.request ? loadLine(this.request) : '';
  }

  choose(change: Partial<Choice>): void {
    this._choice = { ...this._choice, ...change };
    this._setOutcome('');
  }

  /** Search the catalog, and choose the model if only one is found. */
  searchFor(text: string): void {
    this._search = text;
    const found = this.found;
    this.choose(found.length === 1 && !found[0].trouble ? { model: found[0].name } : {});
  }

  /** Choose options and move the focus to the form. */
  prefill(change: Partial<Choice>): void {
    this.wantsFocus = true;
    this._search = '';
    this.choose(change);
  }

  /** Read the catalog. */
  async refresh(): Promise<void> {
    try {
      this._catalog = await this._api.catalog();
      this._setOutcome(this._outcome, this._failed);
    } catch (error) {
      this._setOutcome(explain(troubleOf(error), this.trans), true);
    }
  }

  /** Run the line in the current notebook. */
  async load(): Promise<void> {
    const line = this.line;
    if (!line || (line === this._lastLine && Date.now() < this._blockedUntil)) {
      return;
    }
    this._busy = true;
    this._setOutcome('');
    try {
      const notebook = await this.notebooks.load(line);
      this._busy = false;
      this._lastLine = line;
      this._blockedUntil = Date.now() + DOUBLE_CLICK;
      this._setOutcome(this.trans.__('%1 runs it.', notebook));
    } catch (error) {
      this._busy = false;
      this._setOutcome((error as Error).message, true);
    }
  }

  private _setOutcome(outcome: string, failed = false): void {
    this._outcome = outcome;
    this._failed = failed;
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private _catalog: Catalog | null = null;
  private _choice: Choice = INITIAL;
  private _search = '';
  private _busy = false;
  /** The last line. It may not be run again until `_blockedUntil`, because a double click means one load. */
  private _lastLine = '';
  private _blockedUntil = 0;
  private _outcome = '';
  private _failed = false;
}
