# A Redis that forgets our deletes: restarted from an older dump, replaced by a replica that had not seen them, while the worker
# or the server is away too. What was delivered within the replay window is delivered again, messages included.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;
use CacheInvalidate::Wire;

my $node = new_node('main', 'cache_invalidate.replay_window' => '1h');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache', config => ['dbfilename dump.rdb']);
my $wire  = CacheInvalidate::Wire->new($redis);
create_items($node, 'postgres', undef, rows => 200);
sql("CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $wire->url }', command_timeout '2s')");
$redis->fill(map { "item:$_" } 1 .. 200);
my ($worker, $listener);
begin();

sub sql { return $node->safe_psql('postgres', @_) }
sub change { my ($id) = @_; sql("UPDATE item SET version = version + 1 WHERE id = $id"); return "item:$id" }

sub begin {
    $worker = wait_for_worker($node, 'postgres');
    $listener = CacheInvalidate::Listener->new($node, 'postgres');
    return wait_until('up', sub { target($node, 'postgres', 'state') eq 'up' });
}

sub heard {
    my ($id, $what) = @_;
    return ok(scalar $listener->take_until($what, sub { $_[0]{record_id} eq $id }), $what);
}

# The delete of this item is done, told, and noted as done.
sub delivered {
    my ($id) = @_;
    ok($redis->wait_gone(change($id)), "item $id is deleted");
    heard($id, 'and told');
    ok(wait_until('noted', sub { is_noted($node, 'postgres') }), 'and noted as delivered');
    return;
}

# --- Restarted from an older dump

$redis->command('SAVE');
delivered(1);
# It has just looked at everything, and has nothing to do but to connect again: half a minute would pass until it looks once more.
sql("ALTER SERVER cache VERSION '2'");
ok(wait_until('idle', sub { sql("SELECT clock_timestamp() - last_cycle > interval '2 seconds' FROM cache_invalidate_condition()") eq 't' }), 'the worker is idle');
$redis->kill9;
$redis->start;
# The dump has it; until the worker has found out.
ok(wait_until('deleted again', sub { !$redis->has('item:1') }, 15), 'after a restart from an older dump it is deleted again');
heard(1, 'and told again');
is($redis->command('DBSIZE'), 199, 'nothing else is deleted');
is(worker_pid($node, 'postgres'), $worker, 'the worker was not restarted');

# --- Restarted while the PostgreSQL server is down

for my $mode (qw(fast immediate)) {
    my $id = $mode eq 'fast' ? 2 : 3;
    $redis->command('SAVE');
    delivered($id);
    $listener->quit;
    $node->stop($mode);
    $redis->kill9;
    $redis->start;
    is($redis->has("item:$id"), 1, 'the dump brings the key back');
    $node->start;
    begin();
    ok($redis->wait_gone("item:$id"), "it is deleted again after a restart of both ($mode)");
}

# --- A replica that had not seen our deletes takes over

my $replica = CacheInvalidate::Redis->new('replica');
{
    my $primary = CacheInvalidate::Redis->new('primary', tcp => 1);
    my $port = $primary->{port};
    sql("ALTER SERVER cache OPTIONS (SET url '" . $primary->url . "')");
    $primary->fill(map { "item:$_" } 1 .. 200);
    $replica->command('REPLICAOF', '127.0.0.1', $port);
    ok(wait_until('in step', sub { $replica->command('DBSIZE') >= 190 && $replica->command('INFO', 'replication') =~ /master_link_status:up/ }), 'a replica is in step');
    wait_until('up', sub { target($node, 'postgres', 'state') eq 'up' });
    $redis = $primary;
    # Nobody listens there: it stays a replica, and is told nothing.
    $replica->command('REPLICAOF', '127.0.0.1', 1);
    delivered(10);
    $primary->kill9;
    $replica->command('REPLICAOF', 'NO', 'ONE');
    is($replica->has('item:10'), 1, 'it has not seen the last delete');
    sql("ALTER SERVER cache OPTIONS (SET url '" . $replica->url . "')");
    $redis = $replica;
    ok($redis->wait_gone('item:10'), 'when it has taken over the key is deleted there too');
    heard(10, 'and told again');
}

# --- The same server, made a replica of one that has other keys, and a primary again

my $another = CacheInvalidate::Redis->new('another', tcp => 1);
delivered(20);
$another->fill('item:20', 'item:30');
$redis->command('REPLICAOF', '127.0.0.1', $another->{port});
ok(wait_until('in step', sub { $redis->command('INFO', 'replication') =~ /master_link_status:up/ && $redis->has('item:20') }), 'it has the other keys');
$redis->command('REPLICAOF', 'NO', 'ONE');
# Found out by a health check, or by the next connection.
$redis->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
ok($redis->wait_gone('item:20'), 'what was deleted before is deleted again');
is($redis->has('item:30'), 1, 'and nothing else');

unlike(slurp_file($node->logfile), qr/cache_invalidate: reset/, 'nothing had to be reset');

# --- What the journal has no room for: what was deleted cannot be deleted again, so all is, also after a restart

sub resets { return scalar(() = slurp_file($node->logfile) =~ /cache_invalidate: reset: a server came back with older data/g) }

sql('ALTER SYSTEM SET cache_invalidate.max_journal_size = 16');
$node->reload;
for my $id (50, 51) {
    $redis->command('SAVE');
    delivered($id);
    ok(crowd_out_journal($node, 'postgres'), 'the journal has it no more');
    if ($id == 51) {
        $listener->quit;
        $node->stop;
    }
    $redis->kill9;
    $redis->start;
    if ($id == 51) {
        is($redis->has('item:51'), 1, 'the dump brings the key back while the server is down');
        $node->start;
        begin();
    }
    ok($redis->wait_gone("item:$id"), 'what was deleted before is gone');
    ok(wait_until('a reset', sub { resets() == $id - 49 }), 'by a reset');
    $redis->fill(map { "item:$_" } 1 .. 200);
}

# --- What the window does not reach back to

sql('ALTER SYSTEM SET cache_invalidate.replay_window = 0');
$node->reload;
my $empty = sub { journal_pages($node, 'postgres') <= 2 };
ok(wait_until('empty', $empty, 60), 'a window that is made shorter counts at once');
$listener->quit;
$node->restart;
begin();
delivered(40);
ok(wait_until('empty', $empty), 'without a window the journal is emptied at once');
done_testing();
