-- cache_invalidate 1.0: what CREATE EXTENSION makes.
\echo Use "CREATE EXTENSION cache_invalidate" to load this file. \quit

-- Every name is resolved in pg_catalog, whatever the schema holds that the extension goes to.
SET LOCAL search_path = pg_catalog, pg_temp;

-- The journal: two segments, appended to by committing transactions, truncated in place by the worker. No
-- index, nothing for vacuum to do, out of line only what is longer than a page.
CREATE TABLE @extschema@.cache_invalidation_journal_0 (batch bytea NOT NULL)
  USING heap WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);
CREATE TABLE @extschema@.cache_invalidation_journal_1 (batch bytea NOT NULL)
  USING heap WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);
ALTER TABLE @extschema@.cache_invalidation_journal_0 ALTER COLUMN batch SET STORAGE EXTERNAL;
ALTER TABLE @extschema@.cache_invalidation_journal_1 ALTER COLUMN batch SET STORAGE EXTERNAL;
COMMENT ON TABLE @extschema@.cache_invalidation_journal_0 IS
  'cache_invalidate: one of the two segments of the journal. Written by committing transactions, truncated by the worker. Do not change or lock it.';
COMMENT ON TABLE @extschema@.cache_invalidation_journal_1 IS
  'cache_invalidate: one of the two segments of the journal. Written by committing transactions, truncated by the worker. Do not change or lock it.';
REVOKE ALL ON @extschema@.cache_invalidation_journal_0, @extschema@.cache_invalidation_journal_1 FROM PUBLIC;

-- Transactions append to the journal without firing triggers. A publication FOR ALL TABLES would copy another
-- server's journal into ours: its batches are not ours, and its watermarks would hide what is.
CREATE FUNCTION @extschema@.cache_invalidate_keep_out() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'cache_invalidate_keep_out';
REVOKE ALL ON FUNCTION @extschema@.cache_invalidate_keep_out() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.cache_invalidate_keep_out() IS
  'cache_invalidate: keeps rows out of the journal that its own code did not put there.';
CREATE TRIGGER keep_out BEFORE INSERT ON @extschema@.cache_invalidation_journal_0 FOR EACH ROW
  EXECUTE FUNCTION @extschema@.cache_invalidate_keep_out();
CREATE TRIGGER keep_out BEFORE INSERT ON @extschema@.cache_invalidation_journal_1 FOR EACH ROW
  EXECUTE FUNCTION @extschema@.cache_invalidate_keep_out();
ALTER TABLE @extschema@.cache_invalidation_journal_0 ENABLE ALWAYS TRIGGER keep_out;
ALTER TABLE @extschema@.cache_invalidation_journal_1 ENABLE ALWAYS TRIGGER keep_out;
COMMENT ON TRIGGER keep_out ON @extschema@.cache_invalidation_journal_0 IS
  'cache_invalidate: what others would insert, such as the initial copy of a subscription, is ignored.';
COMMENT ON TRIGGER keep_out ON @extschema@.cache_invalidation_journal_1 IS
  'cache_invalidate: what others would insert, such as the initial copy of a subscription, is ignored.';

CREATE TABLE @extschema@.trigger_error_log (
  id bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME @extschema@.trigger_error_log_id_seq) PRIMARY KEY,
  table_name text NOT NULL,
  operation text NOT NULL,
  error_message text NOT NULL,
  error_context text,
  occurred_at timestamptz NOT NULL DEFAULT now(),
  occurrences bigint NOT NULL DEFAULT 1,
  last_occurred_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX trigger_error_log_occurred_at ON @extschema@.trigger_error_log (occurred_at);
REVOKE ALL ON @extschema@.trigger_error_log FROM PUBLIC;
COMMENT ON TABLE @extschema@.trigger_error_log IS
  'cache_invalidate: what triggers could not compute. Written by the worker after the commit. Equal errors (context, operation, message) of an hour are one row; the worker keeps the table within cache_invalidate.error_log_retention and error_log_limit.';
COMMENT ON SEQUENCE @extschema@.trigger_error_log_id_seq IS 'cache_invalidate: numbers the rows of trigger_error_log.';
COMMENT ON COLUMN @extschema@.trigger_error_log.table_name IS 'Table whose trigger had the problem, without its schema; of a partition its root.';
COMMENT ON COLUMN @extschema@.trigger_error_log.operation IS 'INSERT, UPDATE or DELETE.';
COMMENT ON COLUMN @extschema@.trigger_error_log.error_message IS 'What went wrong.';
COMMENT ON COLUMN @extschema@.trigger_error_log.error_context IS 'The trigger, and its table with its schema; of a partition those of its root.';
COMMENT ON COLUMN @extschema@.trigger_error_log.occurred_at IS 'When the transaction of the first began to commit.';
COMMENT ON COLUMN @extschema@.trigger_error_log.occurrences IS 'Transactions that had the problem. Brought up to date about once a minute and when the worker ends in order; a crash loses what was not added yet.';
COMMENT ON COLUMN @extschema@.trigger_error_log.last_occurred_at IS 'When the transaction of the last that is counted began to commit.';

-- Servers to which nothing is sent for a while. Not dumped; kept from what a publication FOR ALL TABLES copies, like the journal.
CREATE TABLE @extschema@.cache_invalidation_pauses (
  server oid PRIMARY KEY,
  server_name name NOT NULL,
  paused_at timestamptz NOT NULL,
  paused_by name NOT NULL
) USING heap;
REVOKE ALL ON @extschema@.cache_invalidation_pauses FROM PUBLIC;
CREATE TRIGGER keep_out BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.cache_invalidation_pauses FOR EACH ROW
  EXECUTE FUNCTION @extschema@.cache_invalidate_keep_out();
ALTER TABLE @extschema@.cache_invalidation_pauses ENABLE ALWAYS TRIGGER keep_out;
COMMENT ON TABLE @extschema@.cache_invalidation_pauses IS
  'cache_invalidate: the servers to which nothing is sent until somebody resumes them. Written by pause_cache_invalidation() and resume_cache_invalidation() only.';
COMMENT ON TRIGGER keep_out ON @extschema@.cache_invalidation_pauses IS
  'cache_invalidate: what others would change, such as a subscription that copies another server''s pauses, is ignored.';
COMMENT ON COLUMN @extschema@.cache_invalidation_pauses.server IS 'OID of the paused server; 0: all.';
COMMENT ON COLUMN @extschema@.cache_invalidation_pauses.server_name IS 'Its name when it was paused; empty: all.';
COMMENT ON COLUMN @extschema@.cache_invalidation_pauses.paused_at IS 'When it was paused.';
COMMENT ON COLUMN @extschema@.cache_invalidation_pauses.paused_by IS 'The session user who did.';

-- Capture.
CREATE FUNCTION @extschema@.notify_cache_invalidation() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'cache_invalidate_notify';
COMMENT ON FUNCTION @extschema@.notify_cache_invalidation() IS
  'AFTER ... FOR EACH ROW trigger (and AFTER TRUNCATE ... FOR EACH STATEMENT, which invalidates whatever the templates could name): notes the cache keys and the message that a changed row makes stale; they leave after the commit. Arguments are ''name=value'': key (template, repeatable), pattern (glob template, repeatable), resource, id (template), fields, format (record or resource), channel, server, columns, ignore. Never fails the statement.';

CREATE FUNCTION @extschema@.cache_invalidate_check_trigger() RETURNS event_trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'cache_invalidate_check_trigger';
REVOKE ALL ON FUNCTION @extschema@.cache_invalidate_check_trigger() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.cache_invalidate_check_trigger() IS
  'Checks the arguments of triggers that call notify_cache_invalidation() when CREATE TRIGGER runs.';
