import { act, within } from '@testing-library/react';
import userEvent, { type UserEvent } from '@testing-library/user-event';
import { MessageLoop } from '@lumino/messaging';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import type { IActions } from '../src/context';
import { ModelsPanel } from '../src/panel';
import type { IState } from '../src/state';
import { FakeFeed, trans } from './desk';
import { aState, MOMENT } from './played';
import { FakeServer } from './sockets';

/** Before a test makes timers its own. */
const soon = setTimeout;

export class FakeActions implements IActions {
  currentNotebook: string | null = 'a/signs.ipynb';
  readonly currentChanged = new Signal<this, void>(this);
  readonly goToNotebook = jest.fn<Promise<void>, [string]>(async () => Promise.resolve());
  readonly shutDownKernel = jest.fn<Promise<void>, [string]>(async () => Promise.resolve());
  readonly load = jest.fn<Promise<void>, [string]>(async () => Promise.resolve());
}

/** The panel in a page, with a feed, a server and notebooks that a test plays. */
export class Shown {
  readonly feed = new FakeFeed();
  readonly server = new FakeServer();
  readonly actions = new FakeActions();
  readonly user: UserEvent = userEvent.setup({ delay: null });
  readonly panel = new ModelsPanel({
    feed: this.feed,
    api: this.server.api,
    trans,
    actions: this.actions,
    loadForm: () => <input aria-label="what is typed" />
  });

  static async with(of: Partial<IState> = {}): Promise<Shown> {
    const shown = new Shown();
    shown.feed.clock = MOMENT;
    shown.feed.tell(aState(of));
    await shown.do(() => Widget.attach(shown.panel, document.body));
    return shown;
  }

  async do(deed: () => unknown): Promise<void> {
    await act(async () => {
      await deed();
      MessageLoop.flush();
      await new Promise(resolve => soon(resolve, 0));
    });
  }

  async tell(of: Partial<IState>, connection?: FakeFeed['connection']): Promise<void> {
    await this.do(() => this.feed.tell({ ...this.feed.state!, ...of }, connection));
  }

  /** The server looks again, a second later. */
  async read(of: Partial<IState> = {}): Promise<void> {
    this.feed.clock += 1;
    await this.tell({ ...of, moment: this.feed.state!.moment + 1 });
  }

  /** A second goes by. */
  async tick(): Promise<void> {
    await this.do(() => {
      this.feed.clock += 1;
      jest.advanceTimersByTime(1000);
    });
  }

  async click(name: string): Promise<void> {
    await this.user.click(this.get('button', name));
    await this.settled();
  }

  async type(text: string): Promise<void> {
    await this.user.keyboard(text);
    await this.settled();
  }

  /** What was begun has had its effect. */
  async settled(): Promise<void> {
    await this.do(() => undefined);
  }

  get(role: string, name: string): HTMLElement {
    return within(this.panel.node).getByRole(role, { name });
  }

  query(role: string, name: string): HTMLElement | null {
    return within(this.panel.node).queryByRole(role, { name });
  }

  section(name: string): HTMLElement {
    return this.get('region', name);
  }

  rows(section: string): HTMLElement[] {
    return within(this.section(section)).getAllByRole('listitem');
  }

  groups(): string[] {
    return within(this.panel.node)
      .getAllByRole('group')
      .map(group => group.getAttribute('aria-label')!);
  }

  async dispose(): Promise<void> {
    await this.do(() => this.panel.dispose());
    document.body.replaceChildren();
  }
}
