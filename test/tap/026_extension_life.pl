# The extension is dropped, made, moved and altered while sessions fire its triggers and its worker delivers: no session's
# statement fails for it, no process dies, and the worker is there again whenever the extension is.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant { ROWS => 5000, CYCLES => 200, QUICK => 5 };

# A commit that waits for who drops the extension must not pass because the other one gives up.
my $node  = new_node('main', deadlock_timeout => '20s');
my $redis = CacheInvalidate::Redis->new('cache', tcp => 1);
$node->start;
my $dir = PostgreSQL::Test::Utils::tempdir();
sub sql { return $node->safe_psql('postgres', @_) }

# --- Load: each transaction changes an item and a note, in the order in which DDL locks them

sub write_file {
    my ($name, $text) = @_;
    append_to_file("$dir/$name", $text);
    return "$dir/$name";
}
my $load = write_file('load.sql', sprintf <<'EOT', ROWS - 100, ROWS - 100);
\set id random(1, %d)
\set other random(1, %d)
BEGIN;
UPDATE item SET version = version + 1 WHERE id = :id;
SAVEPOINT s;
UPDATE note SET version = version + 1 WHERE id = :other;
ROLLBACK TO s;
UPDATE note SET version = version + 1 WHERE id = :id;
COMMIT;
EOT

