import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { newPage, servePage, startBrowser } from '../../support/browser.ts';
import type { Scope } from '../../support/temp.ts';
import { NAMED_EVENTS, type Client, type Kind, type Received } from './kinds.ts';

const MODULE = join(import.meta.dirname, 'page.js');
const WORKER = join(import.meta.dirname, 'worker.js');

interface Mutable extends Client {
  readonly received: Received[];
  gaveUp: string | undefined;
}

export interface InChromium {
  readonly browser: Browser;
  readonly page: Page;
  /** Those that are cut at every byte, too. */
  readonly kinds: readonly Kind[];
  /** The others. */
  readonly further: readonly Kind[];
  readonly faults: readonly string[];
}

/** The clients that run in Chromium, all in one page of an origin of its own: the service needs CORS_ORIGINS for it. */
export async function chromiumKinds(t: Scope): Promise<InChromium> {
  const browser = await startBrowser(t);
  const { page, kind, faults } = await openPage(t, browser);
  return {
    browser,
    page,
    faults,
    kinds: [
      kind('EventSource', { name: "Chromium's EventSource", oneHandler: false, trustsIdLine: false }),
      kind('fetchEventSource', { name: '@microsoft/fetch-event-source', oneHandler: true, trustsIdLine: true }),
    ],
    further: [
      kind('polyfill', { name: 'event-source-polyfill', oneHandler: false, trustsIdLine: false }),
      kind('oldPolyfill', { name: 'event-source-polyfill 0.0.16', oneHandler: false, trustsIdLine: false }),
      kind('sse', { name: 'sse.js', oneHandler: false, trustsIdLine: false }),
      kind('reactNative', { name: 'react-native-sse, over XMLHttpRequest', oneHandler: false, trustsIdLine: false }),
    ],
  };
}

/** Clients in a page whose service worker passes requests on. */
export async function behindWorker(t: Scope, browser: Browser): Promise<Pick<InChromium, 'kinds' | 'faults'>> {
  const { page, kind, faults } = await openPage(t, browser, '?worker');
  await page.waitForFunction('navigator.serviceWorker.controller !== null');
  const direct = kind('EventSource', { name: 'EventSource, which a service worker leaves alone', oneHandler: false, trustsIdLine: false });
  return {
    faults,
    kinds: [
      kind('reopening', { name: 'EventSource through a service worker', oneHandler: false, trustsIdLine: false }),
      { ...direct, open: (scope, url) => direct.open(scope, `${url}&direct`) },
    ],
  };
}

async function openPage(t: Scope, browser: Browser, query = ''): Promise<{ page: Page; kind: (inPage: string, about: Omit<Kind, 'open'>) => Kind; faults: string[] }> {
  const page = await newPage(browser);
  const clients: Mutable[] = [];
  const faults: string[] = [];
  page.on('pageerror', (error) => void faults.push(String(error)));
  await page.exposeFunction('got', (key: number, event: Received) => void clients[key]!.received.push(event));
  await page.exposeFunction('gaveUp', (key: number, why: string) => {
    clients[key]!.gaveUp = why;
  });
  await page.goto(`${await servePage(t, { module: MODULE, worker: WORKER })}/${query}`, { waitUntil: 'load' });
  await page.waitForFunction('globalThis.openStream !== undefined');

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
        // Of one host, Chromium opens no more than six connections at once: each kind has a name of its own for it.
        call('openStream', inPage, key, url.replace('//127.0.0.1:', `//${inPage.toLowerCase()}.localhost:`), NAMED_EVENTS);
        scope.teardown(() => client.close());
        return client;
      },
    };
  }
  return { page, kind, faults };
}
