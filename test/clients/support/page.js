// Runs in the browser: opens streams there and tells the test what their handlers get.
import { fetchEventSource } from '/npm/@microsoft/fetch-event-source/lib/esm/index.js';

const closers = new Map();

const kinds = {
  EventSource(url, names, got, gaveUp) {
    const source = new EventSource(url);
    const listen = ({ type, data, lastEventId }) => got({ event: type, data, id: lastEventId });
    source.onmessage = listen;
    for (const name of names) source.addEventListener(name, listen);
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) gaveUp('it is closed');
    };
    return () => source.close();
  },
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
};

globalThis.openStream = (kind, key, url, names) => {
  closers.set(key, kinds[kind](url, names, (event) => globalThis.got(key, event), (why) => globalThis.gaveUp(key, why)));
};

globalThis.closeStream = (key) => {
  closers.get(key)?.();
  closers.delete(key);
};
