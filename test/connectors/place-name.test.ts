import t from 'tap';
import { NATS } from '../../src/connectors/nats/nats.ts';
import { CONNECTOR_NAME_MAX_BYTES } from '../../src/store/contracts/connector-store.ts';
import { KAFKA } from '../../src/connectors/kafka/kafka.ts';

/** A system is recognised by its servers, so that a sink sends no message back to its origin. */

const DECLARED = { name: 'one', field: 'connectors.one', env: {} };

t.test('all names of this machine are one, in any order of servers; other servers, ports and users are not', (t) => {
  const nats = (url: string): string => NATS.sink.read({ url }, DECLARED).place;
  const kafka = (url: string): string => KAFKA.sink.read({ url }, DECLARED).place;
  for (const [place, scheme] of [[nats, 'nats'], [kafka, 'kafka']] as const) {
    const one = place(`${scheme}://localhost:5000,Broker.example:5001`);
    for (const same of ['127.0.0.1:5000,broker.example:5001', '[::1]:5000,broker.example:5001', 'broker.example:5001,localhost:5000']) t.equal(place(`${scheme}://${same}`), one, same);
    for (const other of ['localhost:5000', 'localhost:5002,broker.example:5001', '10.0.0.1:5000,broker.example:5001']) t.not(place(`${scheme}://${other}`), one, other);
  }
  t.not(nats('nats://me:secret@localhost:5000'), nats('nats://you:secret@localhost:5000'));
  t.notMatch(nats('nats://me:secret@localhost:5000'), 'secret');
  const long = Array.from({ length: 30 }, (_, index) => `broker-${index}.a-long-name.example:5000`);
  t.ok(Buffer.byteLength(kafka(`kafka://${long.join()}`)) <= CONNECTOR_NAME_MAX_BYTES, 'a long list is stored, too');
  t.not(kafka(`kafka://${long.join()}`), kafka(`kafka://${long.slice(1).join()}`), 'and its end counts');
  t.end();
});
