# Settings of the database, of roles and of the server that would stop a worker do not; no free worker slot costs nobody but the
# caches; what an administrator does to the extension's own tables while transactions write to them stops neither side.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Load;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node  = new_node('main', allows_streaming => 1);
my $redis = CacheInvalidate::Redis->new('cache');
$node->start;
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');

# What each would do to a process that takes it over is said by its name. The sessions of this test go without.
my %hostile = (
    statement_timeout => [ '1ms', '0' ],
    lock_timeout      => [ '1ms', '0' ],
    idle_in_transaction_session_timeout => [ '1ms', '0' ],
    idle_session_timeout                => [ '1ms', '0' ],
    ($version >= 170000 ? (transaction_timeout => [ '1ms', '0' ], event_triggers => [ 'off', 'on' ]) : ()),
    deadlock_timeout               => [ '1ms', '1s' ],
    default_transaction_read_only  => [ 'on',  'off' ],
    default_transaction_isolation  => [ 'serializable', 'read\ committed' ],
    default_transaction_deferrable => [ 'on', 'off' ],
    search_path                    => [ 'trap', 'public' ],
    session_replication_role       => [ 'origin', 'origin' ],
    row_security                   => [ 'off', 'on' ],
    client_min_messages            => [ 'debug5', 'notice' ],
    log_statement                  => [ 'all', 'none' ],
    log_min_duration_statement     => [ '0', '-1' ],
    work_mem                       => [ '64kB', '4MB' ],
    maintenance_work_mem           => [ '1MB', '16MB' ],
    synchronous_commit             => [ 'remote_apply', 'local' ],
    temp_tablespaces               => [ 'pg_default', '' ],
    enable_seqscan                 => [ 'off', 'on' ],
    enable_indexscan               => [ 'off', 'on' ],
    enable_bitmapscan              => [ 'off', 'on' ],
    DateStyle                      => [ 'SQL, DMY', 'ISO' ],
    TimeZone                       => [ 'Asia/Kolkata', 'UTC' ],
    bytea_output                   => [ 'escape', 'hex' ],
    quote_all_identifiers          => [ 'on', 'off' ],
    'cache_invalidate.enabled'     => [ 'off', 'on' ]);
$ENV{PGOPTIONS} = join ' ', map { "-c $_=$hostile{$_}[1]" } sort keys %hostile;
$ENV{PGCLIENTENCODING} = 'UTF8';
sub sql { return $node->safe_psql('app', @_) }

# --- The extension belongs to a role that has them too, and in the search_path that the worker must not have stands a trap

$node->safe_psql('postgres', 'CREATE DATABASE app; CREATE ROLE boss SUPERUSER LOGIN');
sql('CREATE SCHEMA trap; SET ROLE boss; CREATE EXTENSION cache_invalidate');
create_items($node, 'app', $redis, rows => 100, arguments => q('key=item:{id}', 'fields=title'));
sql(q(CREATE FUNCTION trap.fall() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'user code in the worker'; END $$;
      CREATE TRIGGER fall BEFORE INSERT ON trigger_error_log FOR EACH ROW EXECUTE FUNCTION trap.fall();
      CREATE TABLE trap.trigger_error_log (mine int)));
my $worker = wait_for_worker($node, 'app');
my ($superuser) = sql('SELECT rolname FROM pg_roles WHERE oid = 10');

