import type { Gap } from './api.ts';
import type { Channel } from './environment.ts';
import { takePage } from './history-pages.ts';
import { Leader } from './leader.ts';
import { NoteInbox } from './note-inbox.ts';
import { memberLock, type LeaderNote, type MeetingPlace, type MemberNote, type Note, type SharingDependencies } from './shared-notes.ts';
import type { SourceTaker } from './stream-source.ts';
import { placeOf, topicQuery } from './topics.ts';

/** The interval of a tab's checks of the leader. Milliseconds. */
const CHECK_MS = 1_500;
/** After this number of checks without a note from the leader, the tab sends `ask`. */
const ASK_BEATS = 2;
/** After more than this number, the tab steals the leader's lock: a page that is suspended without notice keeps its locks. */
const SILENT_MAX_BEATS = 4;

/**
 * A tab's side of sharing, from its first topic until it wants none. The tab follows the leader, and applies for the leader's lock itself.
 *
 * A tab attaches to a leader like this (C is the tab's cursor, L the leader's):
 *
 *     tab:    want [a, b]
 *     leader: began [a, b, c] at L, frames 7    the tab reads history from C to L, and now follows this leader
 *     leader: frame, frames 8                   7 + 1: the tab takes it, unless its id is not after C
 *     leader: frame, frames 10                  9 is missing: the tab sends `want` again, and reads history from C
 */
export class Participation {
  readonly #place: MeetingPlace;
  readonly #dependencies: SharingDependencies;
  readonly #id = crypto.randomUUID();
  readonly #channel: Channel;
  readonly #joined: Promise<void>;
  readonly #end = new AbortController();
  /** The topics of each tab. Every tab keeps them, in case it becomes the leader. */
  readonly #wants = new Map<string, readonly string[]>();
  #inbox = new NoteInbox();
  #cursor: string | undefined;
  /** The application for the leader's lock, and the lead itself. Aborting ends both. */
  #candidacy: AbortController | undefined;
  #silentChecks = 0;

  constructor(place: MeetingPlace, dependencies: SharingDependencies) {
    this.#place = place;
    this.#dependencies = dependencies;
    this.#channel = new place.Channel(place.name);
    this.#channel.addEventListener('message', ({ data }) => this.#hear(data as Note));
    this.#joined = this.#hold();
  }

