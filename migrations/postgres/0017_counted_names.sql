-- compatible: 0003_compatible_functions
-- From here on topics and event names count as often as they are stored: a topic in the row of its message and in two indexes. Older instances call the same functions, and count alike; the very first version counts a topic once, and the log may grow by the rest.
-- Whoever reads the table, `pg_dump` too, holds this up, and publishers would wait behind it: it gives up soon, and is tried again.
SET LOCAL lock_timeout = '500ms';
--> statement-breakpoint
ALTER TABLE "tidings"."retention" ADD COLUMN "named_from" bigint DEFAULT 0 NOT NULL;
--> statement-breakpoint
-- Under the head's lock: nothing is appended meanwhile.
WITH end_ AS (SELECT seq FROM tidings.head ORDER BY generation DESC LIMIT 1 FOR UPDATE) UPDATE tidings.retention SET named_from = end_.seq + 1 FROM end_;
--> statement-breakpoint
-- What the names of a message count. What stands in the place of an erased event name counts nothing.
CREATE FUNCTION tidings.name_bytes(counted boolean, topic text, event text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN counted THEN 3 * octet_length(topic) + CASE WHEN event IS NULL OR event = '$erased' THEN 0 ELSE octet_length(event) END ELSE octet_length(topic) END
$$;
--> statement-breakpoint
-- From here on: the functions that count, otherwise as they were in the migrations that they name.
-- An append that is not a common one (0014_newest_versions.sql).
CREATE OR REPLACE FUNCTION tidings.append(
  counts integer[], scopes text[], keys text[], fingerprints text[], windows bigint[], owners integer[],
  topics text[], events text[], json boolean[], ttls bigint[], lengths integer[], data text, overhead integer, jump bigint,
  random text, kept integer, begin_now boolean, seen_epoch text, seen_seq bigint, known text, understood integer
) RETURNS TABLE (before bigint, stored_time bigint, stored_epoch text, kinds integer[], answer_epochs text[], firsts bigint[], times bigint[],
  head bigint, oldest bigint, now bigint, epoch text, epochs json, standby boolean) LANGUAGE plpgsql ROWS 1
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  was tidings.head;
  this_server text := tidings.server();
  machine_clock bigint;
  clock bigint;
  believed_clock bigint;
  bytes bytea := decode(data, 'base64');
  is_stored boolean[];
  the_kinds integer[];
  the_epochs text[];
  the_firsts bigint[];
  the_times bigint[];
  added bigint;
  added_bytes bigint;
  place bigint;
  added_keys bigint := 0;
BEGIN
  -- Invariant 2: the lock first. Every statement after it has a snapshot of its own, taken under the lock.
  SELECT * INTO STRICT was FROM tidings.head ORDER BY generation DESC LIMIT 1 FOR UPDATE;
  machine_clock := floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;
  clock := greatest(machine_clock, was.time);

  -- Invariant 8.
  IF begin_now OR was.server <> this_server OR (seen_epoch = was.epoch AND seen_seq > was.seq)
    OR NOT EXISTS (SELECT FROM tidings.epochs e WHERE e.epoch = seen_epoch)
  THEN
    was.epoch := tidings.begin_epoch(random, kept, was.seq + 1);
  END IF;

  IF keys IS NOT NULL THEN
    -- Invariant 10: a clock that is far ahead forgets no key, or a publish would be stored twice.
    SELECT p.last_value - (NOT p.is_called)::integer INTO STRICT place FROM tidings.key_places p;
    SELECT tidings.believe(machine_clock, tidings.known_clock(r), NULL, jump) INTO STRICT believed_clock FROM (SELECT * FROM tidings.retention ORDER BY oldest DESC LIMIT 1) r;
    WITH request AS (
      SELECT r.n, r.count, r.scope, r.key, decode(r.fingerprint, 'hex') AS fingerprint, clock + r.span AS expires,
        k.fingerprint AS known_fingerprint, k.epoch AS known_epoch, k.first AS known_first, k.time AS known_time,
        k.key IS NULL AND (r.key IS NULL OR row_number() OVER (PARTITION BY r.scope, r.key ORDER BY r.n) = 1) AS stored
      FROM unnest(counts, scopes, keys, fingerprints, windows) WITH ORDINALITY AS r (count, scope, key, fingerprint, span, n)
      LEFT JOIN tidings.keys k ON k.scope = r.scope AND k.key = r.key AND k.expires > believed_clock
    ), placed AS (
      SELECT *, was.seq + 1 + coalesce(sum(CASE WHEN stored THEN count ELSE 0 END) OVER (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint AS first
      FROM request
    ), remembered AS (
      -- Those that are there have expired. Nobody else writes keys: the head's lock is held. Retention may delete them, and waits for nobody while it does.
      INSERT INTO tidings.keys (scope, key, fingerprint, epoch, first, time, expires, place)
      SELECT scope, key, fingerprint, was.epoch, first, clock, expires, place + row_number() OVER (ORDER BY n) FROM placed WHERE stored AND key IS NOT NULL
      ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint, epoch = excluded.epoch, first = excluded.first,
        time = excluded.time, expires = excluded.expires, place = excluded.place
    ), answered AS (
      -- What came first with a key in this call stands for what follows with it.
      SELECT n, stored, coalesce(known_epoch, was.epoch) AS epoch, coalesce(known_time, clock) AS time,
        coalesce(known_first, first_value(first) OVER one) AS first,
        CASE WHEN stored THEN 0 WHEN coalesce(known_fingerprint, first_value(fingerprint) OVER one) = fingerprint THEN 1 ELSE 2 END AS kind
      FROM (SELECT *, CASE WHEN key IS NULL THEN n END AS alone FROM placed) AS p
      WINDOW one AS (PARTITION BY scope, key, alone ORDER BY n)
    )
    SELECT array_agg(stored ORDER BY n), array_agg(kind ORDER BY n), array_agg(epoch ORDER BY n), array_agg(first ORDER BY n), array_agg(time ORDER BY n),
      (SELECT count(*) FROM placed WHERE stored AND key IS NOT NULL)
    INTO is_stored, the_kinds, the_epochs, the_firsts, the_times, added_keys FROM answered;
  END IF;

  WITH message AS (
    INSERT INTO tidings.messages (seq, time, expires, json, topic, event, data)
    SELECT was.seq + row_number() OVER (ORDER BY m.n), clock, CASE m.ttl WHEN 0 THEN 0 ELSE clock + m.ttl * 1000 END, m.json, m.topic, m.event,
      substring(bytes FROM m.until - m.length + 1 FOR m.length)
    FROM (
      SELECT *, (sum(one.length) OVER (ORDER BY one.n))::integer AS until
      FROM unnest(topics, events, json, ttls, lengths, owners) WITH ORDINALITY AS one (topic, event, json, ttl, length, owner, n)
    ) AS m
    WHERE is_stored IS NULL OR is_stored[m.owner]
    RETURNING octet_length(data) + tidings.name_bytes(true, topic, event) + overhead AS size
  )
  SELECT count(*), coalesce(sum(size), 0) INTO added, added_bytes FROM message;

  -- Written also when nothing was stored: an empty append has to find out whether the log can be written.
  UPDATE tidings.head SET seq = was.seq + added, bytes = was.bytes + added_bytes, time = CASE WHEN added = 0 THEN was.time ELSE clock END WHERE generation = was.generation;
  IF added_keys > 0 THEN PERFORM setval('tidings.key_places', place + added_keys); END IF;

  RETURN QUERY SELECT was.seq, clock, was.epoch, the_kinds, the_epochs, the_firsts, the_times, s.* FROM tidings.state(known, understood) s;
END $$;
--> statement-breakpoint
-- An append as nearly every append is (0014_newest_versions.sql).
CREATE OR REPLACE FUNCTION tidings.append(
  messages integer, firsts integer[], scopes text[], keys text[], fingerprints bytea, windows bigint[], repeated boolean,
  topics text[], events text[], json boolean[], ttls bigint[], ends integer[], data bytea, overhead integer, jump bigint,
  random text, kept integer, begin_now boolean, seen_epoch text, seen_seq bigint, known text, understood integer
) RETURNS TABLE (before bigint, stored_time bigint, stored_epoch text, kinds integer[], answer_epochs text[], answer_firsts bigint[], times bigint[],
  head bigint, oldest bigint, now bigint, epoch text, epochs json, standby boolean) LANGUAGE plpgsql ROWS 1
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  was tidings.head;
  is_common boolean;
  place bigint;
  added_keys bigint := 0;
BEGIN
  -- Invariant 2: the lock first. Every statement after it has a snapshot of its own, taken under the lock.
  SELECT * INTO STRICT was FROM tidings.head ORDER BY generation DESC LIMIT 1 FOR UPDATE;
  stored_time := greatest(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, was.time);

  -- Invariant 8.
  is_common := NOT begin_now AND NOT repeated AND was.epoch = seen_epoch AND was.seq >= seen_seq AND was.epoch = known AND was.level <= understood
    AND was.server = tidings.session_server();
  IF is_common AND keys IS NOT NULL THEN
    is_common := NOT EXISTS (SELECT FROM unnest(scopes, keys) AS r (scope, key), LATERAL (SELECT FROM tidings.keys k WHERE k.scope = r.scope AND k.key = r.key OFFSET 0) AS k);
  END IF;
  IF NOT is_common THEN
    RETURN QUERY SELECT * FROM tidings.append(
      ARRAY(SELECT lead(f.first, 1, messages + 1) OVER (ORDER BY f.n) - f.first FROM unnest(firsts) WITH ORDINALITY AS f (first, n) ORDER BY f.n), scopes, keys,
      ARRAY(SELECT CASE WHEN k.key IS NOT NULL THEN encode(substring(fingerprints FROM 32 * k.n::integer - 31 FOR 32), 'hex') END FROM unnest(keys) WITH ORDINALITY AS k (key, n) ORDER BY k.n),
      windows, ARRAY(SELECT width_bucket(m, firsts) FROM generate_series(1, messages) AS m),
      topics, events, json, coalesce(ttls, array_fill(0::bigint, ARRAY[messages])), ARRAY(SELECT ends[m + 1] - ends[m] FROM generate_series(1, messages) AS m),
      encode(data, 'base64'), overhead, jump, random, kept, begin_now, seen_epoch, seen_seq, known, understood);
    RETURN;
  END IF;

  IF keys IS NOT NULL THEN
    SELECT p.last_value - (NOT p.is_called)::integer INTO STRICT place FROM tidings.key_places p;
    INSERT INTO tidings.keys (scope, key, fingerprint, epoch, first, time, expires, place)
      SELECT r.scope, r.key, substring(fingerprints FROM 32 * r.n - 31 FOR 32), was.epoch, was.seq + r.first, stored_time, stored_time + r.span, place + row_number() OVER (ORDER BY r.n)
      FROM (SELECT unnest(scopes) AS scope, unnest(keys) AS key, unnest(windows) AS span, unnest(firsts) AS first, generate_series(1, cardinality(keys)) AS n) AS r
      WHERE r.key IS NOT NULL;
    GET DIAGNOSTICS added_keys = ROW_COUNT;
  END IF;
  INSERT INTO tidings.messages (seq, time, expires, json, topic, event, data)
    SELECT was.seq + m.n, stored_time, CASE WHEN m.ttl > 0 THEN stored_time + m.ttl * 1000 ELSE 0 END, m.json, m.topic, m.event, substring(data FROM ends[m.n] + 1 FOR ends[m.n + 1] - ends[m.n])
    FROM (SELECT unnest(topics) AS topic, unnest(events) AS event, unnest(json) AS json, unnest(ttls) AS ttl, generate_series(1, messages) AS n) AS m;

  before := was.seq;
  stored_epoch := was.epoch;
  head := was.seq + messages;
  -- Written also when nothing was stored: an empty append has to find out whether the log can be written.
  UPDATE tidings.head h SET seq = was.seq + messages, bytes = was.bytes + octet_length(data) + 3 * octet_length(array_to_string(topics, '')) + coalesce(octet_length(array_to_string(events, '')), 0) + messages * overhead,
      time = CASE WHEN messages = 0 THEN was.time ELSE stored_time END
    FROM (SELECT * FROM tidings.retention ORDER BY oldest DESC LIMIT 1) r WHERE h.generation = was.generation RETURNING r.oldest INTO STRICT oldest;
  IF added_keys > 0 THEN PERFORM setval('tidings.key_places', place + added_keys); END IF;
  now := greatest(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, stored_time);
  epoch := was.epoch;
  standby := false;
  RETURN NEXT;
END $$;
--> statement-breakpoint
-- An append that answers its failure (0015_answered_failures.sql).
CREATE OR REPLACE FUNCTION tidings.try_append(
  messages integer, firsts integer[], scopes text[], keys text[], fingerprints bytea, windows bigint[], repeated boolean,
  topics text[], events text[], json boolean[], ttls bigint[], ends integer[], data bytea, overhead integer, jump bigint,
  random text, kept integer, begin_now boolean, seen_epoch text, seen_seq bigint, known text, understood integer
) RETURNS TABLE (failure text, reason text, before bigint, stored_time bigint, stored_epoch text, kinds integer[], answer_epochs text[], answer_firsts bigint[], times bigint[],
  head bigint, oldest bigint, now bigint, epoch text, epochs json, standby boolean) LANGUAGE plpgsql ROWS 1
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  was tidings.head;
  is_common boolean;
  place bigint;
  added_keys bigint := 0;
BEGIN
  -- Invariant 2: the lock first. Every statement after it has a snapshot of its own, taken under the lock.
  SELECT * INTO STRICT was FROM tidings.head ORDER BY generation DESC LIMIT 1 FOR UPDATE;
  stored_time := greatest(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, was.time);

  -- Invariant 8.
  is_common := NOT begin_now AND NOT repeated AND was.epoch = seen_epoch AND was.seq >= seen_seq AND was.epoch = known AND was.level <= understood
    AND was.server = tidings.session_server();
  IF is_common AND keys IS NOT NULL THEN
    is_common := NOT EXISTS (SELECT FROM unnest(scopes, keys) AS r (scope, key), LATERAL (SELECT FROM tidings.keys k WHERE k.scope = r.scope AND k.key = r.key OFFSET 0) AS k);
  END IF;
  IF NOT is_common THEN
    SELECT a.* INTO STRICT before, stored_time, stored_epoch, kinds, answer_epochs, answer_firsts, times, head, oldest, now, epoch, epochs, standby FROM tidings.append(
      ARRAY(SELECT lead(f.first, 1, messages + 1) OVER (ORDER BY f.n) - f.first FROM unnest(firsts) WITH ORDINALITY AS f (first, n) ORDER BY f.n), scopes, keys,
      ARRAY(SELECT CASE WHEN k.key IS NOT NULL THEN encode(substring(fingerprints FROM 32 * k.n::integer - 31 FOR 32), 'hex') END FROM unnest(keys) WITH ORDINALITY AS k (key, n) ORDER BY k.n),
      windows, ARRAY(SELECT width_bucket(m, firsts) FROM generate_series(1, messages) AS m),
      topics, events, json, coalesce(ttls, array_fill(0::bigint, ARRAY[messages])), ARRAY(SELECT ends[m + 1] - ends[m] FROM generate_series(1, messages) AS m),
      encode(data, 'base64'), overhead, jump, random, kept, begin_now, seen_epoch, seen_seq, known, understood) a;
    RETURN NEXT;
    RETURN;
  END IF;

  IF keys IS NOT NULL THEN
    SELECT p.last_value - (NOT p.is_called)::integer INTO STRICT place FROM tidings.key_places p;
    INSERT INTO tidings.keys (scope, key, fingerprint, epoch, first, time, expires, place)
      SELECT r.scope, r.key, substring(fingerprints FROM 32 * r.n - 31 FOR 32), was.epoch, was.seq + r.first, stored_time, stored_time + r.span, place + row_number() OVER (ORDER BY r.n)
      FROM (SELECT unnest(scopes) AS scope, unnest(keys) AS key, unnest(windows) AS span, unnest(firsts) AS first, generate_series(1, cardinality(keys)) AS n) AS r
      WHERE r.key IS NOT NULL;
    GET DIAGNOSTICS added_keys = ROW_COUNT;
  END IF;
  INSERT INTO tidings.messages (seq, time, expires, json, topic, event, data)
    SELECT was.seq + m.n, stored_time, CASE WHEN m.ttl > 0 THEN stored_time + m.ttl * 1000 ELSE 0 END, m.json, m.topic, m.event, substring(data FROM ends[m.n] + 1 FOR ends[m.n + 1] - ends[m.n])
    FROM (SELECT unnest(topics) AS topic, unnest(events) AS event, unnest(json) AS json, unnest(ttls) AS ttl, generate_series(1, messages) AS n) AS m;

  before := was.seq;
  stored_epoch := was.epoch;
  head := was.seq + messages;
  -- Written also when nothing was stored: an empty append has to find out whether the log can be written.
  UPDATE tidings.head h SET seq = was.seq + messages, bytes = was.bytes + octet_length(data) + 3 * octet_length(array_to_string(topics, '')) + coalesce(octet_length(array_to_string(events, '')), 0) + messages * overhead,
      time = CASE WHEN messages = 0 THEN was.time ELSE stored_time END
    FROM (SELECT * FROM tidings.retention ORDER BY oldest DESC LIMIT 1) r WHERE h.generation = was.generation RETURNING r.oldest INTO STRICT oldest;
  IF added_keys > 0 THEN PERFORM setval('tidings.key_places', place + added_keys); END IF;
  now := greatest(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, stored_time);
  epoch := was.epoch;
  standby := false;
  RETURN NEXT;
EXCEPTION WHEN OTHERS OR query_canceled THEN
  failure := SQLSTATE;
  reason := SQLERRM;
  RETURN NEXT;
END $$;
--> statement-breakpoint
-- One step of retention (0014_newest_versions.sql).
CREATE OR REPLACE FUNCTION tidings.trim(max_age bigint, max_bytes bigint, most integer, most_bytes bigint, overhead integer, latest bigint, jump bigint, known text, understood integer)
RETURNS TABLE (messages integer, keys integer, more boolean, bytes bigint, machine bigint, believed bigint, head bigint, oldest bigint, now bigint, epoch text, epochs json, standby boolean)
LANGUAGE plpgsql ROWS 1 SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
  was tidings.retention;
  machine_clock bigint := floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;
  known_time bigint;
  believed_clock bigint;
  size bigint;
  row_ record;
  last_seq bigint;
  last_time bigint;
  freed bigint := 0;
  gone integer := 0;
  keys_gone integer;
  keys_due integer;
  is_more boolean := false;
BEGIN
  SELECT h.bytes INTO size FROM (SELECT * FROM tidings.head ORDER BY generation DESC LIMIT 1) h;
  SELECT * INTO was FROM tidings.retention ORDER BY oldest DESC LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 0, 0, false, size - r.bytes, machine_clock, tidings.believe(machine_clock, tidings.known_clock(r), latest, jump), s.*
      FROM (SELECT * FROM tidings.retention ORDER BY oldest DESC LIMIT 1) r, tidings.state(known, understood) s;
    RETURN;
  END IF;
  -- In a snapshot taken after the lock: what another instance deleted meanwhile is counted in `was`.
  SELECT h.bytes - was.bytes INTO size FROM (SELECT * FROM tidings.head ORDER BY generation DESC LIMIT 1) h;
  -- Kept where it moved on by a minute, and never where it went back: `isWorthKeeping` in store/believed-clock.ts.
  known_time := tidings.known_clock(was);
  believed_clock := tidings.believe(machine_clock, known_time, latest, jump);
  IF (was.clock IS NULL AND known_time IS NOT NULL) OR believed_clock - was.clock >= 60000 THEN UPDATE tidings.retention SET clock = believed_clock WHERE oldest = was.oldest; END IF;
  -- Only a prefix goes, so the first row that may stay ends it. Age is counted by the machine's clock, unlike all else: after one message from a clock that
  -- was ahead, the log's own stands at that message's time, and all before it would seem as old as the clock was wrong.
  FOR row_ IN SELECT m.seq, m.time, octet_length(m.data) + tidings.name_bytes(m.seq >= was.named_from, m.topic, m.event) + overhead AS bytes
    FROM tidings.messages m WHERE m.seq >= was.oldest ORDER BY m.seq LIMIT most + 1
  LOOP
    EXIT WHEN NOT ((max_age > 0 AND row_.time < believed_clock - max_age) OR (max_bytes > 0 AND size - freed > max_bytes));
    IF gone = most OR freed >= most_bytes THEN
      is_more := true;
      EXIT;
    END IF;
    gone := gone + 1;
    freed := freed + row_.bytes;
    last_seq := row_.seq;
    last_time := row_.time;
  END LOOP;
  IF gone > 0 THEN
    DELETE FROM tidings.messages m WHERE m.seq >= was.oldest AND m.seq <= last_seq;
    UPDATE tidings.retention SET oldest = last_seq + 1, bytes = was.bytes + freed, time = last_time WHERE oldest = was.oldest;
  END IF;

  -- Those that an append just uses again are passed over: waiting for them, with others deleted already, could be a deadlock.
  WITH due AS (SELECT k.scope, k.key FROM tidings.keys k WHERE k.expires <= believed_clock ORDER BY k.expires LIMIT most + 1 FOR UPDATE SKIP LOCKED),
    few AS (SELECT * FROM due LIMIT most),
    deleted AS (DELETE FROM tidings.keys k USING few WHERE k.scope = few.scope AND k.key = few.key RETURNING 1)
  SELECT (SELECT count(*) FROM deleted), (SELECT count(*) FROM due) INTO keys_gone, keys_due;
  RETURN QUERY SELECT gone, keys_gone, is_more OR keys_due > most, size - freed, machine_clock, believed_clock, s.* FROM tidings.state(known, understood) s;
END $$;
--> statement-breakpoint
-- One step of an erasure (0014_newest_versions.sql).
CREATE OR REPLACE FUNCTION tidings.erase(asked_topic text, after bigint, last bigint, last_epoch text, needed integer, most integer, most_bytes bigint, budget integer, kept integer, lost integer, understood integer)
RETURNS TABLE (log_level integer, is_there boolean, erased integer, scanned bigint, more boolean, standby boolean) LANGUAGE plpgsql ROWS 1
SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
  row_ record;
  erased_topic text := asked_topic;
  seqs bigint[] := '{}';
  freed bigint := 0;
  looked integer := 0;
  new_version bigint;
  named_from bigint := (SELECT r.named_from FROM tidings.retention r ORDER BY r.oldest DESC LIMIT 1);
BEGIN
  is_there := false;
  more := false;
  scanned := last;
  SELECT h.level, pg_is_in_recovery() INTO STRICT log_level, standby FROM (SELECT * FROM tidings.head ORDER BY generation DESC LIMIT 1) h;
  IF log_level > understood THEN PERFORM tidings.refuse_level(log_level, understood); END IF;
  IF log_level >= needed THEN
    PERFORM FROM tidings.retention ORDER BY oldest DESC LIMIT 1 FOR UPDATE;
    is_there := EXISTS (SELECT FROM (SELECT * FROM tidings.head ORDER BY generation DESC LIMIT 1) h WHERE last <= h.seq) AND last_epoch = (SELECT e.epoch FROM tidings.epochs e WHERE e.first <= last ORDER BY e.id DESC LIMIT 1);
  END IF;
  IF is_there AND asked_topic IS NULL THEN
    SELECT m.topic, m.event, octet_length(m.data) + CASE WHEN m.seq >= named_from AND m.event IS NOT NULL THEN octet_length(m.event) ELSE 0 END AS bytes INTO row_ FROM tidings.messages m WHERE m.seq = last;
    is_there := FOUND;
    IF is_there AND row_.event IS DISTINCT FROM '$erased' THEN
      seqs := ARRAY[last];
      freed := row_.bytes;
      erased_topic := row_.topic;
    END IF;
  ELSIF is_there THEN
    FOR row_ IN SELECT m.seq + 0 AS n, m.event, octet_length(m.data) + CASE WHEN m.seq >= named_from AND m.event IS NOT NULL THEN octet_length(m.event) ELSE 0 END AS bytes FROM tidings.messages m
      WHERE m.topic = asked_topic AND m.seq + 0 > after AND m.seq + 0 <= last ORDER BY m.seq + 0
    LOOP
      IF cardinality(seqs) >= most OR freed >= most_bytes OR looked >= budget THEN
        more := true;
        EXIT;
      END IF;
      looked := looked + 1;
      scanned := row_.n;
      CONTINUE WHEN row_.event = '$erased';
      seqs := seqs || row_.n;
      freed := freed + row_.bytes;
    END LOOP;
    IF NOT more THEN scanned := last; END IF;
  END IF;

  erased := cardinality(seqs);
  IF erased > 0 THEN
    UPDATE tidings.messages m SET event = '$erased', json = false, data = '' WHERE m.seq = ANY (seqs);
    UPDATE tidings.retention r SET bytes = r.bytes + freed WHERE r.oldest = (SELECT n.oldest FROM tidings.retention n ORDER BY n.oldest DESC LIMIT 1);
    INSERT INTO tidings.erasures (version, seq, prefix, wiped, topic, server)
      SELECT coalesce(n.version + CASE WHEN n.server = s.server THEN 1 ELSE lost END, 1), seqs[cardinality(seqs)], asked_topic IS NOT NULL, false, erased_topic, s.server
      FROM (SELECT tidings.session_server() AS server) AS s LEFT JOIN (SELECT e.version, e.server FROM tidings.erasures e ORDER BY e.version DESC LIMIT 1) AS n ON true
      RETURNING version INTO new_version;
    DELETE FROM tidings.erasures e WHERE e.version <= new_version - kept;
  END IF;
  RETURN NEXT;
END $$;