CREATE EVENT TRIGGER cache_invalidate_check_trigger ON ddl_command_end WHEN TAG IN ('CREATE TRIGGER', 'CREATE SCHEMA')
  EXECUTE FUNCTION @extschema@.cache_invalidate_check_trigger();
COMMENT ON EVENT TRIGGER cache_invalidate_check_trigger IS
  'cache_invalidate: refuses wrong arguments of notify_cache_invalidation() when CREATE TRIGGER runs.';

CREATE FUNCTION @extschema@.explain_cache_invalidation(
    rel regclass, operation text, old jsonb DEFAULT NULL, new jsonb DEFAULT NULL,
    OUT trigger_name name, OUT kind text, OUT item text, OUT server name, OUT channel text)
  RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_explain';
COMMENT ON FUNCTION @extschema@.explain_cache_invalidation(regclass, text, jsonb, jsonb) IS
  'What an INSERT, UPDATE, DELETE or TRUNCATE of a table would send and where to, without sending: for each trigger its keys and patterns (a row per server; one without a server if nobody gets it), messages with their NOTIFY channel, and errors that would go to trigger_error_log. old and new are rows as JSON objects. Only for the table''s owner: anybody else gets error 42501.';

-- Capture of what fires no row trigger.
CREATE FUNCTION @extschema@.cache_invalidate_check_ddl() RETURNS event_trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'cache_invalidate_check_ddl';
REVOKE ALL ON FUNCTION @extschema@.cache_invalidate_check_ddl() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.cache_invalidate_check_ddl() IS
  'Notes partitions with rows that come and go, refuses to rename a column that a trigger names, warns of children that no trigger sees.';
CREATE EVENT TRIGGER cache_invalidate_check_ddl ON ddl_command_end
  WHEN TAG IN ('ALTER TABLE', 'ALTER FOREIGN TABLE', 'ALTER TYPE', 'CREATE TABLE', 'CREATE FOREIGN TABLE')
  EXECUTE FUNCTION @extschema@.cache_invalidate_check_ddl();
COMMENT ON EVENT TRIGGER cache_invalidate_check_ddl IS
  'cache_invalidate: invalidates when a partition with rows is attached or detached, refuses to rename a column that a trigger names, warns of inheritance children without triggers.';

CREATE FUNCTION @extschema@.cache_invalidate_note_rewrite() RETURNS event_trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'cache_invalidate_note_rewrite';
REVOKE ALL ON FUNCTION @extschema@.cache_invalidate_note_rewrite() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.cache_invalidate_note_rewrite() IS
  'Notes tables whose values ALTER TABLE computes anew.';
CREATE EVENT TRIGGER cache_invalidate_note_rewrite ON table_rewrite
  EXECUTE FUNCTION @extschema@.cache_invalidate_note_rewrite();
COMMENT ON EVENT TRIGGER cache_invalidate_note_rewrite IS
  'cache_invalidate: invalidates all rows of a table that has triggers when ALTER TABLE computes values anew.';

CREATE FUNCTION @extschema@.cache_invalidate_watch_drop() RETURNS event_trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'cache_invalidate_watch_drop';
REVOKE ALL ON FUNCTION @extschema@.cache_invalidate_watch_drop() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.cache_invalidate_watch_drop() IS
  'Loads the library into the session before tables are dropped, so that it sees which.';
CREATE EVENT TRIGGER cache_invalidate_watch_drop ON ddl_command_start
  WHEN TAG IN ('DROP TABLE', 'DROP FOREIGN TABLE', 'DROP SCHEMA', 'DROP OWNED', 'DROP TYPE', 'DROP EXTENSION', 'DROP SERVER', 'DROP FOREIGN DATA WRAPPER')
  EXECUTE FUNCTION @extschema@.cache_invalidate_watch_drop();
COMMENT ON EVENT TRIGGER cache_invalidate_watch_drop IS
  'cache_invalidate: sees to it that dropped tables are noticed also where the library is not preloaded.';

-- Targets.
CREATE FUNCTION @extschema@.cache_invalidate_fdw_validator(options text[], catalog oid) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'cache_invalidate_fdw_validator';
COMMENT ON FUNCTION @extschema@.cache_invalidate_fdw_validator(text[], oid) IS
  'Checks the options of servers and user mappings of the foreign-data wrapper cache_invalidate.';
CREATE FOREIGN DATA WRAPPER cache_invalidate VALIDATOR @extschema@.cache_invalidate_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER cache_invalidate IS
  'Caches (Redis or Valkey) whose keys are deleted. Server options: url, key_prefix, lease_prefix, second_delete_after, publish_channel, connect_timeout, command_timeout, enabled. User mapping options: username, password.';

-- Health and statistics.
CREATE FUNCTION @extschema@.cache_invalidate_rules(
    OUT trigger oid, OUT resource text, OUT keys text[], OUT patterns text[], OUT id text, OUT columns text[], OUT ignored text[],
    OUT fields text[], OUT format text, OUT payload text, OUT channel text, OUT servers text[], OUT problem text, OUT cure text,
    OUT changes bigint, OUT items bigint, OUT widened bigint, OUT last_fired timestamptz)
  RETURNS SETOF record LANGUAGE c VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'cache_invalidate_rules';
REVOKE ALL ON FUNCTION @extschema@.cache_invalidate_rules() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.cache_invalidate_rules() TO pg_monitor;
COMMENT ON FUNCTION @extschema@.cache_invalidate_rules() IS 'Source of the view cache_invalidation_triggers.';

CREATE VIEW @extschema@.cache_invalidation_triggers AS
  SELECT n.nspname::text AS schema_name, c.relname::text AS table_name, t.tgname::text AS trigger_name,
         CASE WHEN t.tgenabled = 'D' THEN 'disabled' WHEN t.tgenabled = 'A' THEN 'always'
              WHEN t.tgenabled = 'R' THEN 'replica' ELSE 'origin' END AS firing,
         t.tgenabled = 'O' OR t.tgenabled = 'A' AS is_enabled,
         r.resource, r.keys, r.patterns, r.id, r.columns, r.ignored, r.fields, r.format, r.payload, r.channel, r.servers,
         r.problem, r.cure, r.changes, r.items,
         CASE WHEN r.items > 0
              THEN r.changes::float8 / r.items::float8 END AS folding_ratio,
         r.widened, r.last_fired, t.oid AS trigger
    FROM @extschema@.cache_invalidate_rules() r
    JOIN pg_trigger t ON t.oid = r.trigger
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace;
GRANT SELECT ON @extschema@.cache_invalidation_triggers TO pg_monitor;
COMMENT ON VIEW @extschema@.cache_invalidation_triggers IS
  'A row per trigger that calls notify_cache_invalidation(), under whatever name; a partitioned table''s is one. Where it is, how it fires (origin, always, replica, disabled) and whether it does in ordinary sessions; its arguments as they were given (resource, keys, patterns, id, columns, ignored, fields, format, payload, channel, servers; null or empty: not given); what is wrong with it, if anything, and the cure; and of the committed transactions since the statistics began: changes (rows it was fired for, and changes of the whole table), items (keys, patterns and messages that were left of them after folding within the transaction), changes for each item, transactions in which something was widened, and the end of the last one. The counts are null while there is no ring, and for what is beyond 1024 triggers. Asks for no lock that it would wait for: what a locked table hides is not checked.';

