import { AxeBuilder } from '@axe-core/playwright';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import type { Scope } from '../../support/temp.ts';

/** Stops what never happens from hanging the run, on a busy machine too. Milliseconds. */
const LIMIT_MS = 120_000;
const LEVELS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

export interface Look {
  readonly width: number;
  readonly scheme: 'light' | 'dark';
}

/** Both schemes of colours, and both widths. */
export const LOOKS: readonly Look[] = [{ width: 1280, scheme: 'light' }, { width: 390, scheme: 'dark' }];

/** Somebody with a browser, who sees everything that is wrong. */
export class Person {
  readonly page: Page;
  readonly url: string;
  /** What the console said, what was asked of other hosts, and what broke. */
  readonly faults: string[] = [];
  readonly #context: BrowserContext;
  /** What may be said while the service is away, or refuses something on purpose. */
  #isForgiving = false;

  private constructor(context: BrowserContext, page: Page, url: string) {
    this.#context = context;
    this.page = page;
    this.url = url;
    page.setDefaultTimeout(LIMIT_MS);
    page.on('pageerror', (error) => void this.faults.push(`error: ${error.message}`));
    page.on('dialog', (dialog) => {
      this.faults.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('console', (message) => {
      const isNetwork = message.text().startsWith('Failed to load resource');
      if (['error', 'warning'].includes(message.type()) && !(isNetwork && this.#isForgiving)) this.faults.push(`console: ${message.text()} ${message.location().url}`);
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(`${url}/`)) this.faults.push(`asked: ${request.url()}`);
    });
  }

  static async open(t: Scope, browser: Browser, url: string, { width, scheme }: Look = LOOKS[0]!): Promise<Person> {
    const context = await browser.newContext({ viewport: { width, height: width < 500 ? 844 : 800 }, colorScheme: scheme, permissions: ['clipboard-read', 'clipboard-write'], reducedMotion: 'reduce' });
    t.teardown(() => context.close());
    return new Person(context, await context.newPage(), url);
  }

  async goto(hash = ''): Promise<void> {
    // The same page with another hash is no navigation.
    if (this.page.url().startsWith(`${this.url}/`)) await this.page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
    else await this.page.goto(`${this.url}/${hash}`);
  }

  /** While this goes on, the browser may say that something did not load. */
  async forgiving(act: () => Promise<void>): Promise<void> {
    this.#isForgiving = true;
    await act();
    // What the console says comes on its own way, after what the page shows.
    await this.page.evaluate('new Promise((resolve) => setTimeout(resolve))');
    this.#isForgiving = false;
  }

  /** A button by its whole name. */
  async press(name: string | RegExp): Promise<void> {
    await this.page.getByRole('button', typeof name === 'string' ? { name, exact: true } : { name }).first().click();
  }

  async fill(label: string, text: string): Promise<void> {
    await this.page.getByLabel(label, { exact: true }).fill(text);
  }

  async signIn(key: string): Promise<void> {
    await this.fill('Key or token', key);
    await this.press('Sign in');
    await this.sees('Sign out');
  }

  /** Waits until it is seen. */
  async sees(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor();
  }

  /** The texts of all that a selector finds. */
  texts(selector: string): Promise<string[]> {
    return this.page.locator(selector).allTextContents();
  }

  clipboard(): Promise<string> {
    return this.page.evaluate<string>('navigator.clipboard.readText()');
  }

  /** What is wrong with what is shown: for those who do not see it, or use no mouse; and what sticks out of a narrow window. */
  async looksWrong(): Promise<string[]> {
    const { violations } = await new AxeBuilder({ page: this.page }).withTags(LEVELS).setLegacyMode(true).analyze();
    const out = await this.page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
    return [
      ...violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary = '' }) => `${html.slice(0, 120)} ${failureSummary.slice(0, 200)}`).join('; ')}`),
      ...(out > 0 ? [`it is ${out} pixels wider than the window`] : []),
    ];
  }

  /** Cookies go, too. */
  async leave(): Promise<void> {
    await this.#context.close();
  }
}

