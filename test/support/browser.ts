import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { chromium, type Browser, type BrowserContext, type LaunchOptions, type Page } from 'playwright-core';
import { listening } from './listening.ts';
import { findLighter, need } from './programs.ts';
import type { Scope } from './temp.ts';

/** A sandbox needs rights that a container does not give; the others stop it from asking servers of its maker. */
const ARGUMENTS = ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];

/** Stops what Chromium never does from hanging the run; on a busy machine it may take long to start. Milliseconds. */
const LIMIT = 120_000;

/** To look for it is to start it. */
let lighter: { readonly path: string | undefined } | undefined;

/**
 * Chromium, without a window: its headless shell where that is installed. Closed when the test is over.
 * @param more Arguments of its command line.
 */
export function startBrowser(t: Scope, ...more: readonly string[]): Promise<Browser> {
  lighter ??= { path: findLighter('chromium') };
  return launch(t, lighter.path ?? need('chromium'), { args: [...ARGUMENTS, ...more] });
}

/** The browser that people have, to measure it or to take its picture. */
export function startWholeBrowser(t: Scope): Promise<Browser> {
  return launch(t, need('chromium'), { args: ARGUMENTS });
}

/** The same, with its back/forward cache, which the headless shell does not have. The driver turns it off: it waits for a load that never comes. */
export function startCachingBrowser(t: Scope): Promise<Browser> {
  return launch(t, need('chromium'), { args: ARGUMENTS, ignoreDefaultArgs: ['--disable-back-forward-cache'] });
}

async function launch(t: Scope, executablePath: string, options: LaunchOptions): Promise<Browser> {
  const browser = await chromium.launch({ executablePath, timeout: LIMIT, ...options });
  t.teardown(() => browser.close());
  return browser;
}

/** An empty page, which waits for as long as everything else does. */
export async function newPage(browser: Browser): Promise<Page> {
  const page = await browser.newPage();
  page.setDefaultTimeout(LIMIT);
  return page;
}

/**
 * Cookies and pages of one user. Pages of the service itself stand for those of an application on its host: what the answers of the service say of what a page
 * made of them may do does not bind them.
 */
export async function openContext(t: Scope, browser: Browser): Promise<BrowserContext> {
  const context = await browser.newContext({ bypassCSP: true });
  t.teardown(() => context.close());
  return context;
}

const PACKAGES = join(import.meta.dirname, '../../node_modules');
const NPM = '/npm/';
const HTML = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>Test</title>';

/** Files of a page: its module, and its service worker, which it registers itself. */
export interface PageFiles {
  readonly module?: string;
  readonly worker?: string;
}

/**
 * Serves an empty page at `/`, with one module in it if its file is named, and the files of npm packages below `/npm/`. Returns its origin.
 * A path without an extension is a module that its package imports without one: browsers do not add `.js`, bundlers do.
 */
export async function servePage(t: Scope, { module, worker }: PageFiles = {}): Promise<string> {
  const server = createServer((request, response) => {
    void (async () => {
      const { pathname } = new URL(request.url ?? '/', 'http://page');
      if (pathname === '/') {
        response.setHeader('content-type', 'text/html').end(HTML + (module === undefined ? '' : '<script type="module" src="/module.js"></script>'));
        return;
      }
      const file = pathname === '/module.js' ? module : pathname === '/worker.js' ? worker : packageFile(pathname);
      const source = file === undefined ? undefined : await readFile(file).catch(() => undefined);
      if (source === undefined) response.writeHead(404).end();
      else response.setHeader('content-type', 'text/javascript').end(source);
    })();
  });
  const port = await listening(server);
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${port}`;
}

function packageFile(pathname: string): string | undefined {
  if (!pathname.startsWith(NPM)) return undefined;
  const path = normalize(join(PACKAGES, pathname.slice(NPM.length)));
  return extname(path) === '' ? `${path}.js` : path;
}
