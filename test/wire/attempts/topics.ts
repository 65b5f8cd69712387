import { batch, bearer, get, head, post, refused, type Attempt, type Facts } from './attempt.ts';

/** Topics that look like granted ones, and patterns that reach beyond a grant, in every place that names a topic. */

/** Names that are no topic of alice's. The path has them as they stand here, percent-encoded once. */
const LOOKALIKES: readonly (readonly [what: string, topic: string])[] = [
  ['another user\'s topic', 'user.bob.inbox'],
  ['the parent of what is granted', 'user.alice'],
  ['a name that begins like a granted one', 'user.alice2.inbox'],
  ['an accent in two characters, where one is granted', 'cafe\u0301.menu'],
  ['full-width letters', '\uff55ser.alice.inbox'],
  ['full-width dots', 'user\uff0ealice\uff0einbox'],
  ['ideographic full stops', 'user\u3002alice\u3002inbox'],
  ['one dot leaders', 'user\u2024alice\u2024inbox'],
  ['a zero-width space', 'user.alice\u200b.inbox'],
  ['a zero-width joiner', 'user.\u200dalice.inbox'],
  ['a soft hyphen', 'user.ali\u00adce.inbox'],
  ['a change of direction', '\u202euser.alice.inbox'],
  ['a variation selector', 'user.alice\ufe0f.inbox'],
  ['capitals', 'USER.ALICE.inbox'],
  ['one capital', 'user.Alice.inbox'],
  ['a dotless i', 'user.al\u0131ce.inbox'],
  ['a Cyrillic a', 'user.\u0430lice.inbox'],
  ['a ligature that folds to letters', 'user.alice\ufb01.inbox'],
  ['percent-encoding twice', 'user%2Ebob%2Einbox'],
  ['a slash for a dot', 'user/alice/inbox'],
  ['a backslash for a dot', 'user\\alice\\inbox'],
  ['a reserved topic', '$user.alice.inbox'],
];

/** They are read with a credential for everything, and published to where they are topics. */
const lookalikes = ({ alice, watcher }: Facts): Attempt[] => LOOKALIKES.flatMap(([what, topic]) => {
  const path = encodeURIComponent(topic);
  const right = topic.startsWith('$') ? undefined : bearer(watcher);
  // What is no topic is refused for that.
  const publishing = topic.startsWith('$') ? 400 : 403;
  return [
    // The grant of a path's topic is asked before its form.
    refused(`${what}: publishing`, post(`/topics/${path}`), 403, bearer(alice), right),
    refused(`${what}: publishing in a batch`, batch(JSON.stringify([{ topic: 'user.alice.inbox', data: 1 }, { topic, data: 1 }])), publishing, bearer(alice), right),
    refused(`${what}: history`, get(`/topics/${path}/messages`), 403, bearer(alice), right),
    refused(`${what}: history beside what is granted`, get(`/messages?topic=user.alice.inbox&topic=${path}`), 403, bearer(alice), right),
    refused(`${what}: a stream`, get(`/topics/${path}/events`), 403, bearer(alice), right),
    refused(`${what}: the end of the log, beside what is granted`, get(`/cursor?topic=user.alice.inbox&topic=${path}`), 403, bearer(alice), right),
    refused(`${what}: who listens`, get(`/topics/${path}/presence`), 403, bearer(alice)),
    refused(`${what}: how many listen`, get(`/presence?topic=${path}`), 403, bearer(alice)),
    refused(`${what}: a stream that is told who listens`, get(`/topics/${path}/events?presence=1`), 403, bearer(alice)),
  ];
});

