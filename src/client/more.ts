/** What the library needs once its stream is open, or earlier when it is used: history, loops, publishing, the place that survives a reload, requests about the open stream, and the watch over it. One module, so that it is one request. */
export { read } from './history.ts';
export { iterate } from './iteration.ts';
export { settle } from './problem.ts';
export { publish } from './publish.ts';
export { storedCursor } from './stored-cursor.ts';
export { change, refused, renew } from './stream-topics.ts';
export { lookOnReturn, watch } from './watch.ts';
