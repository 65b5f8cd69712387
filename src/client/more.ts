/** Everything that the library does not need to open a stream and to take messages. One module, so that a page loads it with one request. */
export { read } from './history.ts';
export { iterate } from './iteration.ts';
export { settle } from './problem.ts';
export { publish } from './publish.ts';
export { sourceFor } from './sources.ts';
export { storedCursor } from './stored-cursor.ts';
export { change, refused, renew } from './stream-topics.ts';
export { lookOnReturn, watch } from './watch.ts';
