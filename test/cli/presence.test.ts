import t from 'tap';
import { startInstance } from '../support/instance.ts';
import { shell, typed } from '../support/tidings-command.ts';

/** `tidings presence --watch` */

t.test('it tells who is there and who comes, until it is interrupted', async (t) => {
  const instance = await startInstance(t, { LOG_LEVEL: 'error' });
  const listen = async (name: string): Promise<void> => {
    const stream = await fetch(`${instance.url}/topics/room/events?as=${encodeURIComponent(name)}`);
    t.teardown(() => stream.body?.cancel());
  };
  const env = { TIDINGS_URL: instance.url };
  await listen('alice\u202e');
  const child = shell(t, 'tidings presence room --watch', { env });
  await child.says('alice\\u202e\n');
  await listen('bob');
  await child.says('room + bob\n');
  t.match(await typed(t, 'tidings presence room', { env }), { code: 0, output: /^id\tstreams\tsince\tmeta\nalice\\u202e\t1\t\S+\t-\nbob\t1\t\S+\t-\n$/ });
  child.kill('SIGINT');
  t.match(await child.exited, { code: 130 });
});
