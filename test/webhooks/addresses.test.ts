import t from 'tap';
import { readWebhookAllow } from '../../src/config/webhook-allow.ts';
import { isPublicAddress, mayConnect } from '../../src/webhooks/addresses.ts';
import { readTarget } from '../../src/webhooks/target.ts';

const NOBODY = readWebhookAllow('');

/** What only this machine, its network or its cloud reaches. */
const INSIDE = [
  '0.0.0.0', '0.1.2.3', '10.0.0.1', '10.255.255.255', '100.64.0.1', '100.100.100.200', '100.127.255.255', '127.0.0.1', '127.255.255.254', '168.63.129.16', '169.254.0.1', '169.254.169.254', '169.254.170.2', '172.16.0.1', '172.31.255.255',
  '192.0.0.1', '192.0.0.192', '192.0.2.1', '192.88.99.1', '192.168.0.1', '192.168.255.255', '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1', '224.0.0.1', '239.255.255.250', '240.0.0.1', '255.255.255.255',
  '::', '::1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '::ffff:7f00:1', '::127.0.0.1', '64:ff9b::127.0.0.1', '64:ff9b::8.8.8.8', '64:ff9b:1::1', '100::1', '2001::1', '2001:10::1', '2001:20::1', '2001:db8::1', '2002:7f00:1::', '2002:a00:1::1', '3fff::1',
  'fc00::1', 'fd00:ec2::254', 'fe80::1', 'fe80::1%eth0', 'fec0::1', 'ff02::1', '2606:4700::1%eth0', '', 'localhost', '1.2.3', '01.2.3.4', '8.8.8.8/32',
];
const OUTSIDE = ['1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.1', '169.253.255.255', '172.15.255.255', '172.32.0.0', '192.167.255.255', '192.169.0.0', '223.255.255.255', '2606:4700:4700::1111', '2a00:1450:4001::1', '2001:4860:4860::8888'];

t.test('addresses that are not on the public internet', async (t) => {
  t.same(INSIDE.filter(isPublicAddress), []);
  t.same(OUTSIDE.filter((address) => !isPublicAddress(address)), []);
  t.ok(INSIDE.length >= 40);
});

/** How one writes an address inside so that it looks like something else, and other schemes and tricks. */
const TRICKS = [
  'http://127.0.0.1/', 'http://127.1/', 'http://127.0.1/', 'http://2130706433/', 'http://0x7f000001/', 'http://0x7f.0.0.1/', 'http://0177.0.0.1/', 'http://017700000001/', 'http://0/', 'http://0.0.0.0/', 'http://127.0.0.1./', 'http://127。0。0。1/',
  'http://①②⑦.⓪.⓪.①/', 'http://１２７.０.０.１/', 'http://%31%32%37.0.0.1/', 'http://[::1]/', 'http://[::]/', 'http://[0:0:0:0:0:0:0:1]/', 'http://[::ffff:127.0.0.1]/', 'http://[::ffff:7f00:1]/', 'http://[::ffff:a9fe:a9fe]/', 'http://[64:ff9b::7f00:1]/',
  'http://[fe80::1]/', 'http://[fd00:ec2::254]/', 'http://169.254.169.254/latest/meta-data/', 'http://2852039166/', 'http://0xa9fea9fe/', 'http://localhost/', 'http://LOCALHOST/', 'http://localhost./', 'http://a.localhost:80/', 'http://10.0.0.1/', 'https://192.168.1.1/',
  'http://user@example.com/', 'http://user:password@example.com/', 'http://example.com@127.0.0.1/', 'http://127.0.0.1\\@example.com/', 'http://example.com/#fragment', 'http://example.com:0/', 'ftp://example.com/', 'file:///etc/passwd', 'gopher://example.com/',
  'javascript:alert(1)', 'data:text/plain,x', 'ws://example.com/', 'unix:/var/run/docker.sock', '//example.com/', 'example.com', '/relative', '', 'http://', 'http://a b/', 'http://[::1/', `https://example.com/${'x'.repeat(2_048)}`, 5, null, undefined, {}, ['https://example.com/'],
] as const;

t.test('URLs that are no target, and ways to write an address inside', async (t) => {
  for (const trick of TRICKS) t.throws(() => readTarget(trick, NOBODY), { code: 'invalid-request', field: 'url' }, JSON.stringify(trick)?.slice(0, 60) ?? 'nothing');
  for (const url of ['https://example.com/hook?a=b', 'http://example.com:8080/', 'https://8.8.8.8/', 'https://[2606:4700:4700::1111]/']) t.equal(readTarget(url, NOBODY), url);
});

t.test('WEBHOOK_ALLOW names hosts, addresses and ranges, and nothing beside them', async (t) => {
  const allow = readWebhookAllow('hooks.internal, 10.1.0.0/16, 127.0.0.1, fd00::/8');
  for (const [address, host, may] of [
    ['10.1.2.3', 'x', true], ['10.2.0.1', 'x', false], ['127.0.0.1', 'x', true], ['127.0.0.2', 'x', false], ['fd00::1', 'x', true], ['fe80::1', 'x', false], ['192.168.0.1', 'hooks.internal', true], ['192.168.0.1', 'other.hooks.internal', false],
    ['192.168.0.1', 'hooks.internal.example.com', false], ['::ffff:10.1.2.3', 'x', false], ['::ffff:127.0.0.1', 'x', false], ['64:ff9b::a01:203', 'x', false],
  ] as const) t.equal(mayConnect(address, host, allow), may, `${address} of ${host}`);
  t.equal(readTarget('http://127.0.0.1:9/', allow), 'http://127.0.0.1:9/');
  t.throws(() => readTarget('http://127.0.0.2/', allow), { code: 'invalid-request' });
  t.equal(readTarget('http://localhost/', readWebhookAllow('localhost')), 'http://localhost/');
});