my $next = 0;
sub works {
    my ($what) = @_;
    # It leaves for the statement and comes back with the settings. What was not delivered stands in the journal.
    $redis->pause;
    my $waiting = ++$next;
    sql("UPDATE item SET version = version + 1 WHERE id = $waiting");
    $node->safe_psql('postgres', 'ALTER DATABASE app SET TABLESPACE pg_default');
    $redis->resume;
    $worker = wait_for_worker($node, 'app', $worker);
    ok($redis->wait_gone("item:$waiting"), "$what: the journal is read");
    my $listener = CacheInvalidate::Listener->new($node, 'app');
    my $id = ++$next;
    sql("UPDATE item SET version = version + 1 WHERE id = $id");
    ok($redis->wait_gone("item:$id"), "$what: keys are deleted");
    ok(scalar($listener->take_until("of $id", sub { ($_[0]{record_id} // '') eq $id })), "$what: messages leave");
    $listener->quit;
    like(sql("SELECT test_cache_invalidation('item')"), qr/"success":true/, "$what: test_cache_invalidation()");
    my $table = "broken_$id";
    sql(qq(CREATE TABLE $table (id int, a int);
        CREATE TRIGGER broken AFTER INSERT ON $table FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=b:{a}');
        SET session_replication_role = replica; ALTER TABLE $table RENAME COLUMN a TO b; RESET session_replication_role;
        INSERT INTO $table VALUES (1, 1)));
    ok(wait_until('logged', sub { sql("SELECT count(*) FROM trigger_error_log WHERE table_name = '$table'") > 0 }), "$what: errors are logged");
    is(worker_pid($node, 'app'), $worker, "$what: by one worker");
    return;
}

works('as it is');
sub set_all {
    my ($what) = @_;
    return join '', map { my $value = /^(search_path|DateStyle)$/ ? $hostile{$_}[0] : "'$hostile{$_}[0]'"; "$what SET $_ = $value;\n" } sort keys %hostile;
}
my %places = (
    'ALTER DATABASE'           => set_all('ALTER DATABASE app'),
    'ALTER ROLE'               => set_all("ALTER ROLE boss") . set_all("ALTER ROLE \"$superuser\""),
    'ALTER ROLE IN DATABASE'   => set_all("ALTER ROLE \"$superuser\" IN DATABASE app"),
    'ALTER ROLE ALL'           => set_all('ALTER ROLE ALL'));
sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
for my $place (sort keys %places) {
    sql($places{$place});
    sql('SELECT pg_reload_conf()');
    works($place);
    sql(qq(ALTER DATABASE app RESET ALL; ALTER ROLE boss RESET ALL; ALTER ROLE "$superuser" RESET ALL;
        ALTER ROLE "$superuser" IN DATABASE app RESET ALL; ALTER ROLE ALL RESET ALL));
}
# In postgresql.conf this one ends whoever begins slowly, also a session of this test: one that is there looks on.
if ($version >= 170000) {
    my $session = $node->background_psql('app');
    my $logged = sub { my ($line) = @_; return wait_until($line, sub { slurp_file($node->logfile) =~ /parameter "transaction_timeout" $line/ }) };
    $session->query_safe($_) for "ALTER SYSTEM SET transaction_timeout = '1ms'", 'SELECT pg_reload_conf()';
    $logged->('changed to "1ms"');
    my $before = $worker;
    $session->query_safe("SELECT pg_terminate_backend($before)");
    my $others = "backend_type = 'cache_invalidate worker' AND datname = 'app' AND pid <> $before";
    ok(wait_until('another', sub { ($worker) = $session->query_safe("SELECT pid FROM pg_stat_activity WHERE $others") =~ /(\d+)/ }),
        'transaction_timeout in postgresql.conf: a worker begins');
    $session->query_safe($_) for 'ALTER SYSTEM RESET transaction_timeout', 'SELECT pg_reload_conf()';
    $logged->('removed from');
    $session->quit;
    # The server's own workers may well be ended.
    my $log = slurp_file($node->logfile);
    my @ended = $log =~ /\[(\d+)\] FATAL: .* due to transaction timeout/g;
    is(join(' ', grep { $log =~ /"cache_invalidate \w+" \(PID $_\) exited/ } @ended), '', 'at the first attempt');
}
# For all processes of the server, and while the worker runs.
$node->append_conf('postgresql.conf', join '', map { "$_ = '$hostile{$_}[0]'\n" } grep { !/^(client_min_messages|transaction_timeout)$/ } sort keys %hostile);
$node->reload;
ok(wait_until('reloaded', sub { sql("SELECT reset_val FROM pg_settings WHERE name = 'work_mem'") ne '' && sql(
        "SELECT count(*) FROM pg_file_settings WHERE name = 'statement_timeout' AND applied") == 1 }), 'the configuration is read');
my $id = ++$next;
sql("UPDATE item SET version = version + 1 WHERE id = $id");
ok($redis->wait_gone("item:$id"), 'postgresql.conf: the worker goes on');
works('postgresql.conf');
$node->restart;
$worker = wait_for_worker($node, 'app');
works('postgresql.conf, after a restart');
my $log = slurp_file($node->logfile);
unlike($log, qr/user code in the worker/, 'no trigger of a user was fired by the worker');
unlike($log, qr/background worker "cache_invalidate \w+" \(PID \d+\) (?!exited with exit code [01])/, 'no worker died of it');
$node->adjust_conf('postgresql.conf', $_, undef) for keys %hostile;
sql('ALTER SYSTEM RESET ALL');
delete $ENV{PGOPTIONS};
$node->restart;
sql('DROP EXTENSION cache_invalidate CASCADE');

sub admin { return $node->safe_psql('postgres', @_) }
# --- Administrators look after the extension's tables while transactions write to them

my $load = CacheInvalidate::Load->new($node, $redis, 20_000);
wait_for_worker($node, 'postgres');
my @journal = map { "cache_invalidation_journal_$_" } 0, 1;
my @errands = (
    map({ ("VACUUM FULL $_", "VACUUM (FREEZE, ANALYZE) $_", "REINDEX TABLE $_", "ANALYZE $_", "CREATE INDEX CONCURRENTLY gone ON $_ (length(batch))", 'DROP INDEX gone') } @journal),
    'VACUUM FULL trigger_error_log', 'CLUSTER trigger_error_log USING trigger_error_log_pkey', 'REINDEX TABLE trigger_error_log',
    'TRUNCATE trigger_error_log', "REINDEX DATABASE postgres", 'VACUUM');
sub under_load {
    my ($what, @statements) = @_;
    $redis->fill(map { "item:$_" } 1 .. 20_000);
    admin('BEGIN; SET LOCAL cache_invalidate.enabled = off; UPDATE item SET version = 0 WHERE version > 0; COMMIT');
    my $worker = worker_pid($node, 'postgres');
    my ($rounds, @refused, $said) = 0;
    $load->start(3000);
    do {
        ++$rounds;
        for my $statement (@statements) {
            push @refused, "$statement: $said" if $node->psql('postgres', $statement, stderr => \$said) != 0;
        }
    } while $load->goes_on;
    is(join("\n", @refused), '', "$what: nothing is refused");
    note("$what: $rounds rounds");
    ok($load->finish, "$what: no transaction fails") or diag($load->said);
    $load->judge($what);
    is(worker_pid($node, 'postgres'), $worker, "$what: the worker is the same");
    ok(wait_until('the journal is empty', sub { journal_pages($node, 'postgres') <= 3 }), "$what: the journal is emptied as ever");
}
under_load('maintenance', @errands);
# What was not delivered yet and is not in the ring would be lost; what goes by the ring is not.
under_load('TRUNCATE and DELETE by hand', map { ("TRUNCATE $_", "DELETE FROM $_", "VACUUM $_") } @journal);
admin('TRUNCATE ' . join ', ', @journal);
$node->stop('immediate');
$node->start;
wait_for_worker($node, 'postgres');
$redis->fill('item:1');
admin('UPDATE item SET version = version + 1 WHERE id = 1');
ok($redis->wait_gone('item:1'), 'TRUNCATE by hand, and a crash: the worker begins anew');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal|damaged row/, 'no process died, nothing was damaged');
$node->stop;

# --- No slot for the worker

my $full = new_node('full', max_worker_processes => 2, max_logical_replication_workers => 0);
$full->start;
$full->safe_psql('postgres', "CREATE DATABASE $_") for qw(first second);
create_items($full, 'first', $redis);
ok(wait_for_worker($full, 'first'), 'the only slot is taken');
create_items($full, 'second', $redis, arguments => q('key=second:{id}'));
$redis->fill('second:1', 'second:2');
is($full->psql('second', 'UPDATE item SET version = 1 WHERE id = 1', timeout => 10), 0, 'no free slot: transactions succeed');
ok(wait_until('tries', sub { stat_of($full, 'second', 'worker_starts') >= 3 }), 'the launcher tries again and again');
is(worker_pid($full, 'second'), undef, 'to no avail');
is(scalar(() = slurp_file($full->logfile) =~ /no free slot to start the worker/g), 1, 'and says so once');
like(slurp_file($full->logfile), qr/HINT: +Raise max_worker_processes/, 'with the cure');
like($full->safe_psql('second', "SELECT test_cache_invalidation('item')"), qr/"success":false/, 'test_cache_invalidation() says no');
$full->safe_psql('second', 'UPDATE item SET version = 1 WHERE id = 2');
ok($redis->has('second:1') && $redis->has('second:2'), 'nothing is delivered');
$full->safe_psql('postgres', 'DROP DATABASE first');
ok($redis->wait_gone('second:1', 'second:2'), 'when a slot is free, what was committed is delivered');
unlike(slurp_file($full->logfile), qr/PANIC|TRAP|was terminated by signal/, 'no process died');
$full->stop;
done_testing();
