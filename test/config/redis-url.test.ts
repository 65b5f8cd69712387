import { t } from 'tap';
import { readRedisUrl } from '../../src/config/redis-url.ts';

t.test('one server', (t) => {
  t.same(readRedisUrl('redis://h'), { kind: 'server', access: { isTls: false }, server: { host: 'h', port: 6379 } });
  t.same(readRedisUrl('REDISS://u%20x:p%40%2F@cache.internal:6380/3'), { kind: 'server', access: { isTls: true, username: 'u x', password: 'p@/' }, server: { host: 'cache.internal', port: 6380 } });
  t.same(readRedisUrl('redis://u:p\nq@h'), { kind: 'server', access: { isTls: false, username: 'u', password: 'p\nq' }, server: { host: 'h', port: 6379 } });
  t.same(readRedisUrl('redis://:p@ss@[::1]:6390'), { kind: 'server', access: { isTls: false, password: 'p@ss' }, server: { host: '::1', port: 6390 } });
  t.end();
});

t.test('the sentinels of a master', (t) => {
  t.same(readRedisUrl('redis+sentinel://u:p@s1,s2:26380,[fd00::1]:5/mymaster/2?sentinelUsername=w%26&sentinelPassword=x=y'), {
    kind: 'sentinel', master: 'mymaster', access: { isTls: false, username: 'u', password: 'p' }, sentinelAccess: { isTls: false, username: 'w&', password: 'x=y' },
    sentinels: [{ host: 's1', port: 26379 }, { host: 's2', port: 26380 }, { host: 'fd00::1', port: 5 }],
  });
  t.match(readRedisUrl('redis+sentinel://s1/m?sentinelPassword=x\ny'), { sentinelAccess: { password: 'x\ny' } });
  t.same(readRedisUrl('rediss+sentinel://s1/m'), { kind: 'sentinel', master: 'm', access: { isTls: true }, sentinelAccess: { isTls: true }, sentinels: [{ host: 's1', port: 26379 }] });
  t.end();
});

t.test('nodes of a cluster', (t) => {
  t.same(readRedisUrl('rediss+cluster://:p@n1:7000,n2/'), { kind: 'cluster', access: { isTls: true, password: 'p' }, nodes: [{ host: 'n1', port: 7000 }, { host: 'n2', port: 6379 }] });
  t.end();
});

t.test('an error names the fault, and repeats nothing of the URL', (t) => {
  for (const [url, why] of [
    ['http://u:hunter2@h', /no URL of Redis/], ['hunter2@h', /no URL of Redis/], ['redis+other://u:hunter2@h', /no URL of Redis/], ['redis://u:hunter2#@h', /no URL of Redis/],
    ['redis://', /^its host is/], ['redis://u:hunter2@', /^its host is/], ['redis://u:hunter2/x@h', /^its host is/], ['redis://u:hunter2@h:70000', /^its host is/], ['redis://u:hunter2@h:0', /^its host is/],
    ['redis://u:hunter2@[1:2]', /^its host is/], ['redis://u:hunter2@a b', /^its host is/], ['redis://u:hunter2@h/name', /number of a database/], ['redis://u:hunter2%zz@h', /not percent-encoded/],
    ['redis://u:hunter2@h1,h2', /several hosts.*redis\+cluster.*redis\+sentinel/], ['redis+cluster://u:hunter2@h1,,h2', /^host 2 of 3 is/], ['redis+cluster://u:hunter2@h1,h2/name', /number of a database/],
    ['redis+sentinel://u:hunter2@h1,h2', /name of their master/], ['redis+sentinel://u:hunter2@h1,h2/', /name of their master/], ['redis+sentinel://u:hunter2@h1,h2/a%20b', /name of their master/],
    ['redis+sentinel://u:hunter2@h1,h2:x/m', /^host 2 of 2 is/], ['redis+sentinel://h/m?password=hunter2', /neither sentinelUsername nor sentinelPassword/], ['redis+sentinel://h/m?sentinelPassword=hunter2%', /not percent-encoded/],
  ] as const) {
    t.throws(() => readRedisUrl(url), { name: 'WrongValue', message: why }, url);
    try {
      readRedisUrl(url);
    } catch (error) {
      t.notMatch(String(error), /hunter2/);
    }
  }
  t.end();
});
