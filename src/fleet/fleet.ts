import type { Identity } from '../access/credentials/identity.ts';
import type { StreamHandles } from '../access/leases/stream-handles.ts';
import { WaitingRequests } from '../access/leases/waiting-requests.ts';
import type { ControlChannel } from '../bus/control-channel.ts';
import type { Bus } from '../bus/bus.ts';
import type { Audience } from '../delivery/audience.ts';
import type { StreamRegistry } from '../delivery/stream-registry.ts';
import type { TopicReads } from '../log/history/topic-reads.ts';
import type { Actor } from '../model/actor.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { Warning } from '../runtime/logging/warnings.ts';
import { EvenShares, type EvenSharesReport } from './even-shares.ts';
import { Figures, type FiguresDependencies } from './figures.ts';
import { Instances, type InstanceDetail, type InstanceList, type InstanceState } from './instances.ts';
import { MessageDelivery, type DeliveryReport, type PassingMessage } from './message-delivery.ts';
import { NamedTopics } from './named-topics.ts';
import { OpenStreams, type OpenStreamsDependencies } from './open-streams.ts';
import { Rebalancing, type RebalancingSettings } from './rebalancing.ts';
import { Roster } from './roster.ts';
import { Steering, type Retry, type SteeringDependencies } from './steering.ts';
import { StreamList, type StreamsPage, type StreamsRequest } from './stream-list.ts';
import { TopicList, type TopicsPage, type TopicsRequest } from './topic-list.ts';
import { TopicChanges, type ChangedTopics, type TopicChange, type TopicChangesDependencies } from './topic-changes.ts';
import { VitalSigns, type Vitals } from './vital-signs.ts';
import { WantedTopics, type WantedReport } from './wanted-topics.ts';

/**
 * This room answers administrators for all instances together. Requests come in at any instance: list streams, topics or instances, close a stream, drain an instance. Questions go out to the other instances
 * as notes on the bus. The answer merges theirs, and names the instances that did not answer. Nothing is stored about streams: each instance walks through its open streams when it is asked. All figures are hints: messages
 * and their order depend on none of them.
 *
 * Read `roster.ts` first (the other instances), then `open-streams.ts` and `stream-list.ts` (lists), `steering.ts` (orders), `topic-list.ts`, and `rebalancing.ts`.
 */

/** The most questions of one sender that wait for other instances. Each may take seconds, and makes all instances walk through their streams. */
const WAITING_MAX_REQUESTS = 10;

export interface FleetDependencies {
  readonly bus: Pick<Bus, 'state' | 'receivers'>;
  /** Whether other processes that the bus does not report may use this log. */
  readonly mayHaveOthers: () => boolean;
  readonly control: Pick<ControlChannel, 'tell' | 'ask' | 'collect' | 'answer'>;
  readonly handles: Pick<StreamHandles, 'instance' | 'idOf' | 'read'>;
  readonly streams: Pick<StreamRegistry, 'readers' | 'size' | 'end' | 'behind'>;
  readonly tickets: SteeringDependencies['tickets'];
  readonly sessions: SteeringDependencies['sessions'];
  readonly owned: TopicChangesDependencies['owned'];
  readonly leases: TopicChangesDependencies['leases'];
  readonly filters: TopicChangesDependencies['filters'];
  /** The most topics of one stream. */
  readonly maxTopics: number;
  readonly tail: OpenStreamsDependencies['tail'] & { readonly log: { readonly head: number } | undefined };
  readonly topics: TopicReads;
  readonly audience: Pick<Audience, 'match'>;
  /** The topics and patterns that streams of this instance name. */
  readonly named: () => Iterable<string>;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'published' | 'delivered' | 'dismissed' | 'rebalanced' | 'rebalancesAsked'> & FiguresDependencies['counters'];
  /** Gets the audit lines of administrators' actions. */
  readonly logger: Pick<Logger, 'info'>;
  /** The warnings of this instance, the newest first. */
  readonly warnings: () => readonly Warning[];
  /** The state of this instance, without its load. */
  readonly state: () => Omit<InstanceState, keyof Vitals>;
  /** Whether this instance takes new streams. */
  readonly isReady: () => boolean;
  /** Ends this instance, as SIGTERM does. */
  readonly drain: () => void;
  readonly rebalancing: RebalancingSettings;
}

export class Fleet {
  readonly roster: Roster;
  readonly #tail: FleetDependencies['tail'];
  readonly #vitals: VitalSigns;
  readonly #figures: Figures;
  readonly #list: StreamList;
  readonly #instances: Instances;
  readonly #delivery: MessageDelivery;
  readonly #steering: Steering;
  readonly #wanted: WantedTopics;
  readonly #topics: TopicList;
  readonly #topicChanges: TopicChanges;
  readonly #rebalancing: Rebalancing;
  readonly #evenShares: EvenShares;
  /** The newest number when the log was opened. Later numbers that this instance did not store are of other processes. */
  #headAtOpen = 0;
  readonly #waiting = new WaitingRequests({ max: WAITING_MAX_REQUESTS, detail: 'Too many questions of this sender wait for other instances.' });

