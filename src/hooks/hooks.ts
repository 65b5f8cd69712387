import { readFileSync } from 'node:fs';
import type { Identity } from '../access/identity.ts';
import { ConfigError, type Config } from '../config/config.ts';
import { ScopedGrant } from '../model/grant.ts';
import { Problem } from '../model/problem.ts';
import { readHooks } from './hooks-file.ts';
import type { HookPlan } from './plan.ts';

/**
 * What other systems send: webhooks that come in. The configuration names each hook, says who sends to it, and what of a request becomes the topic, the event and the idempotency key of
 * a message. A request comes in with its bytes; out goes whether its sender is who it should be, and how its messages are made. Nothing is stored here.
 */

export interface Hook extends HookPlan {
  /** Who publishes: the hook itself, and nobody else's credential. */
  readonly identity: Identity;
}

export class Hooks {
  readonly #hooks: ReadonlyMap<string, Hook>;

  constructor(plans: readonly HookPlan[]) {
    this.#hooks = new Map(plans.map((plan) => [plan.name, { ...plan, identity: identityOf(plan) }]));
  }

  /** Those of the file HOOKS_FILE; without the setting there are none. `environment` has the secrets that the file names. @throws ConfigError */
  static read({ HOOKS_FILE }: Pick<Config, 'HOOKS_FILE'>, environment: Readonly<Record<string, string | undefined>>): Hooks {
    if (HOOKS_FILE === undefined) return new Hooks([]);
    try {
      return new Hooks(readHooks(readFileSync(HOOKS_FILE, 'utf8'), environment));
    } catch (error) {
      throw new ConfigError([`HOOKS_FILE: ${error instanceof Problem ? `${error.field ?? ''}: ${error.message}`.replace(/^: /, '') : error instanceof Error ? error.message : String(error)}`]);
    }
  }

  find(name: string): Hook | undefined {
    return this.#hooks.get(name);
  }

  get names(): readonly string[] {
    return [...this.#hooks.keys()];
  }
}

function identityOf({ name, publish }: HookPlan): Identity {
  return { grant: new ScopedGrant({ publish, subscribe: [] }), mayAdminister: false, mayOperate: false, scope: `hook:${name}`, name: `hook ${name}`, credential: undefined };
}
