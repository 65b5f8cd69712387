import type { Test } from 'tap';
import { Http } from './http.ts';
import type { Instance } from './instance.ts';
import { until } from './until.ts';

/** Waits until every instance says that its bus is so; each answer of /readyz must be 200 whatever it says. */
export async function allSay(t: Test, status: 'ready' | 'degraded', instances: readonly Instance[]): Promise<void> {
  for (const { url } of instances) {
    const http = new Http(t, url);
    await until(`${url} says ${status}`, async () => {
      const answer = await http.get('/readyz');
      if (answer.status !== 200) throw new Error(`/readyz: ${answer.status} ${answer.body}`);
      return (JSON.parse(answer.body) as { readonly status: string }).status === status;
    });
  }
}
