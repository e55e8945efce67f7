# The journal has a limit. What is owed to a server that is away for long is copied forward, folded, and in the end widened; what
# cannot be truncated at all is no reason to grow. When the server is back, its cache is correct.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Resp;
use CacheInvalidate::Wait;

use constant { ROWS => 30_000, LIMIT => 16 };    # megabytes: the least that can be set

my $node = new_node('main', max_wal_size => '2GB', 'cache_invalidate.max_journal_size' => LIMIT . 'MB', 'cache_invalidate.max_backlog_keys' => 25_000,
    'cache_invalidate.ring_size' => '64MB');
$node->start;
my @safe = ('appendonly yes', 'appendfsync always', 'auto-aof-rewrite-percentage 0');
my ($redis, $up) = map { CacheInvalidate::Redis->new($_, config => \@safe) } qw(cache other);
create_items($node, 'postgres', $redis, rows => ROWS);
sql("CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $up->url }', publish_channel 'changes');
     CREATE SERVER same FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $redis->url(1) }');
     CREATE TABLE note (id int PRIMARY KEY, title text);
     INSERT INTO note SELECT n, 'note' FROM generate_series(1, 100) n;
     CREATE TRIGGER cache_invalidation_note AFTER INSERT OR UPDATE OR DELETE ON note FOR EACH ROW
       EXECUTE FUNCTION notify_cache_invalidation('resource=note', 'key=note:{id}');");
$_->fill((map { "item:$_" } 1 .. ROWS), (map { "note:$_" } 1 .. 100), 'items', 'notes') for $redis, $up;
same('MSET', map { ($_, 'cached') } (map { "item:$_" } 1 .. ROWS), (map { "note:$_" } 1 .. 100));
my $worker = wait_for_worker($node, 'postgres');
ok(wait_until('all are up', sub { sql("SELECT count(*) FROM cache_invalidation_targets WHERE state = 'up'") == 3 }), 'all servers are up');

# Another database of the same Redis: a server that is away whenever the first one is.
sub same {
    my $connection = CacheInvalidate::Resp->connect(path => $redis->{path});
    $connection->command('SELECT', 1);
    return $connection->command(@_);
}

sub sql { return $node->safe_psql('postgres', @_) }
sub megabytes { return journal_pages($node, 'postgres') / 128 }

# Some megabytes of journal, of items up to $most, while the journal is watched; returns the most that it had.
sub write_journal {
    my ($rounds, $most) = @_;
    my $largest = 0;
    for (1 .. $rounds) {
        # Each of them some 30 bytes of journal and more, a megabyte together.
        sql("UPDATE item SET version = version + 1 WHERE id <= $most");
        my $size = megabytes();
        $largest = $size if $size > $largest;
    }
    return $largest;
}

# --- One server is away, for longer than the journal can hold

$redis->kill9;
ok(wait_until('it is seen', sub { target($node, 'postgres', 'state') eq 'down' }), 'a server is down');
sql('UPDATE note SET title = title || 1 WHERE id <= 10');
my $largest = write_journal(60, 10_000);
cmp_ok($largest, '<=', LIMIT, 'the journal stays within its limit');
ok(wait_until('compacted', sub { stat_of($node, 'postgres', 'journal_compactions') > 0 }), 'what is owed was copied forward');
cmp_ok(target($node, 'postgres', 'keys_pending'), '>=', 10_010, 'and is still owed');
is(target($node, 'postgres', 'widened'), 0, 'each key by itself');
ok($up->wait_gone(map { "item:$_" } 1 .. 10_000), 'the other server gets everything');

# --- Across a crash: what was copied is all there is

