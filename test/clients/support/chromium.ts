import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { newPage, servePage, startBrowser } from '../../support/browser.ts';
import type { Scope } from '../../support/temp.ts';
import { NAMED_EVENTS, type Client, type Kind, type Received } from './kinds.ts';

const MODULE = join(import.meta.dirname, 'page.js');

interface Mutable extends Client {
  readonly received: Received[];
  gaveUp: string | undefined;
}

/** The clients that run in Chromium, all in one page of an origin of its own: the service needs CORS_ORIGINS for it. */
export async function chromiumKinds(t: Scope): Promise<{ page: Page; kinds: readonly Kind[]; faults: readonly string[] }> {
  const page = await newPage(await startBrowser(t));
  const clients: Mutable[] = [];
  const faults: string[] = [];
  page.on('pageerror', (error) => void faults.push(String(error)));
  await page.exposeFunction('got', (key: number, event: Received) => void clients[key]!.received.push(event));
  await page.exposeFunction('gaveUp', (key: number, why: string) => {
    clients[key]!.gaveUp = why;
  });
  await page.goto(await servePage(t, MODULE), { waitUntil: 'load' });

  /** Calls a function of the page. What comes back of it is told by the functions above; a failure is the page's fault. */
  function call(name: string, ...args: unknown[]): void {
    page.evaluate(`${name}(...${JSON.stringify(args)})`).catch((error: unknown) => void faults.push(String(error)));
  }
  function kind(inPage: string, about: Omit<Kind, 'open'>): Kind {
    return {
      ...about,
      open(scope, url) {
        const key = clients.length;
        const client: Mutable = { received: [], gaveUp: undefined, close: () => call('closeStream', key) };
        clients.push(client);
        call('openStream', inPage, key, url, NAMED_EVENTS);
        scope.teardown(() => client.close());
        return client;
      },
    };
  }
  return {
    page,
    faults,
    kinds: [
      kind('EventSource', { name: "Chromium's EventSource", oneHandler: false, trustsIdLine: false }),
      kind('fetchEventSource', { name: '@microsoft/fetch-event-source', oneHandler: true, trustsIdLine: true }),
    ],
  };
}
