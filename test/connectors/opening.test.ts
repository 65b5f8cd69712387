import t from 'tap';
import { openUnlessAborted } from '../../src/connectors/opening.ts';

t.test('a system that never answers keeps nobody that stops; what opens after that is closed', async (t) => {
  const ended = new AbortController();
  const context = { name: 'it', logId: 'mylog', fence: 1, signal: ended.signal };
  const { promise: opening, resolve: open } = Promise.withResolvers<{ close(): Promise<void> }>();
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  const opened = { close: () => Promise.resolve(close()) };
  const waiting = t.rejects(openUnlessAborted({ place: 'test', load: () => Promise.resolve(), open: () => opening }, context, (error) => t.fail('it is not told', { error })), /stopped/);
  ended.abort();
  await waiting;
  open(opened);
  await closed;
  const other = { ...context, signal: new AbortController().signal };
  t.equal(await openUnlessAborted({ place: 'test', load: () => Promise.resolve(), open: () => Promise.resolve(opened) }, other, () => undefined), opened);
  await t.rejects(openUnlessAborted({ place: 'test', load: () => Promise.resolve(), open: () => Promise.reject(new Error('away')) }, other, () => undefined), /away/);
});
