# Moments that are hard to meet, made to last: a scan that begins just before a server is made, a NOTIFY that never gets its lock, a
# sweep without end, more messages at once than a connection takes, a segment of the journal that somebody locks.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Relay;
use CacheInvalidate::Wait;

my $node = new_node('main', allows_streaming => 1, synchronous_commit => 'local', 'cache_invalidate.ring_size' => '64MB',
    'cache_invalidate.max_change_set_memory' => '1GB', 'cache_invalidate.max_items_per_transaction' => 1_000_000);
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $redis, rows => 3000);
my $worker = wait_for_worker($node, 'postgres');
ok(is_up('cache'), 'the server is up');

sub sql { return $node->safe_psql('postgres', @_) }
sub is_up { my ($server) = @_; return wait_until("$server is up", sub { target($node, 'postgres', 'state', $server) eq 'up' }) }

# Commands that are not waited for.
sub begin {
    my @commands = map { ('-c', $_) } @_;
    return IPC::Run::start([ 'psql', '-X', '-h', $node->host, '-p', $node->port, '-d', 'postgres', @commands ], '<', \undef, '>', \my $output, '2>&1');
}

# --- A server is made while a scan begins, and named at once

# The worker has looked for changes of the catalogs and stands before the snapshot of its scan.
sub while_a_scan_begins {
    my ($script) = @_;
    my $holder = $node->background_psql('postgres');
    $holder->query_safe('SET allow_system_table_mods = on; BEGIN; ALTER VIEW pg_catalog.pg_prepared_xacts RESET (security_barrier)');
    sql("BEGIN; SET LOCAL cache_invalidate.max_change_set_memory = '64kB'; UPDATE item SET version = version + 1 WHERE id > 1000; COMMIT");
    ok(wait_until('the scan', sub { sql("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $worker") eq 'Lock' }), 'a scan is about to begin');
    sql($script);
    $holder->quit;
    return;
}

