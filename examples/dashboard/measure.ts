import { cpus, freemem, totalmem } from 'node:os';
import { connect } from 'tidings/client';

/** Between two measurements. */
const MEASURED_EVERY_MS = 1_000;
/** What is older is on no chart. */
const KEPT_SECONDS = 600;

/** Publishes how busy this machine is. @returns Ends it. */
export function measure(url: string): () => void {
  const tidings = connect(url);
  const over = new AbortController();
  let before = processorTimes();
  const publish = (topic: string, share: number): void => {
    // It is tried again until the service is there.
    tidings.publish(topic, { percent: Math.round(share * 1_000) / 10 }, { ttl: KEPT_SECONDS, signal: over.signal }).catch((error: unknown) => {
      if (!over.signal.aborted) process.stderr.write(`A measurement was not published: ${String(error)}\n`);
    });
  };
  const timer = setInterval(() => {
    const now = processorTimes();
    publish('metrics.cpu', now.all > before.all ? (now.busy - before.busy) / (now.all - before.all) : 0);
    publish('metrics.memory', 1 - freemem() / totalmem());
    before = now;
  }, MEASURED_EVERY_MS);
  return () => {
    clearInterval(timer);
    over.abort();
    tidings.close();
  };
}

/** Since the machine started, over all its processors. */
function processorTimes(): { readonly busy: number; readonly all: number } {
  let [busy, all] = [0, 0];
  for (const { times } of cpus()) {
    const sum = Object.values(times).reduce((one, other) => one + other, 0);
    all += sum;
    busy += sum - times.idle;
  }
  return { busy, all };
}
