import t from 'tap';
import { PROBLEMS } from '../../src/model/problem.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { exchange } from '../support/raw.ts';
import { BAD_INPUT } from './bad-input-cases.ts';

/** What would tell a client of the inside: files, folders, libraries, statements, stacks. */
const INSIDE = /node:|node_modules|\.ts\b|\.js\b|\/src\/|\/tmp\/|fastify|FST_|HPE_|typebox|sqlite|select |insert |\bat .*:[0-9]+|\[object/i;

const instance = await startInstance(t, { LOG_LEVEL: 'warn' });
const http = new Http(t, instance.url);

await t.test('every request that cannot be carried out is refused with what is wrong', async (t) => {
  for (const { name, request, status, code, field, allow } of BAD_INPUT) {
    const answer = await exchange(t, instance, request);
    const { detail, ...said } = JSON.parse(answer.body) as Record<string, unknown>;
    t.strictSame(
      { status: answer.status, type: answer.headers['content-type'], allow: answer.headers['allow'], said },
      {
        status,
        type: 'application/problem+json',
        allow,
        said: { type: `urn:tidings:problem:${code}`, title: PROBLEMS[code][1], status, code, ...(field === undefined ? {} : { field }) },
      },
      name,
    );
    t.match(detail, /^[^\r\n]+\.$/, `${name}: one sentence or more`);
    t.notMatch(answer.body, INSIDE, `${name}: nothing of the inside`);
  }
});

await t.test('where there are only a few things to say, or to ask for, the answer says which', async (t) => {
  const detail = async (path: string): Promise<string> => (JSON.parse((await http.get(path)).body) as { detail: string }).detail;
  t.equal(await detail('/topics/a/events?control=yes'), 'control must be one of 0, 1.');
  t.match(await detail('/topic/a'), '/openapi.json');
  t.equal((await http.get('/openapi.json')).status, 200);
});

await t.test('nothing of it was stored, and nothing of it broke the service', async (t) => {
  t.equal(await http.metric('log_head'), 0, 'no number was given');
  t.strictSame((await http.json<{ messages: unknown[] }>('/topics/%3E/messages')).messages, []);
  t.strictSame(instance.output.split('\n').filter((line) => line.includes('"level":"error"')), [], 'nothing was an error of our own');
  t.equal((await http.post('a', 'x')).status, 201);
  t.equal(await http.metric('log_head'), 1);
});
