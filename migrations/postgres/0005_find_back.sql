-- compatible: 0003_compatible_functions
-- One step back through the log: the numbers and topics of the newest messages before `before` that have one of the topics, or whose topic has one of the first segments
-- and matches the regular expression, without those that have expired by `now`. Topics have no blanks: one stands between them. Everything from `start` on was looked at.
-- The settings keep to the indexes, as those of `tidings.find` do (0001_functions.sql): the rows come one by one, so it looks at about as many as it counts.
CREATE FUNCTION tidings.find_back(before bigint, topics text[], segments text[], pattern text, most integer, budget integer)
RETURNS TABLE (seqs bigint[], names text, start bigint, examined integer) LANGUAGE plpgsql STABLE ROWS 1
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
#variable_conflict use_column
DECLARE
  beyond bigint;
  looked bigint;
  time_ bigint;
  branches text;
  entry record;
  found bigint[] := '{}';
  found_topics text[] := '{}';
  last bigint;
  count integer := 0;
BEGIN
  SELECT least(before, h.seq + 1), r.oldest, greatest(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, h.time) INTO beyond, looked, time_
    FROM tidings.head h, tidings.retention r;
  IF '*' = ANY (segments) OR '>' = ANY (segments) THEN
    branches := 'SELECT seq AS n, false AS wanted, topic, expires FROM tidings.messages WHERE seq < $1 ORDER BY seq DESC';
  ELSE
    SELECT 'SELECT * FROM (' || string_agg(format('(SELECT seq + 0 AS n, %s AS wanted, topic, expires FROM tidings.messages WHERE %s AND seq + 0 < $1 ORDER BY seq + 0 DESC)',
      source.wanted, source.condition), ' UNION ALL ') || ') AS merged ORDER BY n DESC'
    INTO branches FROM (
      SELECT 'true' AS wanted, format('topic = $2[%s]', i) AS condition FROM generate_subscripts(topics, 1) AS i
      UNION ALL
      SELECT 'false', format('strpos(topic, ''.'') > 0 AND split_part(topic, ''.'', 1) = $3[%s]', i) FROM generate_subscripts(segments, 1) AS i
    ) AS source;
  END IF;

  IF branches IS NOT NULL THEN
    FOR entry IN EXECUTE branches USING beyond, topics, segments LOOP
      count := count + 1;
      -- A message may be found by its topic and by its first segment.
      IF (entry.expires = 0 OR entry.expires > time_) AND entry.n IS DISTINCT FROM last AND (entry.wanted OR entry.topic ~ pattern OR entry.topic = ANY (topics)) THEN
        found := found || entry.n;
        found_topics := found_topics || entry.topic;
        last := entry.n;
      END IF;
      IF cardinality(found) >= most OR count >= budget THEN
        looked := entry.n;
        EXIT;
      END IF;
    END LOOP;
  END IF;
  RETURN QUERY SELECT found, array_to_string(found_topics, ' '), looked, count;
END $$;
