import { check, type Fault, type Run } from '../support/checker.ts';
import type { Recording } from './recording.ts';

/**
 * The least of a run that still shows a fault: of streams and receivers the one that it is about, of messages those without which the
 * checker would not find it. What was done to the service at that time stands below.
 */
export function shortest(recording: Recording, fault: Fault): string {
  const run = reduce(recording, fault);
  const listeners = [...run.streams, ...run.receivers ?? []];
  const times = [...run.publications.map(({ sentAt }) => sentAt), ...listeners.flatMap(({ entries }) => entries.map(({ at }) => at ?? 0))];
  const [first, last] = [Math.min(...times), Math.max(...times)];
  return [
    ...run.publications.map((publication) => `published ${JSON.stringify(publication)}`),
    ...listeners.flatMap(({ entries, ...listener }) => [`${run.streams.some((stream) => stream.name === listener.name) ? 'stream' : 'receiver'} ${JSON.stringify(listener)}`, ...entries.map((entry) => `  got ${JSON.stringify(entry)}`)]),
    ...(run.history === undefined ? [] : [`the history, from behind ${run.behind ?? 0}:`, ...run.history.map((message) => `  ${JSON.stringify(message)}`)]),
    ...(recording.losses ?? []).map((loss) => `lost ${JSON.stringify(loss)}`),
    ...recording.faults.filter(({ began, ended }) => began <= last && ended >= first).map((injected) => `meanwhile ${JSON.stringify(injected)}`),
  ].join('\n');
}

/** Drops whatever can be dropped so that the fault stays and none comes that was not there. */
export function reduce(run: Run, fault: Fault): Run {
  if (fault.kind === 'hole') return around(run, Number(fault.who));
  const known = new Set(check(run).map(nameOf));
  const shows = (candidate: Run): boolean => {
    const found = check(candidate);
    // A part of a history has holes.
    return found.some((one) => nameOf(one) === nameOf(fault)) && found.every((one) => one.kind === 'hole' || known.has(nameOf(one)));
  };
  const { publications, history = [], losses = [] } = run;
  const streams = run.streams.filter(({ name }) => name === fault.who);
  const receivers = (run.receivers ?? []).filter(({ name }) => name === fault.who);
  const whole = [{ publications, streams, receivers, losses }, { publications, streams, receivers, losses, history }].find(shows) ?? run;
  return fewest([...new Set([...publications.map(({ text }) => text), ...history.map(({ data }) => data)])], (texts) => only(whole, new Set(texts)), shows);
}

function nameOf({ kind, who, what }: Fault): string {
  return JSON.stringify([kind, who, what]);
}

/** The run as if only these had ever been published. */
function only({ publications, streams, receivers = [], history, losses = [] }: Run, texts: ReadonlySet<string>): Run {
  return {
    publications: publications.filter(({ text }) => texts.has(text)),
    streams: streams.map((stream) => ({ ...stream, entries: stream.entries.filter((entry) => entry.kind === 'gap' || texts.has(entry.text)) })),
    receivers: receivers.map((receiver) => ({ ...receiver, entries: receiver.entries.filter((entry) => entry.kind === 'gap' || texts.has(entry.text)) })),
    losses,
    ...(history === undefined ? {} : { history: history.filter(({ data }) => texts.has(data)) }),
  };
}

/** Leaves out half of what is left, a quarter, and so on, down to one by one, as long as it shows. */
function fewest(all: readonly string[], make: (texts: readonly string[]) => Run, shows: (run: Run) => boolean): Run {
  let kept = all;
  for (let size = Math.ceil(all.length / 2); ; size = Math.ceil(size / 2)) {
    for (let at = 0; at < kept.length;) {
      const fewer = kept.toSpliced(at, size);
      if (shows(make(fewer))) kept = fewer;
      else at += size;
    }
    if (size <= 1) return make(kept);
  }
}

/** The messages on both sides of a number that is not there. */
function around({ publications, history = [] }: Run, hole: number): Run {
  const number = ({ id }: { readonly id: string }): number => Number(id.slice(id.lastIndexOf('-') + 1));
  const below = history.findLast((message) => number(message) < hole);
  const above = history.find((message) => number(message) > hole);
  const shown = [below, above].filter((message) => message !== undefined);
  const texts = new Set(shown.map(({ data }) => data));
  return { publications: publications.filter(({ text, answers }) => texts.has(text) || answers.some((answer) => number(answer) === hole)), streams: [], history: shown, behind: below === undefined ? 0 : number(below) - 1 };
}
