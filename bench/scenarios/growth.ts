import { spreadOfCases } from './compare.ts';
import { CPU, P99 } from './figures.ts';
import { growingLog, growingStreams, growingTopics } from './growing.ts';
import { SUBJECT } from './names.ts';
import type { Case, Scenario } from './scenario.ts';

const named = (count: number, what: string) => `${count.toLocaleString('en')} ${what}`;

const STREAMS = [100, 1_000, 19_000].map((count): Case => ({
  title: named(count, 'streams'), table: 'Streams', peers: [SUBJECT], run: (peer, setting) => growingStreams(peer, setting, count),
}));
const TOPICS = [1, 10_000, 100_000].map((count): Case => ({
  title: named(count, count === 1 ? 'topic' : 'topics'), table: 'Topics', peers: [SUBJECT], run: (peer, setting) => growingTopics(peer, setting, count),
}));
const LOGS = [10_000, 1_000_000, 10_000_000].map((count): Case => ({
  title: named(count, 'messages in the log'), table: 'Log', peers: [SUBJECT], run: (peer, setting) => growingLog(peer, setting, count),
}));

const PUBLISH = { key: 'publish', title: 'CPU per publish, µs', digits: 1 };
const ALONE = { key: 'alone', title: 'the same without its publish, µs', digits: 2 };
const REPLAY = { key: 'replay', title: 'replay of a topic\'s last 1,000 messages, ms', digits: 1 };
const SPREAD_OUT = { key: 'spreadOut', title: 'replay of 1,000 messages spread over the whole log, ms', digits: 1 };

const titles = (cases: readonly Case[]) => cases.map(({ title }) => title);
const flat = { number: 8, at: 'most', limit: 1.3, unit: '', digits: 2 } as const;

export const growth: Scenario = {
  name: 'growth',
  title: 'Growth',
  how: 'The same work while one thing grows. **Streams**: all on one topic, 50,000 deliveries a second (10,000 to 100 streams, so that messages do not come together); before they are opened, the same publishes with nobody listening, whose CPU is taken off in "without its publish". '
    + '**Topics**: all of them have been published to; then 2,000 publishes a second to all in turn with nobody listening, and 1,000 messages a second (50 to a request) to 100 streams of `bench.>`. '
    + '**Log**: it holds so many messages of 200 bytes, and the server was just started on it. One stream reads a topic from `start` to its end, median of nine readings: one that has 1,000 messages among the last 10,000 of the log, and one whose 1,000 are spread over the whole log. '
    + 'Then 2,000 publishes a second with nobody listening, and 50,000 deliveries a second to 1,000 streams.',
  caveats: [
    'Two load processes hold the streams of the first table, since one may not open so many files. Nothing is pinned to a core.',
    'The large logs are made by publishing NDJSON to the service itself.',
  ],
  peers: [SUBJECT],
  figures: [PUBLISH, CPU, ALONE, P99, REPLAY, SPREAD_OUT],
  cases: [...STREAMS, ...TOPICS, ...LOGS],
  targets: [
    { ...flat, says: 'CPU per delivered event, without its publish, from 100 to 19,000 streams, most to least', value: spreadOfCases(titles(STREAMS), SUBJECT, ALONE.key) },
    { ...flat, says: 'CPU per delivered event from 1 to 100,000 topics, most to least', value: spreadOfCases(titles(TOPICS), SUBJECT, CPU.key) },
    { ...flat, says: 'CPU per publish from 1 to 100,000 topics, most to least', value: spreadOfCases(titles(TOPICS), SUBJECT, PUBLISH.key) },
    { ...flat, says: 'CPU per delivered event from a log of 10 thousand to 10 million, most to least', value: spreadOfCases(titles(LOGS), SUBJECT, CPU.key) },
    { ...flat, says: 'CPU per publish from a log of 10 thousand to 10 million, most to least', value: spreadOfCases(titles(LOGS), SUBJECT, PUBLISH.key) },
    { ...flat, says: 'replay of a topic\'s last 1,000 messages from a log of 10 thousand to 10 million, most to least', value: spreadOfCases(titles(LOGS), SUBJECT, REPLAY.key) },
  ],
};
