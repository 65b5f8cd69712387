import { createElement, type ReactElement } from 'react';
import { createRoot, hydrateRoot, type Root } from 'react-dom/client';
import { connect, type Connection, type Status, type Subscription } from '../../../src/client/client.ts';
import type { UseTidingsOptions, View } from '../../../src/client/react.ts';
import { App } from './react-app.ts';

/** Runs in the browser, bundled: renders a component there, and tells the test what it has shown. */

declare const document: { readonly body: { innerHTML: string; readonly firstElementChild: Container | null } };

type Container = Element & { readonly textContent: string };

interface Shown {
  readonly view: View<unknown, number> | undefined;
  readonly text: string | undefined;
  readonly renderings: number;
  /** How many lists of messages there were: another one only when its content changes. */
  readonly lists: number;
  /** How many streams were opened, and are open. */
  readonly opened: number;
  readonly open: number;
  readonly status: Status;
}

const views: View<unknown, number>[] = [];
const faults: string[] = [];
let opened = 0;
let open = 0;
let client: Connection;
let root: Root | undefined;
let held: Subscription | undefined;

function container(html: string): Container {
  document.body.innerHTML = `<div>${html}</div>`;
  return document.body.firstElementChild!;
}

/** Counts the streams. */
const counting: typeof fetch = (target, init) => {
  const isStream = typeof target === 'string' && target.includes('/events?') && init?.signal?.aborted === false;
  if (isStream) {
    opened++;
    open++;
    init?.signal?.addEventListener('abort', () => open--);
  }
  return fetch(target, init);
};

const app = (topic: string, options: UseTidingsOptions, isHidden = false): ReactElement => createElement(App, { client, topic, options, isHidden, rendered: (view) => void views.push(view) });

const harness = {
  connect(url: string): void {
    client = connect(url, { fetch: counting });
  },
  render(topic: string, options: UseTidingsOptions = {}, isHidden = false): void {
    root ??= createRoot(container(''));
    root.render(app(topic, options, isHidden));
  },
  /** Takes over what a server has rendered. */
  hydrate(html: string, topic: string, options: UseTidingsOptions = {}): void {
    root = hydrateRoot(container(html), app(topic, options), { onRecoverableError: (error) => void faults.push(String(error)) });
  },
  /** Keeps the stream open, whatever components do. */
  hold(topic: string): void {
    held = client.subscribe(topic);
  },
  /** The connection forgets where it was. */
  relogin(): void {
    client.logout();
    client.login();
  },
  unmount(): void {
    held?.unsubscribe();
    root?.unmount();
    root = undefined;
    views.length = 0;
  },
  shown: (): Shown => ({
    view: views.at(-1), text: document.body.firstElementChild?.textContent, renderings: views.length, lists: new Set(views.map(({ messages }) => messages)).size, opened, open, status: client.status,
  }),
  faults: (): readonly string[] => faults,
};

export type Harness = typeof harness;
Object.assign(globalThis, { harness });
