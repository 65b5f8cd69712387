import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * What a broker of the tests is made of: Kafka's jars, which Maven fetches from Maven Central, and an empty log folder. Both are made once for each user, since
 * Debian has no package of Kafka, and to make an empty log folder is to start one more Java.
 */

const POM = join(import.meta.dirname, 'kafka/pom.xml');
const PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
const JAVA_MIN_VERSION = 17;

/** How long Maven may take. Stops a registry that never answers from holding the tests up. Milliseconds. */
const FETCH_MAX_MS = 300_000;

/** Users of SCRAM are a part of the log folder. */
export const SCRAM_USER = { name: 'scram-user', password: 'right-secret' };

const PARTS = [readFileSync(POM), JSON.stringify(SCRAM_USER)];
const FOLDER = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tidings-tests', `kafka-${PARTS.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex').slice(0, 16)}`);

export const JARS = join(FOLDER, 'jars', '*');
export const EMPTY_LOG = join(FOLDER, 'log');

/** Why there can be no Kafka here; undefined where there can. */
export function whyNoKafka(): string | undefined {
  const java = spawnSync('java', ['-version'], { encoding: 'utf8' });
  const version = Number(/version "([0-9]+)/.exec(java.stderr ?? '')?.[1] ?? 0);
  if (version >= JAVA_MIN_VERSION && spawnSync('mvn', ['--version']).status === 0) return undefined;
  return `the tests of Kafka are left out: Java ${JAVA_MIN_VERSION} or newer, or Maven, is not here`;
}

/** For tests of Kafka: `npm test` has fetched it before, where that is possible. */
export function needKafka(): { readonly skip: string | false } {
  if (existsSync(FOLDER)) return { skip: false };
  return { skip: whyNoKafka() ?? 'the tests of Kafka are left out: it could not be fetched; run "node test/support/requirements.ts" to see why' };
}

/** Fetches it where it is not there yet. @returns Why that cannot be, as where no registry of Maven answers. */
export function fetchKafka(): string | undefined {
  if (existsSync(FOLDER)) return undefined;
  const why = whyNoKafka();
  if (why !== undefined) return why;
  try {
    fetchParts();
    return undefined;
  } catch (error) {
    return `the tests of Kafka are left out: it could not be fetched (${String(error).split('\n')[0]})`;
  }
}

function fetchParts(): void {
  mkdirSync(dirname(FOLDER), { recursive: true });
  const folder = mkdtempSync(`${FOLDER}-`);
  try {
    process.stderr.write('The tests need Kafka: fetching it with Maven.\n');
    execFileSync('mvn', ['-q', '-B', '-f', POM, PLUGIN, '-DincludeScope=runtime', `-DoutputDirectory=${join(folder, 'jars')}`], { stdio: ['ignore', 2, 2], timeout: FETCH_MAX_MS });
    const properties = join(folder, 'format.properties');
    writeFileSync(properties, propertiesOf({ 'log.dirs': join(folder, 'log'), 'controller.quorum.voters': '1@127.0.0.1:9093', 'controller.listener.names': 'CONTROLLER', listeners: 'CONTROLLER://127.0.0.1:9093', 'process.roles': 'controller', 'node.id': '1' }));
    execFileSync('java', ['-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp', join(folder, 'jars', '*'), 'kafka.tools.StorageTool', 'format', '--config', properties, '--cluster-id', 'dGlkaW5ncy1vZi10ZXN0cw',
      '--add-scram', `SCRAM-SHA-512=[name=${SCRAM_USER.name},password=${SCRAM_USER.password}]`], { stdio: ['ignore', 'ignore', 2] });
    renameSync(folder, FOLDER);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function propertiesOf(settings: Readonly<Record<string, string | number>>): string {
  return Object.entries(settings).map(([name, value]) => `${name}=${value}\n`).join('');
}