CREATE FUNCTION @extschema@.cache_invalidate_trigger_definition(trigger oid) RETURNS text
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'cache_invalidate_trigger_definition';
REVOKE ALL ON FUNCTION @extschema@.cache_invalidate_trigger_definition(oid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.cache_invalidate_trigger_definition(oid) TO pg_monitor;
COMMENT ON FUNCTION @extschema@.cache_invalidate_trigger_definition(oid) IS
  'The definition of a trigger that calls notify_cache_invalidation(), for get_cache_trigger_health(); null if its table is locked, since it waits for nobody.';

CREATE FUNCTION @extschema@.get_cache_trigger_health(
    OUT table_name text, OUT trigger_name text, OUT is_enabled boolean, OUT recent_errors bigint,
    OUT schema_name text, OUT resource text, OUT keys text[], OUT firing text, OUT last_fired timestamptz,
    OUT changes bigint, OUT items bigint, OUT widened bigint, OUT last_error text, OUT problem text, OUT cure text, OUT definition text)
  RETURNS SETOF record LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT t.table_name, t.trigger_name, t.is_enabled, coalesce(e.recent, 0), t.schema_name, t.resource, t.keys, t.firing, t.last_fired,
         t.changes, t.items, t.widened, e.newest, t.problem, t.cure, @extschema@.cache_invalidate_trigger_definition(t.trigger)
    FROM @extschema@.cache_invalidation_triggers t
    LEFT JOIN (SELECT l.error_context,
                      (sum(l.occurrences) FILTER (WHERE l.last_occurred_at > now() - interval '24 hours'))::bigint AS recent,
                      (array_agg(l.error_message ORDER BY l.last_occurred_at DESC, l.id DESC))[1] AS newest
                 FROM @extschema@.trigger_error_log l
                GROUP BY l.error_context) e
      ON e.error_context = format('trigger "%s" of table %s.%s', t.trigger_name, t.schema_name, t.table_name)
   ORDER BY t.schema_name, t.table_name, t.trigger_name;
END;
REVOKE ALL ON FUNCTION @extschema@.get_cache_trigger_health() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.get_cache_trigger_health() TO pg_monitor;
GRANT SELECT ON @extschema@.trigger_error_log TO pg_monitor;
COMMENT ON FUNCTION @extschema@.get_cache_trigger_health() IS
  'A row per trigger that calls notify_cache_invalidation(): table, trigger, whether it fires in ordinary sessions, errors of this trigger logged in the last 24 hours, schema, resource, keys, firing mode (origin, always, replica, disabled), and from cache_invalidation_triggers when it last fired, changes, items, widened; its newest error in the log; what is wrong with the rule, and the cure; its definition, null while its table is locked. pg_monitor may call it; others also need SELECT on cache_invalidation_triggers and trigger_error_log, and EXECUTE on cache_invalidate_rules() and cache_invalidate_trigger_definition(oid).';

CREATE FUNCTION @extschema@.cache_invalidate_stats(
    OUT worker_pid integer, OUT worker_started timestamptz, OUT worker_starts integer,
    OUT since timestamptz, OUT last_delivery timestamptz,
    OUT batches bigint, OUT keys bigint, OUT patterns bigint, OUT messages bigint, OUT notifications bigint, OUT errors bigint,
    OUT journal_scans bigint, OUT journal_truncations bigint, OUT journal_bytes bigint,
    OUT ring_used_bytes bigint, OUT ring_bytes bigint, OUT journal_compactions bigint, OUT notify_held boolean,
    OUT delete_p50_ms double precision, OUT delete_p95_ms double precision, OUT delete_p99_ms double precision,
    OUT delete_max_ms double precision, OUT notify_p50_ms double precision, OUT notify_p95_ms double precision,
    OUT notify_p99_ms double precision, OUT notify_max_ms double precision,
    OUT changes bigint, OUT items bigint, OUT folding_ratio double precision,
    OUT commands bigint, OUT bytes_sent bigint, OUT retries bigint, OUT widened bigint, OUT resets bigint)
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_stats';
REVOKE ALL ON FUNCTION @extschema@.cache_invalidate_stats() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.cache_invalidate_stats() TO pg_monitor;
COMMENT ON FUNCTION @extschema@.cache_invalidate_stats() IS 'Source of the view cache_invalidation_stats.';

CREATE VIEW @extschema@.cache_invalidation_stats AS SELECT * FROM @extschema@.cache_invalidate_stats();
GRANT SELECT ON @extschema@.cache_invalidation_stats TO pg_monitor;
COMMENT ON VIEW @extschema@.cache_invalidation_stats IS
  'One row: the worker of this database (pid, start, number of starts), counters since the ring was made or the statistics were reset (batches = transactions taken; keys, patterns and messages they named; notifications sent; errors logged; scans and truncations of the journal), sizes in bytes, how often the journal was compacted, whether NOTIFY is held back because the server''s queue is too full, and latencies in milliseconds from the commit to the acknowledged delete (of all servers) and to the NOTIFY: median, 95th and 99th percentile (right within a fifth), maximum; what a start repeats is not counted. changes = what triggers saw in committed transactions, items = what was left of that after folding, folding_ratio = changes for each item; of all servers that are there: commands answered, bytes sent, retries (commands sent again because a connection was lost before the answer), widened (how often keys beyond max_backlog_keys became patterns); resets = of all caches or all listeners. All but the worker''s columns are null while there is no ring.';

CREATE FUNCTION @extschema@.cache_invalidate_targets(
    OUT server oid, OUT state text, OUT state_since timestamptz, OUT problem text, OUT cure text,
    OUT keys_pending bigint, OUT reads_journal boolean,
    OUT patterns_pending bigint, OUT sweep_scanned bigint, OUT sweep_total bigint, OUT widened bigint,
    OUT keys_deleted bigint, OUT commands bigint, OUT bytes_sent bigint,
    OUT connections bigint, OUT failures bigint, OUT published bigint, OUT last_acknowledged timestamptz,
    OUT latency_p50_ms double precision, OUT latency_p95_ms double precision, OUT latency_p99_ms double precision,
    OUT latency_max_ms double precision, OUT oldest_owed timestamptz, OUT batches_owed bigint, OUT retried bigint)
  RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_targets';
REVOKE ALL ON FUNCTION @extschema@.cache_invalidate_targets() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.cache_invalidate_targets() TO pg_monitor;
COMMENT ON FUNCTION @extschema@.cache_invalidate_targets() IS 'Source of the view cache_invalidation_targets.';

CREATE VIEW @extschema@.cache_invalidation_targets AS
  SELECT s.srvname::text AS server, t.state, t.state_since, t.problem, t.cure, t.keys_pending, t.reads_journal,
         t.patterns_pending, t.sweep_scanned, t.sweep_total, t.widened,
         t.keys_deleted, t.commands, t.bytes_sent, t.connections, t.failures, t.published, t.last_acknowledged,
         t.latency_p50_ms, t.latency_p95_ms, t.latency_p99_ms, t.latency_max_ms, t.retried, t.batches_owed, t.oldest_owed,
         coalesce(extract(epoch FROM clock_timestamp() - t.oldest_owed)::double precision, 0) AS lag_seconds
    FROM @extschema@.cache_invalidate_targets() t
    JOIN pg_foreign_server s ON s.oid = t.server;
GRANT SELECT ON @extschema@.cache_invalidation_targets TO pg_monitor;
COMMENT ON VIEW @extschema@.cache_invalidation_targets IS
  'A row per server that the worker of this database delivers to: state (up, connecting, down, paused, disabled) and since when, the problem if any and what can be done about it, keys owed in memory, whether what is owed is being read from the journal, patterns owed, about how many keys the sweep that runs for them has looked at and of how many (null: none runs, or the user may not ask), how often keys beyond max_backlog_keys were widened to patterns, counters since the ring was made or the statistics were reset (published = messages sent by PUBLISH; retried = commands that were sent again, since their connection was lost or given up before the answer), the time of the last acknowledgement, and the latencies in milliseconds from the commit to the acknowledgement (median, 95th and 99th percentile, maximum), the transactions that it has not acknowledged, when the oldest of those was committed, and how many seconds ago that is (0: it has all).';

CREATE FUNCTION @extschema@.cache_invalidate_condition(
    OUT is_preloaded boolean, OUT has_launcher boolean, OUT worker_state text, OUT obstacle text, OUT worker_pid integer, OUT worker_started timestamptz,
    OUT worker_starts integer, OUT journal_limit bigint,
    OUT last_cycle timestamptz, OUT last_delivery timestamptz, OUT has_work boolean,
    OUT ring_overflows bigint, OUT ring_overflowed timestamptz,
    OUT oldest_message timestamptz, OUT batches_unsaid bigint,
    OUT journal_bytes bigint, OUT journal_hold text, OUT journal_hold_server oid, OUT is_journal_full boolean, OUT notify_held boolean)
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_condition';
REVOKE ALL ON FUNCTION @extschema@.cache_invalidate_condition() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.cache_invalidate_condition() TO pg_monitor;
COMMENT ON FUNCTION @extschema@.cache_invalidate_condition() IS
  'Source of cache_invalidation_problems and get_cache_invalidation_health(): what shared memory tells of worker and journal.';

CREATE FUNCTION @extschema@.cache_invalidate_library_version() RETURNS text
  LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cache_invalidate_library_version';
REVOKE ALL ON FUNCTION @extschema@.cache_invalidate_library_version() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.cache_invalidate_library_version() TO pg_monitor;
COMMENT ON FUNCTION @extschema@.cache_invalidate_library_version() IS
  'The version of the library that this session runs. If it is not the extension''s (pg_extension.extversion), an upgrade is not finished: ALTER EXTENSION cache_invalidate UPDATE, or a restart of the server, is due.';

-- Who has the journal locked against truncation, but for the worker.
CREATE VIEW @extschema@.cache_invalidation_journal_locks AS
  SELECT CASE WHEN l.pid IS NULL THEN format('prepared transaction "%s"', p.gid) ELSE format('the transaction of process %s', l.pid) END AS holder,
         l.pid, p.gid, coalesce(p.prepared, a.xact_start) AS since
    FROM pg_locks l
    LEFT JOIN pg_locks own ON l.pid IS NULL AND own.pid IS NULL AND own.locktype = 'transactionid' AND own.granted
                          AND own.virtualtransaction = l.virtualtransaction
    LEFT JOIN pg_prepared_xacts p ON p.transaction = own.transactionid
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid
   WHERE l.locktype = 'relation' AND l.granted
     AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
     AND l.relation IN (SELECT c.oid FROM pg_class c JOIN pg_extension x ON x.extnamespace = c.relnamespace AND x.extname = 'cache_invalidate'
                         WHERE c.relname IN ('cache_invalidation_journal_0', 'cache_invalidation_journal_1'))
     AND l.mode <> 'AccessShareLock'
     AND (l.pid IS NULL OR l.pid IS DISTINCT FROM (SELECT c.worker_pid FROM @extschema@.cache_invalidate_condition() c));
GRANT SELECT ON @extschema@.cache_invalidation_journal_locks TO pg_monitor;
COMMENT ON VIEW @extschema@.cache_invalidation_journal_locks IS
  'Transactions that have changed covered tables and not ended, which keep a segment of the journal: holder in words, pid of the process or gid of the prepared transaction, since when. Empty columns: the user may not know.';

CREATE VIEW @extschema@.cache_invalidation_problems AS
  WITH condition AS MATERIALIZED (
    SELECT c.*, pg_is_in_recovery() AS is_standby, c.is_preloaded AND c.worker_pid IS NOT NULL AS is_running, clock_timestamp() AS now,
           (SELECT x.extnamespace::regnamespace::text FROM pg_extension x WHERE x.extname = 'cache_invalidate') AS schema
      FROM @extschema@.cache_invalidate_condition() c
  ), target AS MATERIALIZED (
    SELECT t.*, bool_or(t.state = 'up') OVER () AS any_is_up
      FROM @extschema@.cache_invalidation_targets t
  ), trigger AS MATERIALIZED (
    SELECT t.schema_name, t.table_name, t.trigger_name, cardinality(t.keys) > 0 OR cardinality(t.patterns) > 0 AS names_keys, t.problem, t.cure
      FROM @extschema@.cache_invalidation_triggers t
  )
  SELECT CASE WHEN c.is_standby THEN 'degraded' ELSE 'down' END AS severity, 'worker' AS component, NULL::text AS name,
         'the library is not preloaded: changes are kept in the journal and not delivered' AS problem,
         'Add cache_invalidate to shared_preload_libraries and restart the server.' AS cure
    FROM condition c WHERE NOT c.is_preloaded
  UNION ALL
  SELECT 'down', 'worker', NULL,
         CASE WHEN d.datistemplate THEN 'the database is a template, which gets no worker'
              WHEN NOT c.has_launcher THEN 'the launcher, which starts the workers, is not running'
              WHEN c.worker_state = 'held' THEN 'a DROP, RENAME or copy of the database holds the worker off'
              ELSE concat('no worker runs in this database', ': ' || c.obstacle) END,
         CASE WHEN d.datistemplate THEN format('ALTER DATABASE %I IS_TEMPLATE false', d.datname)
              WHEN c.worker_state = 'held' THEN 'It starts again when that statement has ended.'
              WHEN NOT c.has_launcher OR c.obstacle LIKE '%max_worker_processes%' THEN 'Raise max_worker_processes and restart the server.'
              WHEN c.obstacle IS NOT NULL THEN format('Give the role LOGIN, and CONNECT on database "%s", or correct cache_invalidate.worker_role.', d.datname)
              ELSE 'It is started within seconds. If not, the server''s log says why.' END
    FROM condition c, pg_database d
   WHERE d.datname = current_database() AND c.is_preloaded AND NOT c.is_standby AND c.worker_pid IS NULL
  UNION ALL
  SELECT 'down', 'worker', NULL,
         format('the worker has not looked at what waits for it for %s s', extract(epoch FROM c.now - c.last_cycle)::bigint),
         format('See what process %1$s waits for in pg_stat_activity; SELECT pg_terminate_backend(%1$s) restarts it, and nothing is lost.', c.worker_pid)
    FROM condition c
   -- One that has nothing to do looks every 30 s.
   WHERE c.is_running AND c.last_cycle < c.now - CASE WHEN c.has_work THEN interval '15 seconds' ELSE interval '60 seconds' END
  UNION ALL
  SELECT 'degraded', 'worker', NULL,
         format('the worker was started %s times, last %s s ago', c.worker_starts, extract(epoch FROM c.now - c.worker_started)::bigint),
         'If nobody restarts it on purpose, the server''s log says why it ends.'
    FROM condition c WHERE c.is_running AND c.worker_starts >= 5 AND c.worker_started > c.now - interval '1 minute'
  UNION ALL
  SELECT CASE WHEN t.any_is_up THEN 'degraded' ELSE 'down' END, 'target', t.server,
         format('server "%s" is down: %s', t.server, t.problem),
         coalesce(t.cure, 'It is tried again, at least every 30 s; what it is owed is kept.')
    FROM condition c, target t WHERE c.is_running AND t.state = 'down'
  UNION ALL
  SELECT 'degraded', 'target', t.server, format('server "%s": %s', t.server, t.problem), coalesce(t.cure, 'See the server''s log.')
    FROM condition c, target t
   WHERE c.is_running AND (t.state = 'up' AND t.problem IS NOT NULL OR t.state = 'disabled' AND t.problem <> 'option "enabled" is false')
  UNION ALL
  SELECT 'degraded', 'target', t.server,
         format('server "%s" is paused by hand since %s; what it is owed is kept', t.server, date_trunc('second', coalesce(p.paused_at, t.state_since))),
         format('SELECT %s.resume_cache_invalidation(%L)', c.schema, t.server)
    FROM condition c, target t
    LEFT JOIN @extschema@.cache_invalidation_pauses p ON p.server = (SELECT s.oid FROM pg_foreign_server s WHERE s.srvname = t.server)
   WHERE c.is_running AND t.state = 'paused' AND NOT EXISTS (SELECT FROM @extschema@.cache_invalidation_pauses a WHERE a.server = 0)
  UNION ALL
  SELECT 'degraded', 'target', NULL,
         format('everything is paused by hand since %s: no server is sent anything, and no listener', date_trunc('second', p.paused_at)),
         format('SELECT %s.resume_cache_invalidation()', c.schema)
    FROM condition c, @extschema@.cache_invalidation_pauses p WHERE c.is_running AND p.server = 0
  UNION ALL
  SELECT 'degraded', 'target', t.server,
         format('server "%s" is %s s behind', t.server, t.lag_seconds::bigint),
         'It answers slowly, or is owed very much: keys_pending, patterns_pending and reads_journal of cache_invalidation_targets tell.'
    FROM condition c, target t WHERE c.is_running AND t.state IN ('up', 'connecting') AND t.lag_seconds > 60
  UNION ALL
  SELECT 'degraded', 'target', s.srvname::text,
         format('server "%s" is one of more than 64: it is delivered to, but how it is cannot be shown', s.srvname),
         'Drop servers that are not needed: disabled ones count.'
    FROM condition c, pg_foreign_server s
    JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw AND w.fdwname = 'cache_invalidate'
   WHERE c.is_running AND (SELECT count(*) FROM target) >= 64 AND NOT EXISTS (SELECT FROM target t WHERE t.server = s.srvname)
  UNION ALL
  SELECT 'degraded', 'messages', NULL,
         format('NOTIFY is held back: its queue is %s per cent full', round((100 * pg_notification_queue_usage())::numeric, 2)),
         'A session that listens sits in a transaction: the server''s log, or pg_stat_activity by xact_start, tells which. Deletes go on, a reset message follows.'
    FROM condition c WHERE c.is_running AND c.notify_held
  UNION ALL
  SELECT 'degraded', 'messages', NULL,
         format('messages wait for %s s', extract(epoch FROM c.now - c.oldest_message)::bigint),
         'A pause, a lock on NOTIFY, or a server that answers nothing holds them: the server''s log says more.'
    FROM condition c WHERE c.is_running AND NOT c.notify_held AND c.oldest_message < c.now - interval '60 seconds'
  UNION ALL
  SELECT 'degraded', 'journal', NULL,
         format('the journal has %s of max_journal_size, %s%s', pg_size_pretty(c.journal_bytes), pg_size_pretty(c.journal_limit),
                CASE WHEN c.is_journal_full THEN ', and changes go by memory only' END),
         coalesce(
           (SELECT format('%s keeps it: %s.', l.holder,
                          CASE WHEN l.gid IS NULL THEN format('end it, or SELECT pg_terminate_backend(%s)', l.pid)
                               ELSE format('COMMIT PREPARED %1$L or ROLLBACK PREPARED %1$L', l.gid) END)
              FROM @extschema@.cache_invalidation_journal_locks l
             WHERE c.journal_hold = 'transaction' OR c.is_journal_full ORDER BY l.since LIMIT 1),
           (SELECT format('Server "%s" keeps it: see why it is behind, disable it, or raise max_journal_size.', s.srvname)
              FROM pg_foreign_server s WHERE s.oid = c.journal_hold_server),
           'Raise max_journal_size, or lower replay_window.')
    FROM condition c WHERE c.is_running AND (c.is_journal_full OR c.journal_bytes > c.journal_limit / 2)
  UNION ALL
  SELECT 'degraded', 'journal', NULL,
         format('prepared transaction "%s" keeps the journal since %s', l.gid, date_trunc('second', l.since)),
         format('COMMIT PREPARED %1$L or ROLLBACK PREPARED %1$L', l.gid)
    FROM condition c, LATERAL (SELECT k.gid, k.since FROM @extschema@.cache_invalidation_journal_locks k WHERE c.journal_hold = 'transaction' OFFSET 0) l
   WHERE l.gid IS NOT NULL AND l.since < c.now - interval '10 minutes'
  UNION ALL
  SELECT 'degraded', 'ring', NULL,
         format('the ring was full, last %s s ago: what did not fit was read from the journal', extract(epoch FROM c.now - c.ring_overflowed)::bigint),
         'If that goes on, raise cache_invalidate.ring_size and restart the server.'
    FROM condition c WHERE c.is_running AND c.ring_overflowed > c.now - interval '5 minutes'
  UNION ALL
  SELECT 'degraded', 'capture', e.evtname::text,
         format('event trigger "%s" is disabled: changes that fire no row trigger may be missed', e.evtname),
         format('ALTER EVENT TRIGGER %I ENABLE', e.evtname)
    FROM pg_event_trigger e WHERE e.evtenabled = 'D' AND e.evtname IN
         ('cache_invalidate_check_trigger', 'cache_invalidate_check_ddl', 'cache_invalidate_note_rewrite', 'cache_invalidate_watch_drop')
  UNION ALL
  SELECT 'degraded', 'capture', r.rolname::text,
         format('setting cache_invalidate.enabled is off for %s: such sessions invalidate nothing',
                concat_ws(' in ', CASE WHEN s.setrole = 0 THEN 'everybody' ELSE format('role "%s"', r.rolname) END,
                          CASE WHEN s.setdatabase <> 0 THEN 'this database' END)),
         'ALTER DATABASE or ALTER ROLE ... RESET cache_invalidate.enabled.'
    FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS line
   WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
     AND line ~* '^cache_invalidate[.]enabled=(of|off|f|fa|fal|fals|false|n|no|0)$'
  UNION ALL
  SELECT 'degraded', 'capture', NULL, 'setting cache_invalidate.enabled is off: changes invalidate nothing',
         'Remove it from postgresql.conf, or ALTER SYSTEM RESET cache_invalidate.enabled, and SELECT pg_reload_conf().'
   WHERE current_setting('cache_invalidate.enabled', true) = 'off'
  UNION ALL
  SELECT 'degraded', 'errors', e.table_name,
         format('%s errors of table %s in the last hour, such as: %s', sum(e.occurrences), e.table_name,
                (array_agg(e.error_message ORDER BY e.last_occurred_at DESC, e.id DESC))[1]),
         'Read trigger_error_log; what could not be computed was widened.'
    FROM @extschema@.trigger_error_log e
   -- The first condition is for the index: a row is added to for an hour.
   WHERE e.occurred_at > clock_timestamp() - interval '3 hours' AND e.last_occurred_at > clock_timestamp() - interval '1 hour'
   GROUP BY e.table_name
  UNION ALL
  SELECT 'degraded', 'trigger', t.schema_name || '.' || t.table_name,
         format('trigger "%s" of table %s.%s: %s', t.trigger_name, t.schema_name, t.table_name, t.problem), coalesce(t.cure, 'Read the README on triggers.')
    FROM trigger t WHERE t.problem IS NOT NULL
  UNION ALL
  SELECT 'hint', 'capture', NULL, 'no table has a trigger that calls notify_cache_invalidation(): nothing is captured',
         format('CREATE TRIGGER, or SELECT %s.enable_cache_invalidation(''tasks'', keys => ''task:{id}'')', c.schema)
    FROM condition c WHERE NOT EXISTS (SELECT FROM trigger)
  UNION ALL
  SELECT 'hint', 'target', NULL, 'triggers name keys, but there is no server to delete them in',
         'CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url ''redis://127.0.0.1:6379/0'')'
   WHERE NOT EXISTS (SELECT FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE w.fdwname = 'cache_invalidate')
     AND EXISTS (SELECT FROM trigger t WHERE t.names_keys)
  UNION ALL
  SELECT 'hint', 'target', t.server, format('server "%s" is disabled: nothing is deleted there, and nothing kept for it', t.server),
         format('When it is empty, or SELECT %s.reset_cache() follows: ALTER SERVER %I OPTIONS (SET enabled ''true'')', c.schema, t.server)
    FROM condition c, target t WHERE t.state = 'disabled' AND t.problem = 'option "enabled" is false'
  UNION ALL
  SELECT 'degraded', 'worker', NULL,
         format('the library is of version %s, the extension of version %s: an upgrade is not finished', v.library, x.extversion),
         CASE WHEN NOT EXISTS (SELECT FROM pg_available_extensions a WHERE a.name = 'cache_invalidate' AND a.default_version = x.extversion)
              THEN 'ALTER EXTENSION cache_invalidate UPDATE' ELSE 'Restart the server, so that it loads the new library.' END
    FROM pg_extension x, (SELECT @extschema@.cache_invalidate_library_version() AS library) v
   WHERE x.extname = 'cache_invalidate' AND v.library <> x.extversion;
GRANT SELECT ON @extschema@.cache_invalidation_problems TO pg_monitor;
COMMENT ON VIEW @extschema@.cache_invalidation_problems IS
  'A row per problem of cache invalidation in this database: severity (down: nothing is delivered, and nobody paused it; degraded: something is late, wider than need be, or at risk; hint), component (worker, target, messages, journal, ring, capture, trigger, errors), name of the server, table or other object, what is wrong, and what to do about it.';

CREATE FUNCTION @extschema@.get_cache_invalidation_health(
    OUT status text, OUT worker_pid integer, OUT worker_started timestamptz, OUT worker_starts integer, OUT last_delivery timestamptz,
    OUT lag_seconds double precision, OUT lag_batches bigint,
    OUT journal_bytes bigint, OUT journal_held_by text,
    OUT targets_up integer, OUT targets_total integer, OUT targets jsonb,
    OUT triggers_total integer, OUT triggers_with_problems integer, OUT problems text[])
  LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH target AS MATERIALIZED (SELECT * FROM @extschema@.cache_invalidation_targets),
       problem AS MATERIALIZED (SELECT * FROM @extschema@.cache_invalidation_problems)
  SELECT CASE WHEN p.is_down THEN 'down' WHEN p.is_degraded THEN 'degraded' ELSE 'ok' END,
         c.worker_pid, c.worker_started, c.worker_starts, greatest(c.last_delivery, t.last_acknowledged),
         CASE WHEN c.worker_pid IS NULL THEN NULL
              ELSE coalesce(extract(epoch FROM clock_timestamp() - least(t.oldest_owed, c.oldest_message))::double precision, 0) END,
         greatest(t.batches_owed, c.batches_unsaid),
         c.journal_bytes,
         CASE c.journal_hold
           WHEN 'target' THEN (SELECT format('server "%s"', s.srvname) FROM pg_foreign_server s WHERE s.oid = c.journal_hold_server)
           WHEN 'transaction' THEN coalesce((SELECT l.holder FROM @extschema@.cache_invalidation_journal_locks l ORDER BY l.since LIMIT 1), 'a transaction')
           ELSE c.journal_hold END,
         t.up::integer, t.total::integer, t.states,
         r.total::integer, p.bad_triggers::integer,
         p.texts
    FROM @extschema@.cache_invalidate_condition() c,
         (SELECT count(*) FILTER (WHERE g.state = 'up') AS up, count(*) FILTER (WHERE g.state <> 'disabled') AS total,
                 max(g.last_acknowledged) AS last_acknowledged, max(g.batches_owed) AS batches_owed, min(g.oldest_owed) AS oldest_owed,
                 coalesce(jsonb_object_agg(g.server, g.state), '{}') AS states
            FROM target g) t,
         (SELECT coalesce(bool_or(q.severity = 'down'), false) AS is_down, coalesce(bool_or(q.severity = 'degraded'), false) AS is_degraded,
                 count(*) FILTER (WHERE q.component = 'trigger') AS bad_triggers,
                 coalesce(array_agg(q.problem || '. ' || q.cure ORDER BY q.severity = 'hint', q.severity DESC, q.component, q.name), '{}') AS texts
            FROM problem q) p,
         (SELECT count(*) AS total FROM pg_trigger g
           WHERE NOT g.tgisinternal AND g.tgparentid = 0 AND g.tgfoid =
                 (SELECT f.oid FROM pg_proc f JOIN pg_extension x ON x.extnamespace = f.pronamespace
                   WHERE x.extname = 'cache_invalidate' AND f.proname = 'notify_cache_invalidation')) r;
END;
REVOKE ALL ON FUNCTION @extschema@.get_cache_invalidation_health() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.get_cache_invalidation_health() TO pg_monitor;
COMMENT ON FUNCTION @extschema@.get_cache_invalidation_health() IS
  'One row: status (ok; degraded: something is late, wider than need be, or at risk; down: nothing is delivered, and nobody paused it), the worker (pid, since when, how often it was started), the last delivery, lag (seconds since the oldest commit that some server or listener lacks; in transactions; null without a worker), bytes of the journal and what keeps it, servers that are up and that are enabled, the state of each, triggers and those of them with problems, and the problems, each with its cure.';

CREATE FUNCTION @extschema@.check_cache_invalidation(tolerated text DEFAULT 'degraded') RETURNS text
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'cache_invalidate_check';
REVOKE ALL ON FUNCTION @extschema@.check_cache_invalidation(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION @extschema@.check_cache_invalidation(text) TO pg_monitor;
COMMENT ON FUNCTION @extschema@.check_cache_invalidation(text) IS
  'For liveness probes: the status of get_cache_invalidation_health(), or error 55000 with the problems as detail if it is worse than the one tolerated, ok or degraded. Any other word is an error (22023).';


-- The worker adds to its latencies without a lock, so it is asked to clear them itself, and waited for. What transactions
-- add at that moment is counted before or after, or to a place that is just cleared.
CREATE FUNCTION @extschema@.reset_cache_invalidation_stats() RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_reset_stats';
REVOKE ALL ON FUNCTION @extschema@.reset_cache_invalidation_stats() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.reset_cache_invalidation_stats() IS
  'Sets the counters and latencies of this database to zero: those of cache_invalidation_stats, cache_invalidation_targets and cache_invalidation_triggers. At once, whatever becomes of the transaction. What is owed, sizes and states stay. A worker that does not get to it within 10 seconds is an error (55000).';

CREATE VIEW @extschema@.cache_invalidation_coverage AS
  WITH RECURSIVE
  -- The triggers of ours that are no partition's clones, on the tables that they are reported under.
  own AS (
    SELECT t.oid, t.tgname, t.tgenabled, t.tgtype, t.tgrelid AS attached,
           CASE WHEN c.relispartition THEN pg_partition_root(t.tgrelid)::oid ELSE t.tgrelid END AS rel
      FROM pg_trigger t
      JOIN pg_class c ON c.oid = t.tgrelid
     WHERE t.tgfoid = (
             SELECT p.oid FROM pg_proc p JOIN pg_extension x ON x.extnamespace = p.pronamespace
              WHERE x.extname = 'cache_invalidate' AND p.proname = 'notify_cache_invalidation'
                AND p.pronargs = 0)
       AND NOT t.tgisinternal AND t.tgparentid = 0),
  covered AS (
    SELECT DISTINCT o.rel FROM own o WHERE (o.tgtype & 1) <> 0),
  -- They, their partitions and their inheritance children.
  member AS (
    SELECT c.rel AS root, c.rel FROM covered c
    UNION
    SELECT m.root, i.inhrelid FROM member m JOIN pg_inherits i ON i.inhparent = m.rel),
  foreign_key AS (
    SELECT DISTINCT k.conname,
           CASE WHEN f.relispartition THEN pg_partition_root(f.oid)::oid ELSE f.oid END AS referencing,
           CASE WHEN p.relispartition THEN pg_partition_root(p.oid)::oid ELSE p.oid END AS referenced
      FROM pg_constraint k
      JOIN pg_class f ON f.oid = k.conrelid
      JOIN pg_class p ON p.oid = k.confrelid
     WHERE k.contype = 'f' AND k.conparentid = 0),
  -- What is read over a view is read from the tables below it.
  reader AS (
    SELECT m.root, r.ev_class AS rel
      FROM member m
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass
                                 AND d.refobjid = m.rel
                                 AND d.classid = 'pg_rewrite'::regclass
      JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> m.rel
    UNION
    SELECT o.root, r.ev_class
      FROM reader o
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass
                                 AND d.refobjid = o.rel
                                 AND d.classid = 'pg_rewrite'::regclass
      JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> o.rel),
  finding AS (
    SELECT k.referenced AS rel, 'referenced' AS kind,
           format('%s, which is covered, references it by foreign key "%s"', k.referencing::regclass, k.conname) AS finding,
           'If cached values hold columns of it, give it a trigger too.' AS suggestion
      FROM foreign_key k
     WHERE EXISTS (SELECT FROM covered c WHERE c.rel = k.referencing)
       AND NOT EXISTS (SELECT FROM covered c WHERE c.rel = k.referenced)
    UNION ALL
    SELECT k.referencing, 'referencing',
           format('it references %s, which is covered, by foreign key "%s"', k.referenced::regclass, k.conname),
           'If cached values hold rows of it, such as lists, give it a trigger too.'
      FROM foreign_key k
     WHERE EXISTS (SELECT FROM covered c WHERE c.rel = k.referenced)
       AND NOT EXISTS (SELECT FROM covered c WHERE c.rel = k.referencing)
    UNION ALL
    SELECT o.rel, CASE WHEN v.relkind = 'm' THEN 'materialized view' ELSE 'view' END,
           format('it reads %s, which is covered', o.root::regclass),
           CASE WHEN v.relkind = 'm'
                THEN 'If it is cached: REFRESH MATERIALIZED VIEW fires no trigger, so invalidate its keys by hand in the same transaction.'
                ELSE format('If it is cached, let the triggers of %s name its keys as well.', o.root::regclass) END
      FROM reader o
      JOIN pg_class v ON v.oid = o.rel
     WHERE v.relkind = 'm' OR v.relkind = 'v'
    UNION ALL
    SELECT c.rel, 'truncate',
           'it has a trigger for rows and none for TRUNCATE, which is then seen only where the library is preloaded, and not when a subscription applies it',
           format('CREATE TRIGGER ... AFTER TRUNCATE ON %s FOR EACH STATEMENT, with the same arguments', c.rel::regclass)
      FROM covered c
      JOIN pg_class k ON k.oid = c.rel AND k.relkind <> 'f'
     WHERE NOT EXISTS (SELECT FROM own o WHERE o.rel = c.rel AND (o.tgtype & 32) <> 0)
    UNION ALL
    -- In a database that subscribes, and where somebody made other triggers of ours fire there.
    SELECT o.rel, 'replication',
           format('trigger "%s" does not fire for what a subscription applies, %s', o.tgname,
                             CASE WHEN s.subscribes THEN 'and this database has one' ELSE 'as other cache invalidation triggers do' END),
           format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', o.attached::regclass, o.tgname)
      FROM own o
     CROSS JOIN (SELECT EXISTS (SELECT FROM pg_subscription b
                                  JOIN pg_database d ON d.oid = b.subdbid
                                 WHERE d.datname = current_database()) AS subscribes) s
     WHERE o.tgenabled = 'O'
       AND (s.subscribes OR EXISTS (SELECT FROM own a WHERE a.tgenabled = 'A' OR a.tgenabled = 'R'))
    UNION ALL
    SELECT m.rel, 'inheritance',
           format('it inherits from %s, which is covered, but not its triggers: its rows change unseen', m.root::regclass),
           format('Create the triggers of %s on it too.', m.root::regclass)
      FROM member m
      JOIN pg_class c ON c.oid = m.rel
     WHERE m.rel <> m.root AND NOT c.relispartition
       AND NOT EXISTS (SELECT FROM covered v WHERE v.rel = m.rel)
    UNION ALL
    SELECT m.root, 'unlogged',
           format('%s is unlogged: a crash of the server empties it unseen', m.rel::regclass),
           format('ALTER TABLE %s SET LOGGED, or reset the cache after a crash', m.rel::regclass)
      FROM member m
      JOIN pg_class c ON c.oid = m.rel
     WHERE c.relpersistence = 'u' AND c.relkind = 'r'
       AND (c.relispartition OR m.rel = m.root)
    UNION ALL
    SELECT m.root, CASE WHEN c.relispartition THEN 'foreign partition' ELSE 'foreign table' END,
           format('%s is a foreign table: only the changes that are made through it are seen', m.rel::regclass),
           'Invalidate also where the rows are stored, or let the keys expire.'
      FROM member m
      JOIN pg_class c ON c.oid = m.rel
     WHERE c.relkind = 'f' AND (c.relispartition OR m.rel = m.root))
  SELECT DISTINCT n.nspname::text AS schema_name, c.relname::text AS table_name, f.kind, f.finding, f.suggestion
    FROM finding f
    JOIN pg_class c ON c.oid = f.rel
    JOIN pg_namespace n ON n.oid = c.relnamespace;
GRANT SELECT ON @extschema@.cache_invalidation_coverage TO pg_monitor;
COMMENT ON VIEW @extschema@.cache_invalidation_coverage IS
  'What cache invalidation may not see, a row per finding; partitions are told under their root. kind: referenced and referencing (tables without a trigger that foreign keys join to one that has), view and materialized view (over tables with triggers, also through other views), truncate (a table with a row trigger and no TRUNCATE trigger), replication (a trigger that does not fire for what a subscription applies, where the database has a subscription or other triggers do fire), inheritance (children without a trigger), unlogged, foreign partition and foreign table. finding says what, suggestion what can be done. None of it need be wrong.';

CREATE FUNCTION @extschema@.test_cache_invalidation(test_table_name text, test_user_id uuid DEFAULT NULL) RETURNS json
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_test';
REVOKE ALL ON FUNCTION @extschema@.test_cache_invalidation(text, uuid) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.test_cache_invalidation(text, uuid) IS
  'Sends a marked change of the table through the whole path (journal, ring, worker, each server of the table''s owner, NOTIFY with operation TEST) and waits up to 10 s for the acknowledgements. Returns success, message, table, user_id, and targets: for each its name, success, milliseconds from commit to acknowledgement, problem. Needs a free background worker slot.';

CREATE FUNCTION @extschema@.cleanup_trigger_error_log(days_to_keep integer DEFAULT 7) RETURNS integer
  LANGUAGE c VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS 'MODULE_PATHNAME', 'cache_invalidate_cleanup_error_log';
REVOKE ALL ON FUNCTION @extschema@.cleanup_trigger_error_log(integer) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.cleanup_trigger_error_log(integer) IS
  'Deletes rows of trigger_error_log that are older than so many days (0: all) and returns how many. A negative number is an error (22023).';

-- Attaching.
-- keys and patterns are "any", since '{task:{id}}' is no text of an array, and shall be the list of one template.
CREATE FUNCTION @extschema@.enable_cache_invalidation(
    rel regclass, keys "any" DEFAULT NULL::text[], patterns "any" DEFAULT NULL::text[], resource text DEFAULT NULL, id text DEFAULT NULL,
    columns text[] DEFAULT NULL, ignore text[] DEFAULT NULL, fields text[] DEFAULT NULL, payload text DEFAULT NULL, format text DEFAULT NULL,
    channel text DEFAULT NULL, servers text[] DEFAULT NULL, unchanged text DEFAULT NULL, always boolean DEFAULT false)
  RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_enable';
COMMENT ON FUNCTION @extschema@.enable_cache_invalidation(regclass, "any", "any", text, text, text[], text[], text[], text, text, text, text[], text, boolean) IS
  'Makes the triggers that cover a table, as the caller: cache_invalidation_TABLE for its rows, cache_invalidation_TABLE_truncate for TRUNCATE, with partitions and inheritance children. keys and patterns: a template, a list ''{task:{id},...}'', or an array; in them {$table} and {$schema} stand for the table''s names. The other arguments are those of notify_cache_invalidation(); servers is server. always: the triggers fire also for rows that logical replication applies. Returns whether anything changed: nothing if the triggers are there already; others of these names are replaced, with a NOTICE. Errors as of CREATE TRIGGER; 42710 if a trigger of that name calls another function, 42809 if it is no table.';

CREATE FUNCTION @extschema@.enable_cache_invalidation_for_schema(
    schema_name regnamespace, keys "any" DEFAULT NULL::text[], patterns "any" DEFAULT NULL::text[], resource text DEFAULT NULL, id text DEFAULT NULL,
    columns text[] DEFAULT NULL, ignore text[] DEFAULT NULL, fields text[] DEFAULT NULL, payload text DEFAULT NULL, format text DEFAULT NULL,
    channel text DEFAULT NULL, servers text[] DEFAULT NULL, unchanged text DEFAULT NULL, always boolean DEFAULT false)
  RETURNS integer LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_enable_schema';
COMMENT ON FUNCTION @extschema@.enable_cache_invalidation_for_schema(regnamespace, "any", "any", text, text, text[], text[], text[], text, text, text, text[], text, boolean) IS
  'enable_cache_invalidation() for each table of the schema, but for partitions and children of such (which come with them), temporary tables and those of extensions. A table for which the arguments are no good, or that the caller may not change, is skipped with a NOTICE. Returns how many tables were changed.';

CREATE FUNCTION @extschema@.disable_cache_invalidation(rel regclass) RETURNS boolean
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_disable';
COMMENT ON FUNCTION @extschema@.disable_cache_invalidation(regclass) IS
  'Drops the triggers of the table, its partitions and inheritance children that are named cache_invalidation_... and call notify_cache_invalidation(), as the caller. Others that call it stay, with a NOTICE. Returns whether there were any.';

CREATE FUNCTION @extschema@.disable_cache_invalidation_for_schema(schema_name regnamespace) RETURNS integer
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_disable_schema';
COMMENT ON FUNCTION @extschema@.disable_cache_invalidation_for_schema(regnamespace) IS
  'disable_cache_invalidation() for each table of the schema. Returns of how many tables triggers were dropped.';

-- By hand.
CREATE FUNCTION @extschema@.reset_cache(reason text DEFAULT 'requested by hand') RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_reset_cache';
REVOKE ALL ON FUNCTION @extschema@.reset_cache(text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.reset_cache(text) IS
  'Deletes, when the transaction commits, all that the triggers of this database could ever name, and sends a message with operation RESET and the reason (cut to 1000 bytes) on each channel that they send messages on; without any trigger, on the default channel. For when caches may be newer than the database, or anybody cannot tell what is stale.';

CREATE FUNCTION @extschema@.pause_cache_invalidation(server_name name DEFAULT NULL) RETURNS boolean
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_pause';
REVOKE ALL ON FUNCTION @extschema@.pause_cache_invalidation(name) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.pause_cache_invalidation(name) IS
  'From the commit on nothing is sent to the server, or without an argument to anybody, until resume_cache_invalidation(). What is owed is kept. Returns whether that is new. An unknown server is an error (42704).';

CREATE FUNCTION @extschema@.resume_cache_invalidation(server_name name DEFAULT NULL) RETURNS boolean
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_resume';
REVOKE ALL ON FUNCTION @extschema@.resume_cache_invalidation(name) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.resume_cache_invalidation(name) IS
  'Ends the pause of the server, or without an argument all pauses, each by itself or of all. Returns whether there was one. An unknown server is an error (42704).';

CREATE FUNCTION @extschema@.invalidate_cache_key(VARIADIC keys text[]) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_invalidate_key';
REVOKE ALL ON FUNCTION @extschema@.invalidate_cache_key(text[]) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.invalidate_cache_key(text[]) IS
  'Deletes these keys when the transaction commits, in all servers on which the calling role has USAGE: as they are, after the server''s key_prefix. A NULL is an error (22004), and so is a key that is empty or longer than 1 MB (22023), and that there are servers and the role may use none (42501). Without any server a WARNING says that nothing is deleted. Does nothing while cache_invalidate.enabled is off.';

CREATE FUNCTION @extschema@.invalidate_cache_pattern(pattern text) RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_invalidate_pattern';
REVOKE ALL ON FUNCTION @extschema@.invalidate_cache_pattern(text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.invalidate_cache_pattern(text) IS
  'Deletes all keys that match the glob, as Redis understands it, when the transaction commits. Servers and errors as of invalidate_cache_key().';

CREATE FUNCTION @extschema@.invalidate_cache_resource(resource text, scope jsonb DEFAULT NULL) RETURNS integer
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_invalidate_resource';
REVOKE ALL ON FUNCTION @extschema@.invalidate_cache_resource(text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.invalidate_cache_resource(text, jsonb) IS
  'Deletes, when the transaction commits, all that the triggers of the resource (their argument resource, else the table''s name) could name, and sends a message of each without an id. scope: a JSON object of columns whose values are known, such as {"project_id": 3}; without it, all rows. In servers that the trigger names and on which the calling role has USAGE. Returns how many triggers that were; none is an error (42704), and so is a scope that is no object (22023), and that there are servers and the role may use none (42501). Does nothing, and returns 0, while cache_invalidate.enabled is off.';

CREATE FUNCTION @extschema@.cache_invalidate_installed() RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'cache_invalidate_installed';
REVOKE ALL ON FUNCTION @extschema@.cache_invalidate_installed() FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.cache_invalidate_installed() IS
  'Last act of CREATE EXTENSION: wakes the launcher, or warns that the library is not preloaded.';
SELECT @extschema@.cache_invalidate_installed();