# Runs the SQL in one session, and the load until it is through. Neither may fail.
sub under_load {
    my ($what, $statements) = @_;
    my $file = write_file($what =~ s/\W/_/gr . '.sql', $statements);
    my ($said, $load_said, $output, $failed, $runs) = ('', '', '', 0, 0);
    my $run = IPC::Run::start([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $file ],
        '<', \undef, '>', \$output, '2>', \$said, IPC::Run::timeout(300));
    do {
        ++$runs;
        IPC::Run::run([ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c', 4, '-j', 4, '-t', 50, '-f', $load, 'postgres' ],
            '<', \undef, '>&', \$load_said, IPC::Run::timeout(300)) or ++$failed;
        $run->pump_nb;
    } while $run->pumpable;
    ok($run->finish, "$what: no statement fails") or diag($said);
    is($failed, 0, "$what: nor one of the sessions beside it") or diag($load_said);
    note("$what: $runs runs of pgbench");
    return $said;
}

sub make_extension {
    my ($schema) = @_;
    my $call = ($schema ? "$schema." : '') . 'notify_cache_invalidation';
    return 'CREATE EXTENSION cache_invalidate' . ($schema ? " SCHEMA $schema" : '') . ";\n"
      . "CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '" . $redis->url . "');\n"
      . join '', map { "CREATE TRIGGER cache_invalidation AFTER INSERT OR UPDATE OR DELETE ON $_ FOR EACH ROW EXECUTE FUNCTION $call('key=$_:{id}');\n" } qw(item note);
}

sql('ALTER DATABASE postgres SET search_path = public, tools, gear');
sql('CREATE SCHEMA tools; CREATE TABLE item (id int PRIMARY KEY, version int NOT NULL DEFAULT 0); CREATE TABLE note (LIKE item INCLUDING ALL);'
      . join '', map { "INSERT INTO $_ SELECT generate_series(1, ${\ ROWS }); " } qw(item note));
sql(make_extension());
my $worker = wait_for_worker($node, 'postgres');

my $next = ROWS - 100;
sub delivers {
    my ($what) = @_;
    my $id = ++$next;
    $redis->fill("item:$id", "note:$id");
    sql("UPDATE item SET version = version + 1 WHERE id = $id; UPDATE note SET version = version + 1 WHERE id = $id");
    ok($redis->wait_gone("item:$id", "note:$id"), "$what: the worker delivers");
}
delivers('at first');

# --- Dropped and made, again and again

my $drop = "DROP EXTENSION cache_invalidate CASCADE;\n";
my @ways = (
    sub { return $drop . make_extension() },
    sub { return "BEGIN;\n$drop" . make_extension() . "COMMIT;\n" },
    sub { return "BEGIN;\n$drop" . make_extension('tools') . "ROLLBACK;\n" },
    sub { return $drop . make_extension('tools') },
    sub { return "BEGIN;\nSAVEPOINT s;\n$drop" . make_extension() . "ROLLBACK TO s;\nCOMMIT;\n" },
    sub { return "BEGIN;\n$drop" . make_extension('tools') . $drop . make_extension() . "COMMIT;\n" });
my $start = time;
my $said = under_load('DROP and CREATE EXTENSION', "SET client_min_messages = warning;\n" . join '', map { $ways[ $_ % @ways ]->() } 0 .. CYCLES - 1);
is($said, '', 'without a warning');
note(sprintf '%d cycles in %.1f s', CYCLES, time - $start);
delivers('after it');
my @lines = split /\n/, slurp_file($node->logfile);
my $starts = grep { /worker for database/ } @lines;
cmp_ok($starts, '<=', CYCLES + 5, 'a worker has not started more often than the extension');
is(scalar(grep { /ERROR|FATAL|PANIC/ } @lines), 0, 'and no process met an error') or diag(grep { /ERROR|FATAL|PANIC/ } @lines);

# With what depends on it, it stays; with a cache that hangs it goes at once.
isnt($node->psql('postgres', 'DROP EXTENSION cache_invalidate', stderr => \$said), 0, 'DROP EXTENSION without CASCADE: refused');
like($said, qr/trigger cache_invalidation on table item depends on/, 'because of the triggers');
delivers('after the refusal');
$redis->pause;
sql('UPDATE item SET version = version + 1 WHERE id = 1');
ok(wait_until('it waits', sub { target($node, 'postgres', 'keys_pending') > 0 }), 'the cache hangs');
$worker = worker_pid($node, 'postgres');
$start = time;
sql("BEGIN; $drop COMMIT");
ok(wait_until('gone', sub { !is_running($worker) }), 'DROP EXTENSION: the worker ends');
cmp_ok(time - $start, '<', QUICK, 'at once');
$redis->resume;

# --- In another schema

sql('CREATE TABLE tools.trigger_error_log (mine int)');
isnt($node->psql('postgres', 'CREATE EXTENSION cache_invalidate SCHEMA tools', stderr => \$said), 0, 'CREATE EXTENSION where a name is taken: refused');
like($said, qr/"trigger_error_log" already exists/, 'with the name');
is(sql('SELECT count(*) FROM tools.trigger_error_log'), 0, 'what was there is kept');
sql('DROP TABLE tools.trigger_error_log');
sql(make_extension('tools'));
delivers('in another schema');

isnt($node->psql('postgres', 'ALTER EXTENSION cache_invalidate SET SCHEMA public', stderr => \$said), 0, 'ALTER EXTENSION SET SCHEMA: refused');
like($said, qr/extension "cache_invalidate" does not support SET SCHEMA/, 'clearly');
delivers('after the refusal');
is($node->psql('postgres', 'ALTER EXTENSION cache_invalidate UPDATE', stderr => \$said), 0, 'ALTER EXTENSION UPDATE');
like($said, qr/NOTICE: +version "[^"]+" of extension "cache_invalidate" is already installed/, 'without another version: a notice');
$worker = worker_pid($node, 'postgres');
delivers('after it');
is(worker_pid($node, 'postgres'), $worker, 'by the same worker');

sql('ALTER SCHEMA tools RENAME TO gear');
delivers('ALTER SCHEMA RENAME');
is(sql('SELECT count(*) FROM gear.cache_invalidation_targets'), 1, 'the views work under the new name');
is($node->psql('postgres', 'SELECT count(*) FROM gear.get_cache_trigger_health()', stderr => \$said), 0, 'and so does get_cache_trigger_health()');
sql('CREATE ROLE boss SUPERUSER; ALTER SCHEMA gear OWNER TO boss');
delivers('ALTER SCHEMA OWNER');

# --- A writer never pays for who drops the extension, by whatever statement

for my $statement ('DROP EXTENSION cache_invalidate CASCADE', 'DROP SCHEMA gear CASCADE', 'DROP OWNED BY boss CASCADE') {
    my $id     = ++$next;
    my $writer = $node->background_psql('postgres', on_error_stop => 0);
    my $dropper = $node->background_psql('postgres', on_error_stop => 0);
    $writer->query_safe("BEGIN; UPDATE item SET version = 77 WHERE id = $id");
    $dropper->query_until(qr/begun/, "SET client_min_messages = warning;\n\\echo begun\n$statement;\n");
    ok(wait_until('it waits', sub { sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 1 }), "$statement waits for a writer");
    $start = time;
    $writer->query('COMMIT');
    cmp_ok(time - $start, '<', QUICK, "$statement: the writer's commit waits for nothing");
    is(sql("SELECT version FROM item WHERE id = $id"), 77, "$statement: and is a commit");
    $dropper->query_safe('SELECT 1');
    is(sql('SELECT count(*) FROM pg_extension WHERE extname = $$cache_invalidate$$'), 0, "$statement: then the extension is gone");
    $_->quit for $writer, $dropper;
    sql('CREATE SCHEMA IF NOT EXISTS gear AUTHORIZATION boss; SET ROLE boss;' . make_extension('gear'));
    delivers("$statement, and made again");
}

# --- Servers are altered while it delivers

sql('UPDATE item SET version = 0 WHERE version > 0; UPDATE note SET version = 0 WHERE version > 0');
delivers('as it was');
my $untouched = $next;
$redis->fill(map { ("item:$_", "note:$_") } 1 .. ROWS);
my @urls = ($redis->url, 'unix://' . $redis->{path});
my @alterations = (
    (map { "OPTIONS (SET url '$_')" } reverse @urls),
    "OPTIONS (ADD command_timeout '3s')", "VERSION '7'", 'OWNER TO boss', "OPTIONS (DROP command_timeout, ADD connect_timeout '900ms')",
    'OPTIONS (DROP connect_timeout)', 'RENAME TO renamed');
under_load('ALTER SERVER', join '', map { (map({ "ALTER SERVER cache $_;\n" } @alterations), "ALTER SERVER renamed RENAME TO cache;\n") } 1 .. 100);
delivers('ALTER SERVER');
for my $table (qw(item note)) {
    my @changed = grep { $_ ne "$table:$untouched" } split /\n/, sql("SELECT '$table:' || id FROM $table WHERE version > 0");
    ok($redis->wait_gone(@changed), "$table: the keys of all that was changed are gone");
    my %gone = map { ($_ => 1) } @changed;
    is_deeply([ grep { /^$table:/ } $redis->keys ], [ sort grep { !$gone{$_} } map { "$table:$_" } 1 .. ROWS ], "$table: and no others");
}

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal|deadlock/, 'no process died, no lock was in the way');
$node->stop;
done_testing();
