import { byBytes } from '../../src/model/byte-order.ts';
import type { Message } from '../../src/model/message.ts';
import { rowBytes } from '../../src/store/row-bytes.ts';
import type { TopicHolding, TopicNames, TopicStore } from '../../src/store/contracts/topic-store.ts';

/** `TopicStore` in memory. */
export class MemoryTopics implements TopicStore {
  readonly #reply: <T>(answer: () => T) => Promise<T>;
  readonly #held: () => readonly Message[];
  /** How many names each question was answered with. */
  readonly answered: number[] = [];
  /** Of how many topics each question asked what is held. */
  readonly asked: number[] = [];

  constructor({ reply, held }: { reply: <T>(answer: () => T) => Promise<T>; held: () => readonly Message[] }) {
    this.#reply = reply;
    this.#held = held;
  }

  names({ ranges, limit }: TopicNames): Promise<readonly string[]> {
    return this.#reply(() => {
      const names = [...new Set(this.#held().map(({ topic }) => topic))].filter((topic) => ranges.some(({ from, before }) => byBytes(topic, from) >= 0 && byBytes(topic, before) < 0));
      const first = names.sort(byBytes).slice(0, limit);
      this.answered.push(first.length);
      return first;
    });
  }

  holdings(topics: readonly string[], maxMessages: number): Promise<readonly TopicHolding[]> {
    this.asked.push(topics.length);
    return this.#reply(() => topics.map((topic) => {
      const held = this.#held().filter((message) => message.topic === topic);
      const counted = held.slice(-maxMessages);
      return { topic, messages: counted.length, more: held.length > maxMessages, bytes: counted.reduce((sum, message) => sum + rowBytes(message, 0), 0), newest: held.at(-1) };
    }));
  }
}
