import { ResponseError, type API } from '@platformatic/kafka';
import t from 'tap';
import { leaderOf } from '../../../src/bus/kafka/topic.ts';

/** What a cluster says when the topic is looked for, without a cluster. */

/** Codes of Kafka. */
const UNKNOWN_TOPIC = 3;
const LEADER_NOT_AVAILABLE = 5;
const TOPIC_ALREADY_EXISTS = 36;
const POLICY_VIOLATION = 44;
const TOPIC_AUTHORIZATION_FAILED = 29;

const FOUND = { brokers: [{ nodeId: 7, host: 'b', port: 9 }], topics: [{ name: 'topic', partitions: [{ partitionIndex: 0, leaderId: 7 }] }] };

/** Answers one after the other: a code is a refusal. */
async function look(...answers: readonly unknown[]): Promise<{ readonly leader: unknown; readonly made: readonly (readonly string[])[] }> {
  const made: (readonly string[])[] = [];
  let asked = 0;
  const connection = {
    ask: async ({ key }: { readonly key: number }, ...args: readonly unknown[]) => {
      if (Array.isArray(args[0]) && typeof args[0][0] === 'object') made.push((args[0] as [{ configs: { name: string }[] }])[0].configs.map(({ name }) => name));
      const answer = answers[asked++];
      if (typeof answer === 'number') throw new ResponseError(key, 0, { '/topics/0': [answer, null] }, {});
      return answer;
    },
  } as { ask<Arguments extends unknown[], Response>(api: API<Arguments, Response>, ...args: Arguments): Promise<Response> };
  return { leader: await leaderOf(connection, 'topic').catch((error: unknown) => error), made };
}

t.test('a topic that is there is not made; one that is not is made, and waited for until it has a leader', async (t) => {
  t.same(await look(FOUND), { leader: { host: 'b', port: 9 }, made: [] });
  const { leader, made } = await look(UNKNOWN_TOPIC, {}, LEADER_NOT_AVAILABLE, FOUND);
  t.same(leader, { host: 'b', port: 9 });
  t.same(made.map((names) => names.toSorted()), [['cleanup.policy', 'compression.type', 'max.message.bytes', 'retention.bytes', 'retention.ms', 'segment.bytes', 'segment.ms']]);
});

t.test('another instance may make it first; a cluster may not allow the setting of compression; other refusals are errors', async (t) => {
  t.same((await look(UNKNOWN_TOPIC, TOPIC_ALREADY_EXISTS, FOUND)).leader, { host: 'b', port: 9 });
  const { leader, made } = await look(UNKNOWN_TOPIC, POLICY_VIOLATION, {}, FOUND);
  t.same(leader, { host: 'b', port: 9 });
  t.same(made.map((names) => names.includes('compression.type')), [true, false]);
  t.match((await look(UNKNOWN_TOPIC, POLICY_VIOLATION, POLICY_VIOLATION)).leader, /CreateTopics/);
  t.match((await look(UNKNOWN_TOPIC, TOPIC_AUTHORIZATION_FAILED)).leader, /CreateTopics/);
  t.match((await look({ brokers: [], topics: [] })).leader, /no broker that leads/);
});