/** Paths that something on the way might make another path of. */
const paths = ({ alice, bob, watcher, host }: Facts): Attempt[] => {
  const bobs = '/topics/user.bob.inbox';
  const mine = '/topics/user.alice.inbox';
  return [
    refused('percent-encoded letters and dots', get('/topics/%75ser%2Ebob%2einbox/messages'), 403, bearer(alice), bearer(bob)),
    refused('percent-encoded letters and dots: publishing', post('/topics/%75ser%2Ebob%2einbox'), 403, bearer(alice), bearer(bob)),
    refused('an overlong dot', get('/topics/user%C0%AEbob%C0%AEinbox/messages'), 400, bearer(watcher)),
    refused('an overlong slash', get('/topics/user.alice.inbox%C0%AF..%C0%AFuser.bob.inbox/messages'), 400, bearer(watcher)),
    refused('half a surrogate', get('/topics/user.alice.%ED%A0%80/messages'), 400, bearer(watcher)),
    refused('the end of a C text', get('/topics/user.bob.inbox%00.alice/messages'), 400, bearer(watcher)),
    refused('a line break', get('/topics/user.bob.inbox%0d%0aX-Injected:%201/messages'), 400, bearer(watcher)),
    refused('an empty segment', get('/topics/user.alice..inbox/messages'), 400, bearer(watcher)),
    refused('two empty segments for a folder above', get('/topics/user.alice.%2E%2E.bob.inbox/messages'), 400, bearer(watcher)),
    refused('a folder above, in the topic', get('/topics/user.alice.inbox%2F..%2Fuser.bob.inbox/messages'), 400, bearer(watcher)),
    refused('a folder above, in the path', get(`${mine}/../user.bob.inbox/messages`), 404, bearer(alice)),
    refused('a folder above, percent-encoded', get(`${mine}/%2e%2e/user.bob.inbox/messages`), 404, bearer(alice)),
    refused('a folder above the topics', get('/topics/../keys'), 404, bearer(alice)),
    refused('a folder above, behind messages', get(`/messages/..${bobs}/messages`), 404, bearer(alice)),
    refused('this folder', get(`/.${bobs}/messages`), 404, bearer(alice)),
    refused('two slashes', get(`/${bobs}/messages`), 404, bearer(alice)),
    refused('a backslash', get('/topics\\user.bob.inbox/messages'), 404, bearer(alice)),
    refused('a slash that is percent-encoded', get('/topics%2Fuser.bob.inbox/messages'), 404, bearer(alice)),
    refused('capitals in the path', get('/TOPICS/user.bob.inbox/messages'), 404, bearer(alice)),
    refused('letters of the path percent-encoded', get('/%74opics/user.bob.inbox/messages'), 403, bearer(alice), bearer(bob)),
    refused('letters of the path percent-encoded: metrics', get('/%6detrics'), 403, bearer(alice)),
    refused('letters of the path percent-encoded: keys', get('/%6beys'), 403, bearer(alice)),
    refused('a parameter of the path', get('/topics;x=1/user.bob.inbox/messages'), 404, bearer(alice)),
    refused('a question mark behind a slash', get('/topics/user.bob.inbox/messages/?/topics/user.alice.inbox/messages'), 404, bearer(alice)),
    refused('a fragment', get(`${bobs}/messages#${mine}/messages`), 400, bearer(bob)),
    refused('a fragment in place of a query', get('/messages#topic=user.bob.inbox'), 400, bearer(bob)),
    refused('a whole URL', get(`http://${host}${bobs}/messages`), 403, bearer(alice), bearer(bob)),
    refused('a whole URL: publishing', post(`http://${host}${bobs}`), 403, bearer(alice), bearer(bob)),
    refused('a whole URL with capitals', get(`HTTP://${host}${bobs}/messages`), 403, bearer(alice), bearer(bob)),
    refused('a whole URL with a user', get(`http://alice@${host}${bobs}/messages`), 421, bearer(alice)),
    refused('a whole URL of another scheme', get(`x://${host}${bobs}/messages`), 404, bearer(alice)),
    // Its path is `/`: the index, which tells Alice what she may do.
    refused('a whole URL with a question mark in its host', get(`http://${host}?${bobs}/messages`), 200, bearer(alice)),
  ];
};

const BROADER = ['>', '*', '*.>', 'user.>', 'user.*', 'user.*.>', 'user.*.*', 'user.*.inbox', '*.alice.inbox', '*.*.*', 'user.bob.>', 'user.bob.*', 'a.>', 'a.*.*', 'a.*', '*.*.c'];
const NO_PATTERNS = ['user.>.inbox', 'user.ali*', 'user.**', 'user.alice>', '>.alice'];

const patterns = ({ alice, watcher }: Facts): Attempt[] => [
  ...BROADER.flatMap((pattern) => {
    const path = encodeURIComponent(pattern);
    return [
      refused(`history of ${pattern}`, get(`/topics/${path}/messages`), 403, bearer(alice), bearer(watcher)),
      refused(`a stream of ${pattern}`, get(`/topics/${path}/events`), 403, bearer(alice), bearer(watcher)),
      refused(`a stream of ${pattern} beside what is granted`, get(`/events?topic=user.alice.%3E&topic=${path}`), 403, bearer(alice), bearer(watcher)),
      refused(`the end of the log for ${pattern}`, get(`/cursor?topic=${path}`), 403, bearer(alice), bearer(watcher)),
      refused(`who listens to ${pattern}`, get(`/topics/${path}/presence`), 403, bearer(alice)),
      refused(`publishing to ${pattern}`, post(`/topics/${path}`), 403, bearer(alice)),
    ];
  }),
  ...NO_PATTERNS.map((pattern) => refused(`${pattern}, which is no pattern`, get(`/topics/${encodeURIComponent(pattern)}/messages`), 400, bearer(watcher))),
  refused('a broad pattern, by the newest messages', get('/topics/%3E/messages?last=10'), 403, bearer(alice), bearer(watcher)),
  refused('a broad pattern, from the oldest message', get('/messages?topic=%3E&after=start'), 403, bearer(alice), bearer(watcher)),
  refused('a broad pattern, by time', get('/messages?topic=%3E&since=1h'), 403, bearer(alice), bearer(watcher)),
  refused('a broad pattern, by a long poll', get('/messages?topic=%3E&wait=50'), 403, bearer(alice), bearer(watcher)),
  refused('a broad pattern, by a long poll for what does not come', get('/topics/user.bob.x/messages?wait=50&last=0'), 403, bearer(alice)),
  refused('the topics', get('/topics'), 403, bearer(alice)),
  refused('the topics below one\'s own name', get('/topics?prefix=user.alice.'), 403, bearer(alice)),
  refused('the newest topics, by their head', head('/topics?sort=newest'), 403, bearer(alice)),
  refused('the topics, by no one', get('/topics?sort=rate'), 401, {}),
  refused('who would be sent one\'s own message', post('/topics/user.alice.inbox?report=1'), 403, bearer(alice)),
  refused('who would be sent a message, by an encoded name', post('/topics/user.alice.inbox?%72eport=%31'), 403, bearer(alice)),
  refused('the head of a history', head('/topics/user.bob.inbox/messages'), 403, bearer(alice), bearer(watcher)),
  refused('the head of a stream', head('/topics/user.bob.inbox/events'), 403, bearer(alice), bearer(watcher)),
];

