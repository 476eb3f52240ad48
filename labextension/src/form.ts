import type { TranslationBundle } from '@jupyterlab/translation';
import { type ISignal, Signal } from '@lumino/signaling';

import { type Api, type ICatalog, type ICatalogModel, troubleOf } from './api';
import { type IAsked, isDuration, loadLine } from './line';
import type { Notebooks } from './notebooks';
import { explain } from './text';

/** Milliseconds in which the same line is not run again. */
const DOUBLE_CLICK = 800;

/** What is chosen; '' is the choice of nothing, and of what the user's settings say. */
export type Choice = Required<IAsked>;

/** What the load form knows: the catalog, what is chosen of it, and what became of the last line. */
export class LoadForm {
  constructor(
    private readonly _api: Pick<Api, 'catalog'>,
    readonly notebooks: Notebooks,
    readonly trans: TranslationBundle
  ) {}

  get stateChanged(): ISignal<this, void> {
    return this._changed;
  }

  /** Null until it is known. */
  get catalog(): ICatalog | null {
    return this._catalog;
  }

  get choice(): Choice {
    return this._choice;
  }

  get search(): string {
    return this._search;
  }

  /** Whether a line is on its way into a notebook. */
  get busy(): boolean {
    return this._busy;
  }

  /** What became of the last line, or why there is no catalog: a sentence, or ''. */
  get outcome(): string {
    return this._outcome;
  }

  get failed(): boolean {
    return this._failed;
  }

  /** Whether somebody asked for the keyboard to be here; the one who sees to it sets it back. */
  wanted = false;

  /** The models that the search leaves; a path is one that the catalog does not know. */
  get found(): readonly ICatalogModel[] {
    const words = this._search.toLowerCase().split(/\s+/).filter(Boolean);
    const models = (this._catalog?.models ?? []).filter(({ name, summary }) =>
      words.every(word => `${name} ${summary}`.toLowerCase().includes(word))
    );
    const path = this._search.trim();
    const summary = this.trans.__('the model folder of that path');
    return /^[.~]|\//.test(path)
      ? [...models, { name: path, summary, memory: 0, folder: path, trouble: '' }]
      : models;
  }

  /** The model that is chosen, where the catalog knows it. */
  get model(): ICatalogModel | undefined {
    return this._catalog?.models.find(({ name }) => name === this._choice.model);
  }

  get idleIsWrong(): boolean {
    return this._choice.idle !== '' && !isDuration(this._choice.idle);
  }

  /** What will be run, or '' where something is missing or wrong. */
  get line(): string {
    if (!this._choice.model || this.idleIsWrong) {
      return '';
    }
    try {
      return loadLine(this._choice);
    } catch {
      return '';
    }
  }

  choose(change: Partial<Choice>): void {
    this._choice = { ...this._choice, ...change };
    this._tell('');
  }

  /** A search that leaves one model chooses it. */
  searchFor(text: string): void {
    this._search = text;
    const found = this.found;
    this.choose(found.length === 1 && !found[0].trouble ? { model: found[0].name } : {});
  }

  /** Choose this and have the keyboard here. */
  want(change: Partial<Choice>): void {
    this.wanted = true;
    this._search = '';
    this.choose(change);
  }

  async refresh(): Promise<void> {
    try {
      this._catalog = await this._api.catalog();
      this._tell(this._outcome, this._failed);
    } catch (error) {
      this._tell(explain(troubleOf(error), this.trans), true);
    }
  }

  /** Into the current notebook with it. */
  async load(): Promise<void> {
    const line = this.line;
    if (!line || (line === this._last && Date.now() < this._again)) {
      return;
    }
    this._busy = true;
    this._tell('');
    try {
      const notebook = await this.notebooks.load(line);
      this._busy = false;
      this._last = line;
      this._again = Date.now() + DOUBLE_CLICK;
      this._tell(this.trans.__('%1 runs it.', notebook));
    } catch (error) {
      this._busy = false;
      this._tell((error as Error).message, true);
    }
  }

  private _tell(outcome: string, failed = false): void {
    this._outcome = outcome;
    this._failed = failed;
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private _catalog: ICatalog | null = null;
  private _choice: Choice = { model: '', gpu: 'auto', engine: 'auto', idle: '' };
  private _search = '';
  private _busy = false;
  /** The line that was run last, and when it may be run once more: a double click is meant once. */
  private _last = '';
  private _again = 0;
  private _outcome = '';
  private _failed = false;
}