  /** Passes the leader's events to the taker, until the signal is aborted. Rejects if the service refuses this tab's topics. */
  async follow(taker: SourceTaker, topics: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#joined;
    if (signal.aborted || this.#end.signal.aborted) return;
    const inbox = this.#inbox = new NoteInbox();
    const end = (): void => inbox.end();
    signal.addEventListener('abort', end);
    this.#silentChecks = 0;
    const check = setInterval(() => this.#check(), CHECK_MS);
    try {
      await this.#takeAll(inbox, taker, topics, signal);
    } finally {
      clearInterval(check);
      signal.removeEventListener('abort', end);
    }
  }

  leave(): void {
    if (this.#end.signal.aborted) return;
    this.#say({ kind: 'want', member: this.#id, topics: [] });
    this.#end.abort();
    this.#candidacy?.abort();
    this.#channel.close();
  }

  async #takeAll(inbox: NoteInbox, taker: SourceTaker, topics: readonly string[], signal: AbortSignal): Promise<void> {
    /** The id of the leader that this tab follows; undefined while it waits for `began`. */
    let leader: string | undefined;
    /** The number of frames that this leader has sent. */
    let frames = 0;
    const attach = (): void => {
      leader = undefined;
      this.#wants.set(this.#id, topics);
      this.#say({ kind: 'want', member: this.#id, topics });
    };
    attach();
    this.#cursor = taker.cursor;
    if (this.#candidacy === undefined) this.#stand();
    for (;;) {
      const note = await inbox.next();
      if (note === undefined) return;
      taker.heard();
      const isFollowing = leader !== undefined;
      if (isFollowing && note.leader !== leader) {
        // Another leader leads now. Other notes may come from a leader that was deposed and has not noticed: ignore them.
        if (note.kind === 'leads' || note.kind === 'here') attach();
        continue;
      }
      const hasMissedFrames = note.frames !== frames + (note.kind === 'frame' ? 1 : 0);
      if (isFollowing && hasMissedFrames) {
        attach();
        continue;
      }
      switch (note.kind) {
        case 'leads': attach(); break;
        case 'began':
          if (!topics.every((topic) => note.topics.includes(topic))) break;
          if (!isFollowing) await this.#reach(note.cursor, taker, topics, signal);
          leader = note.leader;
          frames = note.frames;
          taker.take('$cursor', {}, taker.cursor);
          break;
        case 'frame':
          if (!isFollowing) break;
          frames = note.frames;
          pass(note, taker);
          break;
        case 'failing': taker.failed(); break;
        case 'denied': await this.#ask(topics, signal); break;
        case 'refused': if (topics.includes(note.topic)) await this.#ask(topics, signal); break;
        case 'here': break;
      }
      this.#cursor = taker.cursor;
    }
  }

  /** Reads history from this tab's cursor to the leader's. For a tab that is ahead the page is empty, or has a gap if the log was exchanged. */
  async #reach(until: string, taker: SourceTaker, topics: readonly string[], signal: AbortSignal): Promise<void> {
    // A tab without a cursor begins here. Presence needs no history: the next `$presence` has the whole state.
    if (taker.cursor === undefined || this.#dependencies.isWatching) return taker.take('$open', {}, until);
    if (taker.cursor === until) return;
    const { requests } = this.#dependencies;
    while (await takePage({ requests, taker, topics, signal, until }));
  }

  /** The leader was refused. Asks the service for this tab's own topics, and rejects with its refusal; or with a passing error, so that this tab retries later. */
  async #ask(topics: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#dependencies.requests.send(`/cursor?${topicQuery(topics).toString()}`, { signal });
    throw new Error('The tab that holds the stream was refused.');
  }

  #hear(note: Note): void {
    if ('leader' in note) {
      this.#silentChecks = 0;
      // Each tab answers with `want`. A tab that does not answer is gone.
      if (note.kind === 'leads') this.#wants.clear();
      this.#inbox.push(note);
    } else if (note.kind === 'want') {
      if (note.topics.length === 0) this.#wants.delete(note.member);
      else this.#wants.set(note.member, note.topics);
    }
  }

  #check(): void {
    this.#silentChecks++;
    if (this.#silentChecks > SILENT_MAX_BEATS) {
      this.#silentChecks = 0;
      this.#stand(true);
    } else if (this.#silentChecks >= ASK_BEATS) {
      this.#say({ kind: 'ask' });
    }
  }

  /** Applies for the leader's lock. With `steal`, takes it at once from a leader that is silent. */
  #stand(steal = false): void {
    this.#candidacy?.abort();
    const { signal } = this.#candidacy = new AbortController();
    let hasLed = false;
    const lead = (): Promise<void> | undefined => {
      if (signal.aborted) return undefined;
      hasLed = true;
      const leader = new Leader({ place: this.#place, sharing: this.#dependencies, wants: this.#wants, cursor: this.#cursor });
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          leader.close();
          resolve();
        });
      });
    };
    this.#place.locks.request(this.#place.name, steal ? { steal } : { signal }, lead).catch(() => {
      // Another tab has stolen the lock: apply again. Otherwise `signal` has withdrawn the application.
      if (hasLed && !signal.aborted) this.#stand();
    });
  }

  /** Takes the lock that shows the leader that this tab is alive. Resolves once this tab has it. */
  #hold(): Promise<void> {
    const { signal } = this.#end;
    return new Promise((resolve, reject) => {
      this.#place.locks.request(memberLock(this.#place.name, this.#id), {}, () => {
        resolve();
        if (signal.aborted) return undefined;
        return new Promise<void>((release) => {
          signal.addEventListener('abort', () => release());
        });
      }).catch(reject);
    });
  }

  #say(note: MemberNote): void {
    if (!this.#end.signal.aborted) this.#channel.postMessage(note);
  }
}

/** Passes a frame on, unless its id is not after the tab's cursor: then the tab has had it. A gap of an exchanged log passes always, because numbers begin lower after it. */
function pass({ event, content, id }: LeaderNote & { readonly kind: 'frame' }, taker: SourceTaker): void {
  const isNew = id !== undefined && (taker.cursor === undefined || placeOf(id) > placeOf(taker.cursor));
  if (isNew || (event === '$gap' && (content as Gap).reason !== 'expired')) taker.take(event, content, id);
  else if (event === '$erased' || event === '$presence') taker.take(event, content);
}
