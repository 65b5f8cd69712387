/** The member of a message that is its data: the last one. Quotes within names and texts are escaped, so this stands nowhere before it. */
const DATA = ',"data":';

/** The data of a message as its publisher sent it: each digit, and each space. @param body What `GET /messages/{id}` answered. @returns undefined where there is no data. */
export function dataSource(body: string): string | undefined {
  const at = body.indexOf(DATA);
  return at === -1 ? undefined : body.slice(at + DATA.length, body.lastIndexOf('}'));
}
