# Transactions of a million rows, and sessions that are cut off in the middle of theirs: the memory of the backend and
# of the worker stays bounded, everything that was committed is delivered, and nothing else.
#
# CACHE_INVALIDATE_LONG_TESTS=1 makes it five million.
use strict;
use warnings;

use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant ROWS => $ENV{CACHE_INVALIDATE_LONG_TESTS} ? 5_000_000 : 1_000_000;
use constant MEGABYTE => 1024;    # in the unit of /proc

my $node = new_node(
    'main',
    'cache_invalidate.max_change_set_memory' => '1MB',
    'cache_invalidate.max_backlog_keys'      => 10_000,
    'cache_invalidate.ring_size'             => '1MB',
    autovacuum   => 'off',
    jit          => 'off',
    max_wal_size => '8GB');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $redis, rows => 1);
my $worker = wait_for_worker($node, 'postgres');

sub sql { return $node->safe_psql('postgres', @_) }

sub fill_all {
    $redis->command('EVAL', q(for i = 1, tonumber(ARGV[1]) do redis.call('SET', 'item:' .. i, '') end), 0, ROWS);
    return;
}

# The memory that a process has for itself, in kB.
sub memory_of {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/status" or return 0;
    return join('', <$file>) =~ /^RssAnon:\s+(\d+) kB/m ? $1 : 0;
}

# A session with these settings, and its process.
sub session {
    my (@settings) = @_;
    my $session = $node->background_psql('postgres', on_error_stop => 0);
    return ($session, $session->query_safe(join '', map({ "SET $_; " } @settings), 'SELECT pg_backend_pid()'));
}

# Lets a session run a statement without waiting for its end.
sub start_statement {
    my ($session, $statement) = @_;
    $session->query_until(qr/sent/, "\\echo sent\n$statement;\n");
    return;
}

# How much more memory a session has at most while it gives all rows this version, in kB.
sub growth_by_update {
    my ($new_version, @settings) = @_;
    my ($session, $pid) = session(@settings);
    my $before = memory_of($pid);
    my $most = $before;
    start_statement($session, "UPDATE item SET version = $new_version");
    wait_until('the update has been committed',
        sub { $most = max($most, memory_of($pid)); return sql('SELECT version FROM item WHERE id = 1') == $new_version }, 300);
    $session->quit;
    return $most - $before;
}

# --- All rows in one statement

sql('DROP TABLE item; CREATE TABLE item (id int PRIMARY KEY, version int NOT NULL DEFAULT 0) WITH (fillfactor = 50)');
sql(items_trigger(q('key=item:{id}', 'fields=version,first=id,second=id,third=id,fourth=id,fifth=id,sixth=id')));
sql('SET cache_invalidate.enabled = off; INSERT INTO item SELECT generate_series(1, ' . ROWS . ')');
fill_all();
is($redis->command('DBSIZE'), ROWS, 'the keys of all rows are cached');

# The server keeps a queue of trigger events for itself: what a session needs without us is the measure.
my $without = growth_by_update(1, 'cache_invalidate.enabled = off');
my $with = growth_by_update(2);
my $before = memory_of($worker);
my $most = $before;
ok(wait_until('no key is left', sub { $most = max($most, memory_of($worker)); return $redis->command('DBSIZE') == 0 }, 300),
    'the keys of all rows are deleted');
note("a session grew by $without kB without capture and by $with kB with it, the worker by " . ($most - $before) . ' kB');
cmp_ok($without, '>', 0, 'memory can be measured');
SKIP: {
    skip 'the sanitizers take memory of their own', 2 if $ENV{SANITIZED};
    cmp_ok($with - $without, '<', 8 * MEGABYTE, 'capture takes little memory of the session');
    cmp_ok($most - $before, '<', 90 * MEGABYTE, 'delivery takes little memory of the worker, messages included');
}
is(worker_pid($node, 'postgres'), $worker, 'which is the one that there was');
ok(wait_until('the journal is empty', sub { journal_pages($node, 'postgres') <= 2 }), 'the journal is empty again');

# --- Sessions that are cut off when most of their changes are in the journal already: another trigger waits for a lock
# there

sql(q(
    CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';
    CREATE TRIGGER z_last AFTER UPDATE ON item FOR EACH ROW WHEN (NEW.id = 200000) EXECUTE FUNCTION wait_here()));
$redis->fill(map { "item:$_" } 1 .. 1000, 199_000 .. 201_000);
my $cached = $redis->command('DBSIZE');
my $update = 'UPDATE item SET version = version + 1 WHERE id <= 201000';
my $next = 1;

# After it: the session is gone if it should be, what comes later is delivered, and nothing of what was cut off.
sub is_cut_off {
    my ($what, $pid) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(wait_until("$what: the session has ended", sub { sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") == 0 }), "$what: the session has ended")
      if $pid;
    my $id = $next++;
    sql("UPDATE item SET version = 9 WHERE id = $id");
    $cached--;
    ok($redis->wait_gone("item:$id"), "$what: what comes later is delivered");
    is($redis->command('DBSIZE'), $cached, "$what: nothing of it is");
    return;
}

# Starts the update in a session, and waits until it waits.
sub start_update {
    my ($session, $pid, $statement) = @_;
    start_statement($session, $statement // $update);
    wait_until('the other trigger waits', sub { sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND wait_event = 'advisory'") == 1 });
    return;
}

my ($holder) = session();
$holder->query_safe('SELECT pg_advisory_lock(1)');

my ($session, $pid) = session();
start_update($session, $pid);
sql("SELECT pg_terminate_backend($pid)");
is_cut_off('pg_terminate_backend', $pid);
eval { $session->quit };

($session, $pid) = session();
start_update($session, $pid);
sql("SELECT pg_cancel_backend($pid)");
$session->query('SELECT 1');
is_cut_off('pg_cancel_backend');

# The same session goes on, and takes only the inner part back.
start_update($session, $pid, "BEGIN; UPDATE item SET version = 9 WHERE id = 500; SAVEPOINT a; $update");
sql("SELECT pg_cancel_backend($pid)");
$session->query('ROLLBACK TO a; UPDATE item SET version = 9 WHERE id = 501; COMMIT');
$cached -= 2;
ok($redis->wait_gone('item:500', 'item:501'), 'pg_cancel_backend under a savepoint: the rest is delivered');
is_cut_off('pg_cancel_backend under a savepoint');
$session->quit;

($session, $pid) = session(q(lock_timeout = '100ms'));
$session->query($update);
is_cut_off('lock_timeout');
$session->quit;

# --- Sessions that are idle in their transaction, and ended for it

$holder->query_safe('SELECT pg_advisory_unlock(1)');
$holder->quit;
for my $timeout (qw(idle_in_transaction_session_timeout transaction_timeout), '') {
    next if $timeout eq 'transaction_timeout' && $node->pg_version < 17;
    ($session, $pid) = session($timeout ? "$timeout = '2s'" : ());
    start_statement($session, "BEGIN; $update");
    if (!$timeout) {
        wait_until('idle', sub { sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND state = 'idle in transaction' AND query LIKE 'UPDATE%'") == 1 });
        sql("SELECT pg_terminate_backend($pid)");
    }
    is_cut_off($timeout || 'pg_terminate_backend while idle', $pid);
    eval { $session->quit };
}

ok(wait_until('the journal is empty', sub { journal_pages($node, 'postgres') <= 2 }), 'the journal is empty again');
is(sql('SELECT count(*) FROM trigger_error_log'), '0', 'no error was logged');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'no process crashed');
$node->stop;
done_testing();
