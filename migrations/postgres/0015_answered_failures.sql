-- compatible: 0003_compatible_functions
-- An append that answers its failure instead of failing. The server writes a statement that fails to its own log, whole, with messages and idempotency keys; no ordinary role may forbid it.
-- What the append did is undone when the exception is caught, the head's lock released, and the transaction commits nothing. Otherwise it is the append of 0014_newest_versions.sql.
CREATE FUNCTION tidings.try_append(
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
  UPDATE tidings.head h SET seq = was.seq + messages, bytes = was.bytes + octet_length(data) + octet_length(array_to_string(topics, '')) + messages * overhead,
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
