import { readFileSync } from 'node:fs';
import { settingLine } from '../access/access-settings.ts';
import type { Identity } from '../access/credentials/identity.ts';
import { ConfigError, type Config } from '../config/config.ts';
import { ScopedGrant } from '../model/grant.ts';
import { readHooks } from './hooks-file.ts';
import type { HookPlan } from './plan.ts';

/**
 * Webhooks that other systems send. A file declares each hook: its sender, and the templates for topic, event and idempotency key. A request comes in with its bytes. This room says
 * whether the sender's signature is good, and holds the templates by which http/ makes messages. Nothing is stored here.
 */

export interface Hook extends HookPlan {
  /** The publisher: the hook itself, with no credential of a sender. */
  readonly identity: Identity;
}

export class Hooks {
  readonly #hooks: ReadonlyMap<string, Hook>;

  constructor(plans: readonly HookPlan[]) {
    this.#hooks = new Map(plans.map((plan) => [plan.name, { ...plan, identity: identityOf(plan) }]));
  }

  /** The hooks of the file HOOKS_FILE; without the setting there are none. `environment` has the secrets that the file names. @throws ConfigError */
  static read({ HOOKS_FILE }: Pick<Config, 'HOOKS_FILE'>, environment: Readonly<Record<string, string | undefined>>): Hooks {
    if (HOOKS_FILE === undefined) return new Hooks([]);
    try {
      return new Hooks(readHooks(readFileSync(HOOKS_FILE, 'utf8'), environment));
    } catch (error) {
      throw new ConfigError([settingLine('HOOKS_FILE', error)]);
    }
  }

  find(name: string): Hook | undefined {
    return this.#hooks.get(name);
  }
}

function identityOf({ name, publish }: HookPlan): Identity {
  return { grant: new ScopedGrant({ publish, subscribe: [] }), mayAdminister: false, mayOperate: false, scope: `hook:${name}`, name: `hook ${name}`, credential: undefined };
}