/** Batches: all of a batch may be published, or nothing of it. */
const batches = ({ alice, watcher }: Facts): Attempt[] => {
  const mine = '{"topic":"user.alice.inbox","data":1}';
  const theirs = '{"topic":"user.bob.inbox","data":1}';
  return [
    refused('a batch, last of many', batch(`[${Array.from({ length: 50 }, () => mine).join()},${theirs}]`), 403, bearer(alice), bearer(watcher)),
    refused('lines, the first', batch(`${theirs}\n${mine}\n`, 'application/x-ndjson'), 403, bearer(alice), bearer(watcher)),
    refused('lines, the last without an end', batch(`${mine}\n\n${theirs}`, 'application/x-ndjson'), 403, bearer(alice), bearer(watcher)),
    refused('a topic that is there twice, the granted one first', batch('[{"topic":"user.alice.inbox","topic":"user.bob.inbox","data":1}]'), 400, bearer(watcher)),
    refused('a topic that is there twice, the granted one last', batch('[{"topic":"user.bob.inbox","topic":"user.alice.inbox","data":1}]'), 400, bearer(watcher)),
    refused('a topic that is there twice, once with an escape', batch('[{"topic":"user.alice.inbox","to\\u0070ic":"user.bob.inbox","data":1}]'), 400, bearer(watcher)),
    refused('a topic with escapes', batch('[{"topic":"user\\u002ebob\\u002einbox","data":1}]'), 403, bearer(alice), bearer(watcher)),
    refused('a topic that is inherited', batch('[{"__proto__":{"topic":"user.bob.inbox"},"data":1}]'), 400, bearer(watcher)),
    refused('a prototype beside a topic', batch('[{"__proto__":{"topic":"user.bob.inbox"},"topic":"user.alice.inbox","data":1}]'), 400, bearer(watcher)),
    refused('a list of topics in a message', batch('[{"topic":["user.alice.inbox","user.bob.inbox"],"data":1}]'), 400, bearer(watcher)),
    refused('a member Topic beside topic', batch('[{"topic":"user.alice.inbox","Topic":"user.bob.inbox","data":1}]'), 400, bearer(watcher)),
    refused('a batch in the URL of a topic', post('/topics/user.bob.inbox', `[${mine}]`, { 'Content-Type': 'application/json' }), 403, bearer(alice), bearer(watcher)),
  ];
};

/** Parameters that are there twice, or where another one counts. */
const parameters = ({ alice, watcher }: Facts): Attempt[] => [
  refused('a topic of the query beside that of the path', get('/topics/user.alice.inbox/messages?topic=user.bob.inbox'), 400, bearer(watcher)),
  refused('a topic of the query beside that of the path, in a stream', get('/topics/user.alice.inbox/events?topic=user.bob.inbox'), 400, bearer(watcher)),
  refused('many topics, one of them not granted', get(`/events?${Array.from({ length: 99 }, (_, index) => `topic=user.alice.t${index}`).join('&')}&topic=user.bob.inbox`), 403, bearer(alice), bearer(watcher)),
  refused('a list of topics in brackets', get('/events?topic[]=user.alice.inbox&topic[]=user.bob.inbox'), 400, bearer(watcher)),
  refused('a topic with a number', get('/events?topic=user.alice.inbox&topic[1]=user.bob.inbox'), 400, bearer(watcher)),
  refused('a parameter Topic', get('/events?topic=user.alice.inbox&Topic=user.bob.inbox'), 400, bearer(watcher)),
  refused('the name of a parameter percent-encoded', get('/events?%74opic=user.bob.inbox'), 403, bearer(alice), bearer(watcher)),
  refused('a cursor twice', get('/topics/user.alice.inbox/messages?after=start&after=start'), 400, bearer(alice)),
  refused('a pattern switch twice', get('/topics/user.alice.inbox/messages?pattern=0&pattern=1'), 400, bearer(alice)),
  refused('topics with a blank between', get('/events?topic=user.alice.inbox+user.bob.inbox'), 400, bearer(watcher)),
];

export const topicAttempts = (facts: Facts): Attempt[] => [lookalikes, paths, patterns, batches, parameters].flatMap((one) => one(facts));
