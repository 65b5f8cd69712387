import t from 'tap';
import { NOBODY } from '../../src/http/admission/access-rules.ts';
import { buildApp } from '../../src/http/app.ts';
import { Problem, type ProblemCode } from '../../src/model/problem.ts';
import { fakeService } from '../support/service.ts';

/** Which renewals of streams count as failed logins. */

t.test('a renewal that is refused counts as a failed login; one that cannot be done now does not', async (t) => {
  const outcomes: readonly (readonly [ProblemCode, boolean])[] = [
    ['invalid-credential', true], ['forbidden', true], ['not-found', true], ['stream-elsewhere', false], ['overloaded', false], ['unavailable', false], ['outcome-unknown', false],
  ];
  for (const [code, counts] of outcomes) {
    const failed: string[] = [];
    const service = fakeService();
    const app = buildApp({
      ...service,
      access: { ignoresCredentials: () => false, identify: () => ({ ...NOBODY, credential: { owner: { kind: 'key', id: 'k', secret: 's' }, expires: undefined } }) },
      limits: { ...service.limits, failedLogin: (address) => void failed.push(address) },
      renewals: { ...service.renewals, renew: () => Promise.reject(new Problem(code, 'So it is.')) },
    });
    t.teardown(() => app.close());
    const answer = await app.inject({ method: 'POST', url: '/streams/a-1/credential', payload: JSON.stringify({ secret: 'x'.repeat(22) }), headers: { 'content-type': 'application/json' } });
    t.match(answer.json(), { code, status: answer.statusCode });
    t.equal(failed.length, counts ? 1 : 0, code);
  }
});
