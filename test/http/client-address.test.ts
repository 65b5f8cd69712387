import { t } from 'tap';
import { readTrustedProxies } from '../../src/config/trusted-proxies.ts';
import { clientAddress } from '../../src/http/admission/client-address.ts';

t.test('the client is the first address that is not trusted', (t) => {
  const cases: readonly (readonly [what: string, trusted: string, remote: string | undefined, forwarded: string | undefined, client: string])[] = [
    ['nobody is trusted', '', '192.0.2.1', '203.0.113.7', '192.0.2.1'],
    ['another proxy is trusted', '10.0.0.0/8', '192.0.2.1', '203.0.113.7', '192.0.2.1'],
    ['the proxy says nothing', '10.0.0.0/8', '10.0.0.1', undefined, '10.0.0.1'],
    ['the proxy says nothing of it', '10.0.0.0/8', '10.0.0.1', '', '10.0.0.1'],
    ['one proxy', '10.0.0.0/8', '10.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['what the client says of itself is not believed', '10.0.0.0/8', '10.0.0.1', '127.0.0.1, 10.0.0.9, 203.0.113.7', '203.0.113.7'],
    ['two proxies', '10.0.0.0/8', '10.0.0.1', '198.51.100.1, 203.0.113.7, 10.0.0.2', '203.0.113.7'],
    ['everybody on the way is trusted', '10.0.0.0/8', '10.0.0.1', '10.0.0.3,10.0.0.2', '10.0.0.3'],
    ['a proxy with one address', '192.0.2.1', '192.0.2.1', '203.0.113.7', '203.0.113.7'],
    ['its neighbour', '192.0.2.1', '192.0.2.2', '203.0.113.7', '192.0.2.2'],
    ['a proxy by its name', 'loopback', '127.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['on a socket of both kinds', 'loopback', '::ffff:127.0.0.1', '::ffff:203.0.113.7', '203.0.113.7'],
    ['on a socket of both kinds, without a proxy', '', '::ffff:203.0.113.7', undefined, '203.0.113.7'],
    ['over IPv6', 'loopback, uniquelocal', '::1', '2001:db8::7, fd00::1', '2001:db8::7'],
    ['with ports', 'loopback', '127.0.0.1', '203.0.113.7:50123', '203.0.113.7'],
    ['with ports over IPv6', 'loopback', '127.0.0.1', '[2001:db8::7]:50123', '2001:db8::7'],
    ['in brackets', 'loopback', '127.0.0.1', '[2001:db8::7]', '2001:db8::7'],
    ['an entry that is no address', 'loopback', '127.0.0.1', '203.0.113.7, unknown', '127.0.0.1'],
    ['an entry that only looks so', 'loopback', '127.0.0.1', '203.0.113.7, 1.2.3.4.5', '127.0.0.1'],
    ['an empty entry', 'loopback', '127.0.0.1', '203.0.113.7, ', '127.0.0.1'],
    ['the connection is gone', 'loopback', undefined, '203.0.113.7', ''],
  ];
  for (const [what, trusted, remoteAddress, forwarded, client] of cases) {
    t.equal(clientAddress(forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }, { remoteAddress }, readTrustedProxies(trusted)), client, what);
  }
  t.end();
});
