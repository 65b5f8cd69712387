import { spreadOfCases } from './compare.ts';
import { CPU, P99 } from './figures.ts';
import { growingLog, growingStreams, growingTopics } from './growing.ts';
import { SUBJECT } from './names.ts';
import type { Case, Scenario } from './scenario.ts';

const named = (count: number, what: string) => `${count.toLocaleString('en')} ${what}`;

const STREAMS = [100, 1_000, 10_000, 19_000].map((count): Case => ({
  title: named(count, 'streams'), table: 'Streams', peers: [SUBJECT], run: (peer, setting) => growingStreams(peer, setting, count),
}));
const TOPICS = [1, 100, 10_000, 100_000].map((count): Case => ({
  title: named(count, count === 1 ? 'topic' : 'topics'), table: 'Topics', peers: [SUBJECT], run: (peer, setting) => growingTopics(peer, setting, count),
}));
const LOGS = [10_000, 1_000_000, 10_000_000].map((count): Case => ({
  title: named(count, 'messages in the log'), table: 'Log', peers: [SUBJECT], run: (peer, setting) => growingLog(peer, setting, count),
}));

const PUBLISH = { key: 'publish', title: 'CPU per publish, µs', digits: 1 };
const REPLAY = { key: 'replay', title: 'replay of a topic\'s 1,000 messages, ms', digits: 1 };

const titles = (cases: readonly Case[]) => cases.map(({ title }) => title);
const flat = { number: 8, at: 'most', limit: 1.3, unit: '', digits: 2 } as const;

export const growth: Scenario = {
  name: 'growth',
  title: 'Growth',
  how: 'The same work while one thing grows. Streams: all on one topic, 50,000 deliveries a second in each case. Topics: all of them have been published to; then 2,000 publishes a second to all in turn with no stream open, and 1,000 messages a second (50 to a request) '
    + 'to 100 streams of `bench.>`. Log: it holds so many messages of 200 bytes before, as many topics as make 1,000 messages a topic; then 2,000 publishes a second with no stream open, 50,000 deliveries a second to 10,000 streams, and '
    + 'one stream reads one topic\'s messages from `start`, spread over the whole log (median of five readings).',
  caveats: [
    'The figures with few streams hold more publishes for each delivery.',
    'Two load processes hold the streams of the first table, since one may not open so many files. Nothing is pinned to a core.',
    'The large logs are made by publishing NDJSON to the service itself.',
  ],
  peers: [SUBJECT],
  figures: [PUBLISH, CPU, P99, REPLAY],
  cases: [...STREAMS, ...TOPICS, ...LOGS],
  targets: [
    { ...flat, says: 'CPU per delivered event from 100 to 19,000 streams, most to least', value: spreadOfCases(titles(STREAMS), SUBJECT, CPU.key) },
    { ...flat, says: 'CPU per delivered event from 1 to 100,000 topics, most to least', value: spreadOfCases(titles(TOPICS), SUBJECT, CPU.key) },
    { ...flat, says: 'CPU per publish from 1 to 100,000 topics, most to least', value: spreadOfCases(titles(TOPICS), SUBJECT, PUBLISH.key) },
    { ...flat, says: 'CPU per delivered event from a log of 10 thousand to 10 million, most to least', value: spreadOfCases(titles(LOGS), SUBJECT, CPU.key) },
    { ...flat, says: 'CPU per publish from a log of 10 thousand to 10 million, most to least', value: spreadOfCases(titles(LOGS), SUBJECT, PUBLISH.key) },
    { ...flat, says: 'replay of 1,000 messages from a log of 10 thousand to 10 million, most to least', value: spreadOfCases(titles(LOGS), SUBJECT, REPLAY.key) },
  ],
};
