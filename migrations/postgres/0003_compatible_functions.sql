-- What programs from here on call. The functions before these have other parameters, and stay for programs that still run while the fleet is replaced.

CREATE FUNCTION tidings.refuse_level(level integer, understood integer) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'TD001', MESSAGE = format('the log is at level %s, and this program understands levels up to %s', level, understood);
END $$;
--> statement-breakpoint
-- The state of the log. `epochs` only when the newest is not the one that is known already. Refuses a program that does not understand the log's level:
-- every call ends with this one, so what it did before is rolled back.
CREATE FUNCTION tidings.state(known text, understood integer) RETURNS TABLE (head bigint, oldest bigint, now bigint, epoch text, epochs json, standby boolean) LANGUAGE sql STABLE ROWS 1 AS $$
  SELECT h.seq, r.oldest, greatest(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, h.time), h.epoch,
    CASE WHEN h.epoch IS DISTINCT FROM known THEN (SELECT json_agg(json_build_array(e.epoch, e.first, e.secret) ORDER BY e.id) FROM tidings.epochs e) END,
    CASE WHEN h.level <= understood THEN pg_is_in_recovery() ELSE tidings.refuse_level(h.level, understood) END
  FROM tidings.head h, tidings.retention r
$$;
--> statement-breakpoint
-- Begins an epoch at `next`, under the head's lock that the caller holds. Its name tells where it came from, for a log that has lost it: random characters, the first six
-- of the epoch before it, and `next` in hexadecimal (model/epochs.ts). The very first has no epoch before it.
-- Forgets the oldest of which no message is left, beyond the number to keep: a client that comes back late is told `expired`, not `unknown-log`.
CREATE FUNCTION tidings.begin_epoch(random text, kept integer, next bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  parent text := (SELECT e.epoch FROM tidings.epochs e WHERE e.first < next ORDER BY e.id DESC LIMIT 1);
  name text := random || coalesce(left(parent, 6) || to_hex(next), '');
BEGIN
  INSERT INTO tidings.epochs (id, epoch, first, secret)
    SELECT coalesce((SELECT max(id) FROM tidings.epochs), 0) + 1, name, next, replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
  UPDATE tidings.head SET epoch = name, server = tidings.server();
  DELETE FROM tidings.epochs e
    WHERE e.id < (SELECT max(id) FROM tidings.epochs WHERE first <= (SELECT r.oldest FROM tidings.retention r))
      AND e.id <= (SELECT max(id) FROM tidings.epochs) - kept;
  RETURN name;
END $$;
--> statement-breakpoint
-- What a process does when it starts. The first one of all makes the two rows that everything else goes by.
CREATE FUNCTION tidings.open(new_log text, random text, kept integer, understood integer)
RETURNS TABLE (log text, head bigint, oldest bigint, now bigint, epoch text, epochs json, standby boolean) LANGUAGE plpgsql ROWS 1 AS $$
#variable_conflict use_column
BEGIN
  INSERT INTO tidings.head (id, log, seq, epoch, time, bytes, server, level) VALUES (1, new_log, 0, '', 0, 0, '', understood) ON CONFLICT (id) DO NOTHING;
  INSERT INTO tidings.retention (id, oldest, bytes, time) VALUES (1, 1, 0, NULL) ON CONFLICT (id) DO NOTHING;
  PERFORM FROM tidings.head FOR UPDATE;
  PERFORM tidings.begin_epoch(random, kept, h.seq + 1) FROM tidings.head h;
  RETURN QUERY SELECT h.log, s.* FROM tidings.head h, tidings.state(NULL, understood) s;
END $$;
--> statement-breakpoint
-- Invariant 10: the server's clock as far as it is believed. NULL is what is not known. The twin of `believe` (store/believed-clock.ts), where it is explained.
CREATE FUNCTION tidings.believe(machine bigint, known bigint, latest bigint, jump bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN machine - greatest(known, latest) > jump THEN greatest(known, latest) ELSE machine END
$$;
--> statement-breakpoint
-- What the log itself knows of the time: what was kept of it, or the time of the oldest message held; NULL when there is neither.
CREATE FUNCTION tidings.known_clock(r tidings.retention) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce(r.clock, (SELECT m.time FROM tidings.messages m WHERE m.seq = r.oldest))
$$;
--> statement-breakpoint
-- Stores requests. The columns of the requests stand in arrays, and so do those of all their messages, one request's behind the other's; their data in
-- one block of bytes. `scopes` to `owners` are NULL when no request has a key; then the numbers follow each other, and nothing needs to be answered but the first.
-- `seen_epoch` and `seen_seq` are the newest place of the log that the caller has seen: if it is not in the log any more, the log was exchanged.
-- The settings keep to the index of keys: a plan that was made while there were few would read all of them, with each append, until the table is analysed.
CREATE FUNCTION tidings.append(
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
BEGIN
  -- Invariant 2: the lock first. Every statement after it has a snapshot of its own, taken under the lock.
  SELECT * INTO STRICT was FROM tidings.head FOR UPDATE;
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
    SELECT tidings.believe(machine_clock, tidings.known_clock(r), NULL, jump) INTO STRICT believed_clock FROM tidings.retention r;
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
      INSERT INTO tidings.keys (scope, key, fingerprint, epoch, first, time, expires)
      SELECT scope, key, fingerprint, was.epoch, first, clock, expires FROM placed WHERE stored AND key IS NOT NULL
      ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint, epoch = excluded.epoch, first = excluded.first,
        time = excluded.time, expires = excluded.expires
    ), answered AS (
      -- What came first with a key in this call stands for what follows with it.
      SELECT n, stored, coalesce(known_epoch, was.epoch) AS epoch, coalesce(known_time, clock) AS time,
        coalesce(known_first, first_value(first) OVER one) AS first,
        CASE WHEN stored THEN 0 WHEN coalesce(known_fingerprint, first_value(fingerprint) OVER one) = fingerprint THEN 1 ELSE 2 END AS kind
      FROM (SELECT *, CASE WHEN key IS NULL THEN n END AS alone FROM placed) AS p
      WINDOW one AS (PARTITION BY scope, key, alone ORDER BY n)
    )
    SELECT array_agg(stored ORDER BY n), array_agg(kind ORDER BY n), array_agg(epoch ORDER BY n), array_agg(first ORDER BY n), array_agg(time ORDER BY n)
    INTO is_stored, the_kinds, the_epochs, the_firsts, the_times FROM answered;
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
    RETURNING octet_length(data) + octet_length(topic) + overhead AS size
  )
  SELECT count(*), coalesce(sum(size), 0) INTO added, added_bytes FROM message;

  -- Written also when nothing was stored: an empty append has to find out whether the log can be written.
  UPDATE tidings.head SET seq = was.seq + added, bytes = was.bytes + added_bytes, time = CASE WHEN added = 0 THEN was.time ELSE clock END;

  RETURN QUERY SELECT was.seq, clock, was.epoch, the_kinds, the_epochs, the_firsts, the_times, s.* FROM tidings.state(known, understood) s;
END $$;
--> statement-breakpoint
-- One step of retention. Its own lock only, never the head's (invariant 9); while another instance has it, there is nothing to do here.
CREATE FUNCTION tidings.trim(max_age bigint, max_bytes bigint, most integer, most_bytes bigint, overhead integer, latest bigint, jump bigint, known text, understood integer)
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
  SELECT h.bytes INTO size FROM tidings.head h;
  SELECT * INTO was FROM tidings.retention FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 0, 0, false, size - r.bytes, machine_clock, tidings.believe(machine_clock, tidings.known_clock(r), latest, jump), s.*
      FROM tidings.retention r, tidings.state(known, understood) s;
    RETURN;
  END IF;
  -- In a snapshot taken after the lock: what another instance deleted meanwhile is counted in `was`.
  SELECT h.bytes - was.bytes INTO size FROM tidings.head h;
  -- Kept where it moved on by a minute, and never where it went back: `isWorthKeeping` in store/believed-clock.ts.
  known_time := tidings.known_clock(was);
  believed_clock := tidings.believe(machine_clock, known_time, latest, jump);
  IF (was.clock IS NULL AND known_time IS NOT NULL) OR believed_clock - was.clock >= 60000 THEN UPDATE tidings.retention SET clock = believed_clock; END IF;
  -- Only a prefix goes, so the first row that may stay ends it. Age is counted by the machine's clock, unlike all else: after one message from a clock that
  -- was ahead, the log's own stands at that message's time, and all before it would seem as old as the clock was wrong.
  FOR row_ IN SELECT m.seq, m.time, octet_length(m.data) + octet_length(m.topic) + overhead AS bytes
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
    UPDATE tidings.retention SET oldest = last_seq + 1, bytes = was.bytes + freed, time = last_time;
  END IF;

  -- Those that an append just uses again are passed over: waiting for them, with others deleted already, could be a deadlock.
  WITH due AS (SELECT k.scope, k.key FROM tidings.keys k WHERE k.expires <= believed_clock ORDER BY k.expires LIMIT most + 1 FOR UPDATE SKIP LOCKED),
    few AS (SELECT * FROM due LIMIT most),
    deleted AS (DELETE FROM tidings.keys k USING few WHERE k.scope = few.scope AND k.key = few.key RETURNING 1)
  SELECT (SELECT count(*) FROM deleted), (SELECT count(*) FROM due) INTO keys_gone, keys_due;
  RETURN QUERY SELECT gone, keys_gone, is_more OR keys_due > most, size - freed, machine_clock, believed_clock, s.* FROM tidings.state(known, understood) s;
END $$;
--> statement-breakpoint
-- One step of `npm run clock -- --accept`: the server's clock is right. What lies beyond it gets the time of now, and expires as long after it as it would have. Oldest
-- first, so that time never decreases along the log, whatever is appended between two steps (invariant 10). With the last step the clock is believed.
-- Takes both locks, the head's first: retention takes only its own, and passes by while another has it.
CREATE FUNCTION tidings.accept_clock(most_messages integer, most_keys integer, understood integer) RETURNS TABLE (messages integer, keys integer, more boolean) LANGUAGE plpgsql ROWS 1
SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
  was tidings.head;
  clock_ bigint;
  beyond bigint;
  messages_changed integer;
  keys_changed integer := 0;
  is_more boolean;
BEGIN
  SELECT * INTO STRICT was FROM tidings.head FOR UPDATE;
  PERFORM FROM tidings.retention FOR UPDATE;
  IF was.level > understood THEN PERFORM tidings.refuse_level(was.level, understood); END IF;
  clock_ := floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;
  SELECT s.seq + 1 INTO beyond FROM tidings.seek(clock_ + 1) s;
  UPDATE tidings.messages m SET time = clock_, expires = CASE m.expires WHEN 0 THEN 0 ELSE clock_ + m.expires - m.time END
    WHERE m.seq >= beyond AND m.seq < beyond + most_messages;
  GET DIAGNOSTICS messages_changed = ROW_COUNT;
  is_more := beyond + most_messages <= was.seq;
  -- The keys that lie beyond are found by reading all that have not expired: only when no message is left, and not in each step.
  IF NOT is_more THEN
    -- The first condition follows from the second, and is there for the index.
    UPDATE tidings.keys k SET time = clock_, expires = clock_ + k.expires - k.time
      FROM (SELECT b.scope, b.key FROM tidings.keys b WHERE b.expires > clock_ AND b.time > clock_ ORDER BY b.expires DESC LIMIT most_keys) AS few
      WHERE k.scope = few.scope AND k.key = few.key;
    GET DIAGNOSTICS keys_changed = ROW_COUNT;
    is_more := keys_changed = most_keys;
  END IF;
  IF NOT is_more THEN
    UPDATE tidings.head SET time = least(time, clock_);
    UPDATE tidings.retention SET time = CASE WHEN time > clock_ THEN clock_ ELSE time END, clock = clock_;
  END IF;
  RETURN QUERY SELECT messages_changed, keys_changed, is_more;
END $$;