  constructor({ bus, mayHaveOthers, control, handles, tickets, sessions, owned, leases, filters, maxTopics, streams, tail, topics, audience, named, clock, counters, logger, warnings, state, isReady, drain, rebalancing }: FleetDependencies) {
    const roster = new Roster({
      instance: handles.instance, control, bus, clock, report: () => ({ streams: streams.size, isReady: isReady() }),
      hasSeenOthers: () => mayHaveOthers() || tail.last - this.#headAtOpen > counters.published,
    });
    const local = new OpenStreams({ readers: () => streams.readers, tail, handles, clock });
    this.roster = roster;
    this.#tail = tail;
    this.#vitals = new VitalSigns({ clock, counters });
    this.#figures = new Figures({ clock, counters, streams, tail });
    this.#list = new StreamList({ local, handles, roster, control, clock });
    this.#instances = new Instances({ instance: handles.instance, roster, control, state: () => ({ ...state(), ...this.#vitals.now }), figures: this.#figures, warnings });
    this.#delivery = new MessageDelivery({ local, roster, control });
    this.#steering = new Steering({ local, streams, tickets, sessions, handles, roster, control, clock, counters, logger, drain });
    this.#wanted = new WantedTopics({ audience, roster, control, clock });
    this.#topics = new TopicList({ reads: topics, named: new NamedTopics({ named, roster, control, clock }), wanted: this.#wanted });
    this.#topicChanges = new TopicChanges({ owned, handles, leases, filters, roster, control, maxTopics });
    this.#rebalancing = new Rebalancing({ roster, streams, clock, counters, logger, isReady, settings: rebalancing });
    this.#evenShares = new EvenShares({ instance: handles.instance, rebalancing: this.#rebalancing, roster, control, counters, logger });
  }

  /** Call it when the log is open and the bus has joined it. */
  open(): void {
    this.#headAtOpen = this.#tail.log?.head ?? 0;
    this.#vitals.open();
    this.#figures.open();
    this.roster.open();
    this.#rebalancing.open();
  }

  /** Reports to the others that this instance ends. */
  leave(): void {
    this.#rebalancing.stop();
    this.#wanted.stop();
    this.roster.leave();
  }

  /** @param asker Whose request it is. @throws Problem `overloaded` */
  streams(request: StreamsRequest, asker: Holder): Promise<StreamsPage> {
    return this.#waiting.pass(asker[0], () => this.#list.page(request, asker));
  }

  /** @param asker Whose request it is. @throws Problem `overloaded` */
  instances(asker: Holder): Promise<InstanceList> {
    return this.#waiting.pass(asker[0], () => this.#instances.list(asker));
  }

  /** @param asker Whose request it is. @throws Problem `overloaded`, and as `Instances.one` */
  instance(id: string, after: number, asker: Holder): Promise<InstanceDetail> {
    return this.#waiting.pass(asker[0], () => this.#instances.one(id, after, asker));
  }

  /** @param asker Whose request it is. @throws Problem `overloaded` */
  delivery(message: PassingMessage, asker: Holder): Promise<DeliveryReport> {
    return this.#waiting.pass(asker[0], () => this.#delivery.report(message, asker));
  }

  /** @throws Problem as `TopicList.page` */
  topics(request: TopicsRequest): Promise<TopicsPage> {
    return this.#waiting.pass(request.holder[0], () => this.#topics.page(request));
  }

  /** How many streams get a topic, without asking the other instances: from their earlier answers. */
  report(topic: string): WantedReport {
    return this.#wanted.report(topic);
  }

  /** @param asker Whose request it is. @throws Problem as `Steering.close` */
  close(id: string, retry: Retry, actor: Actor, asker: Holder): Promise<void> {
    return this.#steering.close(id, retry, actor, asker);
  }

  /** @param asker Whose request it is. @throws Problem as `TopicChanges.change` */
  changeTopics(id: string, secret: string, change: TopicChange, identity: Identity, asker: Holder): Promise<ChangedTopics> {
    return this.#topicChanges.change(id, secret, change, identity, asker);
  }

  /** @param asker Whose request it is. @throws Problem `overloaded`, and as `EvenShares.share` */
  rebalance(actor: Actor, asker: Holder): Promise<EvenSharesReport> {
    return this.#waiting.pass(asker[0], () => this.#evenShares.share(actor, asker));
  }

  /** @param asker Whose request it is. @throws Problem as `Steering.drain` */
  drain(instance: string, actor: Actor, asker: Holder): Promise<void> {
    return this.#steering.drain(instance, actor, asker);
  }
}
