import { act, within } from '@testing-library/react';
import userEvent, { type UserEvent } from '@testing-library/user-event';
import { MessageLoop } from '@lumino/messaging';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

import type { IActions } from '../src/context';
import { ModelsPanel } from '../src/panel';
import type { State } from '../src/state';
import { FakeFeed, trans } from './fakes';
import { aState, MOMENT } from './samples';
import { FakeServer } from './sockets';

/** The real timer, because some tests fake timers. */
const soon = setTimeout;

export class FakeActions implements IActions {
  currentNotebook: string | null = 'a/signs.ipynb';
  readonly currentChanged = new Signal<this, void>(this);
  readonly goToNotebook = jest.fn<Promise<void>, [string]>(async () => Promise.resolve());
  readonly shutDownKernel = jest.fn<Promise<void>, [string]>(async () => Promise.resolve());
  readonly load = jest.fn<Promise<void>, [string]>(async () => Promise.resolve());
}

/** The panel in a page, with a fake feed, server and notebooks. */
export class PanelPage {
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

  static async with(of: Partial<State> = {}): Promise<PanelPage> {
    const page = new PanelPage();
    page.feed.clock = MOMENT;
    page.feed.publish(aState(of));
    await page.do(() => Widget.attach(page.panel, document.body));
    return page;
  }

  /** Run a function, and wait until React and Lumino have drawn its effect. */
  async do(action: () => unknown): Promise<void> {
    await act(async () => {
      await action();
      MessageLoop.flush();
      await new Promise(resolve => soon(resolve, 0));
    });
  }

  /** Change parts of the state. */
  async publish(of: Partial<State>, connection?: FakeFeed['connection']): Promise<void> {
    await this.do(() => this.feed.publish({ ...this.feed.state!, ...of }, connection));
  }

  /** Publish a new reading of the server, a second after the last one. */
  async nextReading(of: Partial<State> = {}): Promise<void> {
    this.feed.clock += 1;
    await this.publish({ ...of, moment: this.feed.state!.moment + 1 });
  }

  /** Let a second pass. */
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

  /** Wait until the effect of the last action is drawn. */
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