for my $how ('on', 'off') {
    my $late = CacheInvalidate::Redis->new("late_$how");
    $late->fill('item:1', 'item:2', 'other');
    if ($how eq 'off') {
        # Until changes go by the ring alone.
        my $ring_only = sub {
            my $before = sql('SELECT count(*) FROM cache_invalidation_journal_0') + sql('SELECT count(*) FROM cache_invalidation_journal_1');
            sql('SET cache_invalidate.durability = off; UPDATE item SET version = version + 1 WHERE id = 10');
            return $before == sql('SELECT count(*) FROM cache_invalidation_journal_0') + sql('SELECT count(*) FROM cache_invalidation_journal_1');
        };
        ok(wait_until('ring only', $ring_only), 'changes go by the ring alone');
    }
    while_a_scan_begins("CREATE SERVER late_$how FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $late->url }');
        SET cache_invalidate.durability = $how; UPDATE item SET version = version + 1 WHERE id = 1");
    ok($late->wait_gone('item:1'), "a server gets the change that came right behind it (durability $how)");
    is($late->has('other'), 1, 'and nothing else');
    sql("DROP SERVER late_$how");
}

# --- More messages at once than may be on their way over a connection

sql('ALTER SYSTEM SET cache_invalidate.batch_size = 100000');
$node->reload;
sql("ALTER SERVER cache OPTIONS (ADD publish_channel 'changes')");
ok(is_up('cache'), 'the server publishes');
sql("INSERT INTO item SELECT n, 'many' FROM generate_series(10001, 32000) n");
ok(wait_until('published', sub { target($node, 'postgres', 'published') >= 22_000 }), 'all messages are published');
ok(wait_until('empty', sub { journal_pages($node, 'postgres') <= 2 }, 30), 'and not again and again');
sql('ALTER SERVER cache OPTIONS (DROP publish_channel)');
sql('ALTER SYSTEM RESET cache_invalidate.batch_size');
$node->reload;

# --- A sweep without end, and keys that are acknowledged meanwhile

# Messages that nobody hears are not sent.
my $hearer = $node->background_psql('postgres');
$hearer->query_safe('LISTEN cache_invalidation');

{
    my $relay = CacheInvalidate::Relay->new($redis, 'endless');
    sql("CREATE SERVER endless FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $relay->url }')");
    ok(is_up('endless'), 'a server that sweeps for ever is up');
    sql("CREATE TABLE swept (id int PRIMARY KEY);
         CREATE TRIGGER swept AFTER INSERT ON swept FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('pattern=nothing:{id}:*');
         INSERT INTO swept VALUES (1)");
    ok(wait_until('sweeping', sub { target($node, 'postgres', 'patterns_pending', 'endless') == 1 }), 'it sweeps');
    my $script = PostgreSQL::Test::Utils::tempdir() . '/one.sql';
    append_to_file($script, "\\set id random(1, 900)\nUPDATE item SET version = version + 1 WHERE id = :id;\n");
    my $load = IPC::Run::start([ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-R', 50, '-T', 60, '-f', $script, 'postgres' ],
        '<', \undef, '>', \my $log, '2>&1');
    my $keys = target($node, 'postgres', 'keys_deleted', 'endless');
    ok(wait_until('keys', sub { target($node, 'postgres', 'keys_deleted', 'endless') > $keys + 20 }), 'keys are deleted meanwhile');
    my $told = stat_of($node, 'postgres', 'notifications');
    ok(wait_until('told', sub { stat_of($node, 'postgres', 'notifications') > $told + 100 }, 20), 'and messages do not wait for the end of the sweep');
    $load->kill_kill;
    sql('DROP SERVER endless');
}

# --- NOTIFY never gets its lock, and as many messages wait as may

sql('CREATE TABLE own (n int)');
sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
$node->reload;
my @stuck;
# The first ones may commit before the server knows of the setting.
ok(wait_until('stuck', sub {
    push @stuck, begin('SET synchronous_commit = on', 'INSERT INTO own VALUES (1); NOTIFY own');
    return sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") > 0;
}), 'somebody holds the lock of NOTIFY');
my $batches = stat_of($node, 'postgres', 'batches');
sql("INSERT INTO item SELECT n, 'more' FROM generate_series(100001, 199990) n");
ok(wait_until('taken', sub { stat_of($node, 'postgres', 'batches') > $batches }), 'many messages wait');
$redis->fill('item:300020');
for my $id (300_001 .. 300_020) {
    $batches = stat_of($node, 'postgres', 'batches');
    sql("INSERT INTO item VALUES ($id, 'one')");
    wait_until('taken', sub { stat_of($node, 'postgres', 'batches') > $batches }, 10) or last;
}
ok($redis->wait_gone('item:300020'), 'deletes go on when no more messages may wait');
my $told = stat_of($node, 'postgres', 'notifications');
sql('ALTER SYSTEM RESET synchronous_standby_names');
$node->reload;
$_->finish for @stuck;
ok(wait_until('told', sub { stat_of($node, 'postgres', 'notifications') > $told }), 'NOTIFY goes on when it gets the lock');
$hearer->quit;
is(worker_pid($node, 'postgres'), $worker, 'the worker was not restarted');

# --- Somebody holds a segment of the journal for himself

{
    my $holder = $node->background_psql('postgres');
    $holder->query_safe('BEGIN; LOCK TABLE cache_invalidation_journal_0 IN ACCESS EXCLUSIVE MODE');
    for my $id (1 .. 3) {
        $redis->fill("item:$id");
        my $start = sql('SELECT clock_timestamp()');
        sql("UPDATE item SET version = version + 1 WHERE id = $id");
        ok($redis->wait_gone("item:$id"), 'deletes go on while a segment is locked');
        # Beyond the worker's next look at the journal.
        wait_until('two seconds', sub { sql("SELECT clock_timestamp() > '$start'::timestamptz + interval '2 s'") eq 't' });
    }
    $holder->quit;
}

done_testing();
