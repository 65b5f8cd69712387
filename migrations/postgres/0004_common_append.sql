-- compatible: 0003_compatible_functions
-- Which server this is: the answer of `tidings.server()`, for a tenth of its cost. A session keeps what cannot change while it lasts: it ends with its server.
-- A promotion changes the timeline under a session, and a table that is written anew has other files.
CREATE FUNCTION tidings.session_server() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text := current_setting('tidings.server', true);
BEGIN
  IF coalesce(answer, '') = '' THEN
    answer := tidings.server();
    PERFORM set_config('tidings.server', answer, false);
    RETURN answer;
  END IF;
  RETURN split_part(answer, '/', 1) || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) || '/' || split_part(answer, '/', 3) || '/' || split_part(answer, '/', 4)
    || '/' || pg_relation_filenode('tidings.head');
END $$;
--> statement-breakpoint
-- Stores requests, as nearly every append does it: the log is the one that the caller knows, and no key is known. Then the numbers follow each other, and a few short
-- statements do. Anything else goes to the function of 0003_compatible_functions.sql, which explains what is the same here, under the lock that is held already.
-- The columns of the messages stand in arrays. `events` and `ttls` are NULL when no message has any. `ends` is 0, and where each message's data end in `data`.
-- `firsts` to `windows` are NULL when no request has a key. `firsts` says which message is each request's first. `fingerprints` has 32 bytes for each request.
-- `repeated` is whether two requests have the same key.
-- The settings keep to the index of keys, and make one plan for each statement and session.
CREATE FUNCTION tidings.append(
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
BEGIN
  -- Invariant 2: the lock first. Every statement after it has a snapshot of its own, taken under the lock.
  SELECT * INTO STRICT was FROM tidings.head FOR UPDATE;
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
    INSERT INTO tidings.keys (scope, key, fingerprint, epoch, first, time, expires)
      SELECT r.scope, r.key, substring(fingerprints FROM 32 * r.n - 31 FOR 32), was.epoch, was.seq + r.first, stored_time, stored_time + r.span
      FROM (SELECT unnest(scopes) AS scope, unnest(keys) AS key, unnest(windows) AS span, unnest(firsts) AS first, generate_series(1, cardinality(keys)) AS n) AS r
      WHERE r.key IS NOT NULL;
  END IF;
  INSERT INTO tidings.messages (seq, time, expires, json, topic, event, data)
    SELECT was.seq + m.n, stored_time, CASE WHEN m.ttl > 0 THEN stored_time + m.ttl * 1000 ELSE 0 END, m.json, m.topic, m.event, substring(data FROM ends[m.n] + 1 FOR ends[m.n + 1] - ends[m.n])
    FROM (SELECT unnest(topics) AS topic, unnest(events) AS event, unnest(json) AS json, unnest(ttls) AS ttl, generate_series(1, messages) AS n) AS m;

  before := was.seq;
  stored_epoch := was.epoch;
  head := was.seq + messages;
  -- Written also when nothing was stored: an empty append has to find out whether the log can be written.
  UPDATE tidings.head h SET seq = was.seq + messages, bytes = was.bytes + octet_length(data) + octet_length(array_to_string(topics, '')) + messages * overhead,
      time = CASE WHEN messages = 0 THEN was.time ELSE stored_time END
    FROM tidings.retention r RETURNING r.oldest INTO STRICT oldest;
  now := greatest(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, stored_time);
  epoch := was.epoch;
  standby := false;
  RETURN NEXT;
END $$;
--> statement-breakpoint
-- A step of `npm run clock -- --accept`, as in 0003_compatible_functions.sql, but that it looks for keys only when no message is left: reading them all in each step kept publishers waiting.
CREATE OR REPLACE FUNCTION tidings.accept_clock(most_messages integer, most_keys integer, understood integer) RETURNS TABLE (messages integer, keys integer, more boolean) LANGUAGE plpgsql ROWS 1
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
