import type { Gap } from './api.ts';
import type { Channel } from './environment.ts';
import { takePage } from './history-pages.ts';
import { Leader } from './leader.ts';
import { NoteInbox } from './note-inbox.ts';
import { memberLock, type LeaderNote, type MeetingPlace, type MemberNote, type Note, type SharingDependencies } from './shared-notes.ts';
import type { SourceTaker } from './stream-source.ts';
import { placeOf, topicQuery } from './topics.ts';

/** How often a tab looks whether the leader is alive. Milliseconds. */
const CHECK_MS = 1_500;
/** After this number of silent looks it asks. */
const ASK_BEATS = 2;
/** After this number it takes the lead: a page that is suspended without notice keeps its locks. */
const SILENT_MAX_BEATS = 4;

/** A tab that takes part, from the first topic that it wants until it wants none. */
export class Participation {
  readonly #place: MeetingPlace;
  readonly #dependencies: SharingDependencies;
  readonly #id = crypto.randomUUID();
  readonly #channel: Channel;
  readonly #joined: Promise<void>;
  readonly #end = new AbortController();
  /** The wishes of each tab, for the next leader. */
  readonly #wants = new Map<string, readonly string[]>();
  #inbox = new NoteInbox();
  #cursor: string | undefined;
  /** Its end takes back the application for the lead, and ends the lead itself. */
  #candidacy: AbortController | undefined;
  #silentChecks = 0;

  constructor(place: MeetingPlace, dependencies: SharingDependencies) {
    this.#place = place;
    this.#dependencies = dependencies;
    this.#channel = new place.Channel(place.name);
    this.#channel.addEventListener('message', ({ data }) => this.#hear(data as Note));
    this.#joined = this.#hold();
  }

  /** Takes what the leader tells, until the signal is aborted. */
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
    /** Whom it follows, and how many frames that one has sent; undefined while it waits for a beginning. */
    let leader: string | undefined;
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
        // A leader that was deposed, and does not know it yet, has nothing else to say.
        if (note.kind === 'leads' || note.kind === 'here') attach();
        continue;
      }
      if (isFollowing && note.frames !== frames + (note.kind === 'frame' ? 1 : 0)) {
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

  /** Reads what lies between the place of this tab and that of the leader. A tab that is ahead reads nothing, or hears that the log is another one. */
  async #reach(until: string, taker: SourceTaker, topics: readonly string[], signal: AbortSignal): Promise<void> {
    // What a stream that watches has missed is told by the state that comes next.
    if (taker.cursor === undefined || this.#dependencies.isWatching) return taker.take('$open', {}, until);
    if (taker.cursor === until) return;
    const { requests } = this.#dependencies;
    while (await takePage({ requests, taker, topics, signal, until }));
  }

  /** The leader was refused. Rejects as the service refuses this tab; where it does not, this tab comes back later. */
  async #ask(topics: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#dependencies.requests.send(`/cursor?${topicQuery(topics).toString()}`, { signal });
    throw new Error('The tab that holds the stream was refused.');
  }

  #hear(note: Note): void {
    if ('leader' in note) {
      this.#silentChecks = 0;
      // All tabs answer anew; a tab that does not answer is gone.
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

  /** Leads as soon as nobody else does; or at once, in the place of one that is silent. */
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
      // Another tab has taken the lead. Otherwise the application was taken back.
      if (hasLed && !signal.aborted) this.#stand();
    });
  }

  /** Resolves once the lock is held by which others know that this tab is there. */
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

/** A tab that is ahead of its leader has had this frame. Only a gap that announces another log leads back. */
function pass({ event, content, id }: LeaderNote & { readonly kind: 'frame' }, taker: SourceTaker): void {
  const isNew = id !== undefined && (taker.cursor === undefined || placeOf(id) > placeOf(taker.cursor));
  if (isNew || (event === '$gap' && (content as Gap).reason !== 'expired')) taker.take(event, content, id);
  else if (event === '$erased' || event === '$presence') taker.take(event, content);
}