$node->stop('immediate');
$node->start;
$worker = wait_for_worker($node, 'postgres');
my $listener = CacheInvalidate::Listener->new($node, 'postgres');
$redis->start;
ok($redis->wait_gone((map { "item:$_" } 1 .. 10_000), (map { "note:$_" } 1 .. 10)), 'when it is back, every owed key is deleted');
is($redis->command('EXISTS', (map { "item:$_" } 10_001 .. ROWS), (map { "note:$_" } 11 .. 100), 'items', 'notes'), ROWS - 10_000 + 92, 'and no other');
ok(wait_until('same', sub { !same('EXISTS', (map { "item:$_" } 1 .. 10_000), (map { "note:$_" } 1 .. 10)) }), 'likewise those that another server was owed');
is(same('EXISTS', (map { "item:$_" } 10_001 .. ROWS), (map { "note:$_" } 11 .. 100)), ROWS - 10_000 + 90, 'and no other');
ok(scalar $listener->take_until('reset', sub { ($_[0]{type} // '') eq 'reset' }), 'a reset message stands for those that the journal lost');
ok(wait_until('empty', sub { megabytes() < 0.1 }), 'the journal is empty again');

# --- Away for so long that its keys are widened

$redis->kill9;
ok(wait_until('it is seen', sub { target($node, 'postgres', 'state') eq 'down' }), 'the server is down again');
sql('UPDATE note SET title = title || 1 WHERE id = 50');
cmp_ok(write_journal(20, ROWS), '<=', LIMIT, 'the journal stays within its limit');
ok(wait_until('widened', sub { target($node, 'postgres', 'widened') > 0 }), 'keys are widened to a pattern');
cmp_ok(target($node, 'postgres', 'keys_pending'), '<=', 25_000, 'and do not fill the memory');
$redis->start;
ok($redis->wait_gone((map { "item:$_" } 1 .. ROWS), 'note:50'), 'when it is back, every owed key is deleted');
is($redis->command('EXISTS', (map { "note:$_" } 11 .. 49, 51 .. 100), 'items', 'notes'), 91, 'what has another template is kept');
ok(wait_until('empty', sub { megabytes() < 0.1 }), 'the journal is empty again');

# --- Somebody holds a lock on a segment: then nothing can be truncated, and changes go by the ring

sql("BEGIN; UPDATE item SET version = version + 1 WHERE id = 1; PREPARE TRANSACTION 'old'");
$_->fill(map { "item:$_" } 1 .. ROWS) for $redis, $up;
my $script = PostgreSQL::Test::Utils::tempdir() . '/some.sql';
# Each client has rows of its own, so that no two lock the same ones the other way round.
append_to_file($script, "\\set id 2 + :client_id * 7400 + random(0, 7199)\nUPDATE item SET version = version + 1 WHERE id >= :id AND id < :id + 200;\n");
sub run_clients {
    my ($each) = @_;
    IPC::Run::run([ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c', 4, '-t', $each, '-f', $script, 'postgres' ], '<', \undef, '>', \my $log, '2>&1');
    like($log, qr/actually processed: (\d+)\/\1\b/, 'all transactions commit') or diag($log);
}
run_clients(1500);    # which would take more than twenty megabytes
ok(wait_until('said', sub { slurp_file($node->logfile) =~ /the journal is at max_journal_size/ }), 'the journal is full, and the log says why');
my $full = megabytes();
cmp_ok($full, '<=', LIMIT + 4, 'it does not grow far beyond its limit');
run_clients(300);
cmp_ok(megabytes(), '<=', $full + 0.1, 'and then not at all');
ok($_->wait_gone('item:15000'), 'deletes go on') for $redis, $up;
sql("COMMIT PREPARED 'old'");
ok(wait_until('empty', sub { megabytes() < 0.1 }), 'when the lock is gone the journal is truncated');
ok($_->wait_gone('item:1'), 'what was prepared is deleted') for $redis, $up;
ok(wait_until('used', sub { slurp_file($node->logfile) =~ /the journal has room again/ }, 15), 'and used again at once');
is(worker_pid($node, 'postgres'), $worker, 'the worker was not restarted');
done_testing();
