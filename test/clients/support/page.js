// Runs in the browser: opens streams there and tells the test what their handlers get.
import { fetchEventSource } from '/npm/@microsoft/fetch-event-source/lib/esm/index.js';
import ReactNativeSource from '/npm/react-native-sse/src/EventSource.js';
import { SSE } from '/npm/sse.js/lib/sse.js';

/** Both versions put their class where scripts find it, under the same name. */
async function polyfill(name) {
  await import(`/npm/${name}/src/eventsource.js`);
  return globalThis.EventSourcePolyfill;
}

const OldPolyfill = await polyfill('event-source-polyfill-0');
const Polyfill = await polyfill('event-source-polyfill');

// event-source-polyfill leaves it to the page that its fetch fails whenever a stream ends without the last chunk. It comes back all the same.
addEventListener('unhandledrejection', (event) => {
  if (['network error', 'Failed to fetch'].includes(event.reason?.message)) event.preventDefault();
});

/** How long an application waits that has to come back by its own means. Milliseconds. */
const PAUSE_MS = 200;

const closers = new Map();

function listen(source, names, got) {
  const hear = ({ type, data, lastEventId }) => got({ event: type, data, id: lastEventId });
  for (const name of ['message', ...names]) source.addEventListener(name, hear);
}

/** With the interface of the standard, and its promise to come back by itself. */
function standard(Source) {
  return (url, names, got, gaveUp) => {
    const source = new Source(url);
    listen(source, names, got);
    source.onerror = () => {
      if (source.readyState === Source.CLOSED) gaveUp('it is closed');
    };
    return () => source.close();
  };
}

const kinds = {
  EventSource: standard(globalThis.EventSource),
  fetchEventSource(url, names, got, gaveUp) {
    const controller = new AbortController();
    fetchEventSource(url, {
      signal: controller.signal,
      openWhenHidden: true,
      onmessage: ({ event, data, id }) => got({ event: event || 'message', data, id }),
      onclose: () => gaveUp('the stream ended as finished'),
    }).catch((error) => gaveUp(String(error)));
    return () => controller.abort();
  },
  polyfill: standard(Polyfill),
  oldPolyfill: standard(OldPolyfill),
  sse(url, names, got) {
    const source = new SSE(url, { autoReconnect: true, reconnectDelay: PAUSE_MS });
    listen(source, names, got);
    return () => source.close();
  },
  // Over a browser's XMLHttpRequest, it opens no new stream by itself after one that was cut.
  reactNative(url, names, got) {
    const source = new ReactNativeSource(url, { pollingInterval: PAUSE_MS });
    listen(source, names, got);
    let timer;
    source.addEventListener('error', () => {
      clearTimeout(timer);
      timer = setTimeout(() => source.open(), PAUSE_MS);
    });
    return () => {
      clearTimeout(timer);
      source.close();
    };
  },
  // Chromium sends no Last-Event-ID through a service worker, so the page opens each stream anew, with what it remembers.
  reopening(url, names, got) {
    let source;
    let timer;
    let last = '';
    const open = () => {
      source = new EventSource(last === '' ? url : `${url}&lastEventId=${last}`);
      listen(source, names, (event) => {
        if (event.id !== '') last = event.id;
        got(event);
      });
      source.onerror = () => {
        source.close();
        timer = setTimeout(open, PAUSE_MS);
      };
    };
    open();
    return () => {
      clearTimeout(timer);
      source.close();
    };
  },
};

if (location.search === '?worker') {
  await navigator.serviceWorker.register('/worker.js');
  await navigator.serviceWorker.ready;
}

globalThis.openStream = (kind, key, url, names) => {
  closers.set(key, kinds[kind](url, names, (event) => globalThis.got(key, event), (why) => globalThis.gaveUp(key, why)));
};

globalThis.closeStream = (key) => {
  closers.get(key)?.();
  closers.delete(key);
};
