import { setImmediate as nextTurn } from 'node:timers/promises';
import { t, type Test } from 'tap';
import { Problem, type ProblemCode } from '../../src/model/problem.ts';
import { RULES } from '../../src/http/admission/admission.ts';
import type { Rule } from '../../src/http/admission/rule.ts';
import { RawConnection, requestBytes, type Answer } from '../support/raw.ts';
import { fakeService } from '../support/service.ts';
import { serve, type Served } from './fast-path/ways.ts';

/** `Expect` (RFC 9110, section 10.1.1): who waits to be told to go on is told when the body is wanted, and never before it is decided that the request is served. */

const EDGES = [{ edge: 'with the fast path', fastPath: true }, { edge: 'on the ordinary way', fastPath: false }] as const;

interface Case {
  readonly what: string;
  readonly request: Buffer;
  /** What it gets before it has sent its body. */
  readonly first: readonly (number | ProblemCode)[];
  /** Its body. */
  readonly rest?: string;
  /** What it gets then, besides. */
  readonly then?: readonly (number | ProblemCode)[];
}

const WAITS = { Expect: '100-continue', 'Content-Length': '4' };
const POST = requestBytes('POST', '/topics/a', {}, 'x');

/** The topic `shut` is refused by the rule in front. */
const CASES: readonly Case[] = [
  { what: 'a publish', request: requestBytes('POST', '/topics/a', WAITS), first: [100], rest: 'abcd', then: [201] },
  { what: 'a publish, in other letters', request: requestBytes('POST', '/topics/a', { ...WAITS, Expect: '100-Continue' }), first: [100], rest: 'abcd', then: [201] },
  { what: 'a publish in chunks', request: requestBytes('POST', '/topics/a', { Expect: '100-continue', 'Transfer-Encoding': 'chunked' }), first: [100], rest: '4\r\nabcd\r\n0\r\n\r\n', then: [201] },
  { what: 'a publish of nothing', request: requestBytes('POST', '/topics/a', { ...WAITS, 'Content-Length': '0' }), first: [201] },
  { what: 'a batch', request: requestBytes('POST', '/messages', { ...WAITS, 'Content-Type': 'application/json' }), first: [100], rest: '   x', then: ['invalid-batch'] },
  { what: 'after another publish', request: Buffer.concat([POST, requestBytes('POST', '/topics/a', WAITS)]), first: [201, 100], rest: 'abcd', then: [201] },
  { what: 'a request that is refused', request: requestBytes('POST', '/topics/shut', WAITS), first: ['forbidden'] },
  { what: 'a request that is refused, in chunks', request: requestBytes('POST', '/topics/shut', { Expect: '100-continue', 'Transfer-Encoding': 'chunked' }), first: ['forbidden'] },
  { what: 'a request that is refused and does not wait', request: requestBytes('POST', '/topics/shut', { Expect: '100-continue' }, 'abcd'), first: ['forbidden'] },
  { what: 'one that is refused after a publish', request: Buffer.concat([POST, requestBytes('POST', '/topics/shut', WAITS)]), first: [201, 'forbidden'] },
  { what: 'a body that is too long', request: requestBytes('POST', '/topics/a', { ...WAITS, 'Content-Length': '99999999' }), first: ['too-large'] },
  { what: 'a topic that is none', request: requestBytes('POST', '/topics/a/b/c', WAITS), first: ['not-found'] },
  { what: 'a method that is none', request: requestBytes('PUT', '/topics/a', WAITS), first: ['method-not-allowed'] },
  { what: 'a path that is not encoded', request: requestBytes('POST', '/topics/%FF', WAITS), first: ['invalid-request'] },
  { what: 'something that is read', request: requestBytes('GET', '/healthz', { Expect: '100-continue' }), first: [200] },
  { what: 'another expectation', request: requestBytes('POST', '/topics/a', { ...WAITS, Expect: 'more' }, 'abcd'), first: ['expectation-failed'] },
  { what: 'two expectations', request: requestBytes('POST', '/topics/a', { ...WAITS, Expect: '100-continue, more' }, 'abcd'), first: ['expectation-failed'] },
  { what: 'another expectation of one that is refused', request: requestBytes('POST', '/topics/shut', { ...WAITS, Expect: 'more' }, 'abcd'), first: ['forbidden'] },
  { what: 'another expectation in HTTP/1.0', request: http10({ ...WAITS, Expect: 'more' }, 'abcd'), first: [201] },
  { what: 'HTTP/1.0, which is never told', request: http10(WAITS, 'abcd'), first: [201] },
];

function http10(headers: Readonly<Record<string, string>>, body: string): Buffer {
  return Buffer.from(requestBytes('POST', '/topics/a', headers, body).toString().replace('HTTP/1.1', 'HTTP/1.0'));
}

function shownAs(answer: Answer): number | ProblemCode {
  return answer.status < 400 ? answer.status : (JSON.parse(answer.body) as { code: ProblemCode }).code;
}

async function play(t: Test, served: Served, { what, request, first, rest, then = [] }: Case): Promise<void> {
  const connection = await RawConnection.open(t, served);
  const answers = (): Answer[] => connection.answers(...Array.from({ length: 4 }, () => 'POST'));
  const came = async (count: number): Promise<Answer[]> => {
    await connection.until(`${count} answers to ${what}`, () => answers().filter(({ status, complete }) => status === 100 || complete).length >= count);
    return answers();
  };
  connection.send(request);
  t.same((await came(first.length)).map(shownAs), first, what);
  if (rest !== undefined) {
    connection.send(rest);
    t.same((await came(first.length + then.length)).map(shownAs), [...first, ...then], what);
  }
  const last = answers().at(-1)!;
  // Its body may still come, or not: nobody could say where the next request begins.
  if (last.status >= 400 && rest === undefined && !request.toString().endsWith('abcd')) {
    t.equal(last.headers['connection'], 'close', what);
    await connection.untilClosed();
    t.same(answers().map(shownAs), [...first, ...then], what);
  }
  connection.destroy();
}

for (const { edge, fastPath } of EDGES) {
  for (const isLater of [false, true]) {
    t.test(`100 is said when the body is wanted, where it is decided ${isLater ? 'after a while' : 'at once'} ${edge}`, async (t) => {
      const rule: Rule = ({ url }) => {
        const objection = url === '/topics/shut' ? new Problem('forbidden', 'Not there.') : undefined;
        return isLater ? nextTurn(objection) : objection;
      };
      const served = await serve(t, fakeService(), { fastPath, rules: [rule, ...RULES] });
      for (const one of CASES) await play(t, served, one);
    });
  }
}
