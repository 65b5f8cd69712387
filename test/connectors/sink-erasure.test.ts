import t from 'tap';
import { UnsendableMessage, type Transport } from '../../src/connectors/transport.ts';
import { ConnectedLog } from '../support/connectors.ts';
import { until } from '../support/until.ts';
import { SqliteDatabase } from '../store/sqlite/database.ts';

t.test('a message that is erased while others are sent goes nowhere: not to the other system, and not into a dead letter', async (t) => {
  const handedOver: string[][] = [];
  /** It cannot send the first message, and says so once that one and the second are erased; nor the third. */
  const transport: Transport = {
    source: { members: [], fields: [], topic: 'a', read: () => { throw new Error('no source'); } },
    sink: { members: [], target: { member: 'to', otherwise: 'x', whyNot: () => undefined }, read: () => ({ place: 'test', load: () => Promise.resolve(), open: () => Promise.resolve({
      lost: new Promise(() => undefined),
      close: () => Promise.resolve(),
      send: async (messages, sent) => {
        handedOver.push(messages.map(({ data }) => Buffer.from(data).toString()));
        if (handedOver.length === 1) await log.erase(1, 2);
        if (handedOver.length <= 2) throw new UnsendableMessage('never');
        for (const _message of messages) sent();
      },
    }) }) },
  };
  const log = await ConnectedLog.open(t, new SqliteDatabase(t).store(), { out: { kind: 'sink', of: 'test', topics: ['a'], from: 'start' } }, { test: transport });
  // In one commit, so that the sink finds all of them.
  await log.publishText('a', 'one', 'two', 'three', 'four');
  await until('the last is sent', () => log.count('out', 'sent') >= 1);
  t.same(handedOver, [['one', 'two', 'three', 'four'], ['three', 'four'], ['four']]);
  const letters = (await log.held('dead.connectors.out')).map((letter) => JSON.parse(letter.slice(letter.indexOf('=') + 1)) as { readonly dataBase64: string });
  t.same(letters.map(({ dataBase64 }) => Buffer.from(dataBase64, 'base64').toString()), ['three']);
});
