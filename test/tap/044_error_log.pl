# trigger_error_log: equal errors are one row with a count, the table stays small by itself, and what somebody has put on it neither
# runs in the worker nor stops deliveries.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node  = new_node('main');
my $redis = CacheInvalidate::Redis->new('cache');
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE app; CREATE ROLE joe LOGIN');
create_items($node, 'app', $redis, rows => 100);
my $worker = wait_for_worker($node, 'app');
sub sql { return $node->safe_psql('app', @_) }

# Each change of such a table has the same error.
sub break_table {
    my ($name) = @_;
    return "CREATE TABLE $name (id int, a int);
        CREATE TRIGGER broken AFTER INSERT ON $name FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=b:{a}');
        SET session_replication_role = replica; ALTER TABLE $name RENAME COLUMN a TO b; RESET session_replication_role;";
}

sub fail_on { return sql("INSERT INTO $_[0] VALUES (1, 1)") }

sub logged {
    my ($table, $what) = @_;
    return sql("SELECT $what FROM trigger_error_log WHERE table_name = '$table'");
}

my $next = 0;
sub delivers {
    my ($what) = @_;
    my $listener = CacheInvalidate::Listener->new($node, 'app');
    my $id = ++$next;
    sql("UPDATE item SET version = version + 1 WHERE id = $id");
    ok($redis->wait_gone("item:$id", 10), "$what: deletes go on");
    ok(scalar($listener->take_until("of $id", sub { ($_[0]{record_id} // '') eq $id })), "$what: and messages");
    $listener->quit;
    return;
}

# --- A row that is removed while more of its kind come

sql(break_table($_)) for qw(cleaned hostile locked flood);
fail_on('cleaned');
ok(wait_until('logged', sub { logged('cleaned', 'count(*)') == 1 }), 'the first error is a row at once');
is(logged('cleaned', 'occurrences, last_occurred_at = occurred_at'), '1|t', 'which stands for one');
sql('SELECT cleanup_trigger_error_log(0)');

# --- Nobody's code runs in the worker

sql(q(
    CREATE TABLE ran (what text);
    CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ran VALUES ('trigger'); RETURN NULL; END $$;
    CREATE FUNCTION peep(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'user code'; END $$;
    GRANT TRIGGER, SELECT ON trigger_error_log TO joe;
    SET ROLE joe;
    CREATE TRIGGER spy BEFORE INSERT OR UPDATE OR DELETE ON trigger_error_log FOR EACH ROW EXECUTE FUNCTION spy();
    RESET ROLE;
    ALTER TABLE trigger_error_log ENABLE ALWAYS TRIGGER spy;
    CREATE RULE swallow AS ON INSERT TO trigger_error_log DO INSTEAD INSERT INTO ran VALUES ('rule');
    ALTER TABLE trigger_error_log ENABLE ALWAYS RULE swallow;
    ALTER TABLE trigger_error_log ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY none ON trigger_error_log USING (peep(table_name) IS NOT NULL) WITH CHECK (peep(table_name) IS NOT NULL)));
fail_on('hostile');
ok(wait_until('logged', sub { logged('hostile', 'count(*)') == 1 }), 'a trigger, a rule and a policy do not keep the row out');
is(sql('SELECT count(*) FROM ran'), 0, 'and are not run');
delivers('a hostile table');
sql('DROP RULE swallow ON trigger_error_log; DROP TRIGGER spy ON trigger_error_log; DROP POLICY none ON trigger_error_log;
     ALTER TABLE trigger_error_log DISABLE ROW LEVEL SECURITY; CREATE INDEX nosy ON trigger_error_log (table_name)');
my %refused = (
    'an index of expressions'  => [ 'CREATE INDEX own ON trigger_error_log (peep(table_name))', 'DROP INDEX own' ],
    'a partial index'          => [ 'CREATE INDEX own ON trigger_error_log (id) WHERE peep(table_name) IS NULL', 'DROP INDEX own' ],
    'a check'                  => [ 'ALTER TABLE trigger_error_log ADD CONSTRAINT own CHECK (peep(table_name) IS NULL)', 'ALTER TABLE trigger_error_log DROP CONSTRAINT own' ],
    'a column of one\'s own'   => [ 'ALTER TABLE trigger_error_log ADD own text NOT NULL DEFAULT current_user', 'ALTER TABLE trigger_error_log DROP own' ]);
for my $what (sort keys %refused) {
    my $table = 'refused_' . ++$next;
    sql(break_table($table));
    sql("TRUNCATE trigger_error_log; $refused{$what}[0]");
    my $told = -s $node->logfile;
    fail_on($table);
    ok(wait_until('told', sub { slurp_file($node->logfile, $told) =~ /could not write to trigger_error_log, will try again: it has|must not be null/ }),
        "$what: the server log says why nothing is written");
    delivers($what);
    sql($refused{$what}[1]);
    ok(wait_until('logged', sub { logged($table, 'count(*)') == 1 }), "$what: when it is gone the row is written");
}
is(worker_pid($node, 'app'), $worker, 'the worker is the same');
unlike(slurp_file($node->logfile), qr/user code/, 'no function was called');

# --- A lock on it delays nothing

my $holder = $node->background_psql('app');
$holder->set_query_timer_restart;
$holder->query_safe('BEGIN; LOCK TABLE trigger_error_log IN ACCESS EXCLUSIVE MODE');
fail_on('locked');
delivers('a locked table');
ok(wait_until('remembered', sub { is_noted($node, 'app') }), 'a locked table: what was delivered is remembered in time');
$holder->query_safe('COMMIT');
ok(wait_until('logged', sub { logged('locked', 'count(*)') == 1 }), 'then the row is written');

# --- Age and number

sql(q(INSERT INTO trigger_error_log (table_name, operation, error_message, occurred_at)
      SELECT 'old', 'INSERT', n::text, now() - interval '2 hours' FROM generate_series(1, 2500) n));
sql("ALTER SYSTEM SET cache_invalidate.error_log_retention = '1h'");
sql('SELECT pg_reload_conf()');
ok(wait_until('removed', sub { logged('old', 'count(*)') == 0 }), 'what is older than error_log_retention is removed');
is(logged('locked', 'count(*)'), 1, 'and nothing else');
sql(q(INSERT INTO trigger_error_log (table_name, operation, error_message) SELECT 'many', 'INSERT', n::text FROM generate_series(1, 2500) n;
      INSERT INTO trigger_error_log (table_name, operation, error_message, occurred_at) VALUES ('ancient', 'INSERT', '', '2001-01-01')));
$holder->query_safe("BEGIN; SELECT FROM trigger_error_log WHERE table_name = 'many' AND error_message = '7' FOR UPDATE");
sql($_) for 'ALTER SYSTEM SET cache_invalidate.error_log_retention = 0', 'ALTER SYSTEM SET cache_invalidate.error_log_limit = 100';
sql('SELECT pg_reload_conf()');
ok(wait_until('removed', sub { sql('SELECT count(*) FROM trigger_error_log') <= 101 }), 'no more than error_log_limit are kept');
is(logged('many', "count(*), min(error_message::int) FILTER (WHERE error_message <> '7'), count(*) FILTER (WHERE error_message = '7')"), '100|2402|1',
    'the newest, and one that somebody has locked');
is(logged('ancient', 'count(*)'), 1, 'an error_log_retention of 0 keeps rows of any age');
$holder->query_safe('COMMIT');
sql('ALTER SYSTEM RESET ALL');
sql('SELECT pg_reload_conf()');

fail_on('cleaned');
ok(wait_until('logged again', sub { logged('cleaned', 'count(*)') == 1 }, 90), 'what comes after its row was removed is a row again, within a minute');
is(logged('cleaned', 'occurrences'), 1, 'which stands for the new ones only');

# --- A flood

my $flood = 100_000;
my $before = stat_of($node, 'app', 'batches');
sql("SET synchronous_commit = off; DO \$\$ BEGIN FOR i IN 1 .. $flood LOOP INSERT INTO flood VALUES (i, 1); COMMIT; END LOOP; END \$\$");
ok(wait_until('taken', sub { stat_of($node, 'app', 'batches') >= $before + $flood }), "$flood failing rows have been seen");
is(logged('flood', 'count(*)'), 1, 'they are one row');
$holder->query_safe("BEGIN; SELECT FROM trigger_error_log WHERE table_name = 'cleaned' FOR UPDATE");
fail_on('cleaned');
delivers('a locked row');
sql("SELECT pg_terminate_backend($worker)");
ok(wait_until('the worker has left', sub { !is_running($worker) }, 20), 'a locked row does not keep the worker from leaving');
is(logged('flood', 'occurrences, last_occurred_at > occurred_at'), "$flood|t", 'whose count is exact when the worker has ended');
$holder->quit;
$worker = wait_for_worker($node, 'app', $worker);
fail_on('flood');
ok(wait_until('logged', sub { logged('flood', 'count(*)') == 2 }), 'another worker begins another row');
is(logged('flood', 'string_agg(occurrences::text, \',\' ORDER BY id)'), "$flood,1", 'nothing is counted twice');

is(sql("SELECT recent_errors FROM get_cache_trigger_health() WHERE table_name = 'flood'"), $flood + 1, 'get_cache_trigger_health() counts them');

# --- Its numbers begin anew: what is counted goes to no other error's row

sql(break_table($_)) for qw(former latter);
sql('TRUNCATE trigger_error_log RESTART IDENTITY');
fail_on('former');
ok(wait_until('logged', sub { logged('former', 'count(*)') == 1 }), 'an error');
fail_on('former') for 1 .. 3;
sql('TRUNCATE trigger_error_log RESTART IDENTITY');
fail_on('latter');
ok(wait_until('logged', sub { logged('latter', 'count(*)') == 1 }), 'another, whose row may have the same number');
sql("SELECT pg_terminate_backend($worker, 60000)");
wait_for_worker($node, 'app', $worker);
is(logged('latter', 'occurrences'), 1, 'stands for one');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'no process died');
$node->stop;
done_testing();
