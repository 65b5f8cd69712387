import t from 'tap';
import { Message, toJson } from '../../src/model/message.ts';

t.test('a long text is the same JSON as a short one, wherever it is cut into pieces', (t) => {
  for (const character of ['x', 'é', '€', '😀', '"', '\n']) {
    for (const before of ['', 'a', 'ab', 'abc']) {
      const text = before + character.repeat(200_000);
      const message = new Message('abcdefgh', 1, 0, 0, { topic: 'a', event: undefined, json: false, data: Buffer.from(text) });
      t.ok((JSON.parse(toJson(message).toString()) as { data: string }).data === text, `${JSON.stringify(character)} after ${before.length} characters`);
    }
  }
  t.end();
});
