# cache_invalidate.durability = off: changes go by the ring only. A clean stop loses nothing; after a crash nobody can know what
# was lost, so all that triggers could name is deleted, and a reset message says so.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node = new_node('main', 'cache_invalidate.ring_size' => '64kB', 'cache_invalidate.durability' => 'off',
    'cache_invalidate.replay_window' => '1h');    # the journal keeps what comes to it
$node->start;
my $redis = CacheInvalidate::Redis->new('cache', config => [ 'appendonly yes', 'appendfsync always' ]);
create_items($node, 'postgres', $redis, rows => 3000, arguments => q('resource=item', 'key=item:{id}', 'key=all items'));
$redis->fill('all items', 'other:1', 'items');
my $listener;
start_over();

sub sql { return $node->safe_psql('postgres', @_) }
sub change { sql("UPDATE item SET version = version + 1 WHERE id IN ($_[0])") }

sub start_over {
    wait_for_worker($node, 'postgres');
    $listener = CacheInvalidate::Listener->new($node, 'postgres');
}

# Transactions that the journal has a batch of.
sub journalled {
    return sql('SELECT count(DISTINCT xmin::text) FROM (SELECT xmin, batch FROM cache_invalidation_journal_0'
          . ' UNION ALL SELECT xmin, batch FROM cache_invalidation_journal_1) r WHERE get_byte(batch, 0) = 1');
}

sub heard {
    my ($id, $what) = @_;
    return ok(scalar $listener->take_until($what, sub { ($_[0]{record_id} // '') eq $id }), $what);
}

# Changes go by the ring alone once the worker has allowed it.
sub becomes_allowed {
    my ($id) = @_;
    return ok(wait_until('the ring alone', sub { my $before = journalled(); change($id); journalled() == $before }),
        'changes go without the journal');
}

# --- Without the journal, and delivered all the same

change(1);
heard(1, 'the first change is told');
is($redis->has('item:1'), 0, 'and its key deleted');
becomes_allowed(2);
my $before = journalled();
change("$_") for 3 .. 20;
heard(20, 'changes are told');
ok($redis->wait_gone(map { "item:$_" } 1 .. 20), 'their keys are deleted');
is(journalled(), $before, 'none of them is in the journal');
sql('BEGIN; UPDATE item SET version = version + 1 WHERE id = 21; ROLLBACK');
sql("BEGIN; UPDATE item SET version = version + 1 WHERE id = 22; PREPARE TRANSACTION 'p'");
sql("COMMIT PREPARED 'p'");
heard(22, 'what was prepared is told');
is($redis->has('item:21'), 1, 'what was rolled back is not');
is(journalled(), $before + 1, 'a prepared transaction is journalled');
sql('BEGIN; SET LOCAL cache_invalidate.durability = on; UPDATE item SET version = version + 1 WHERE id = 23; COMMIT');
heard(23, 'what asked for the journal is told');
is(journalled(), $before + 2, 'and is journalled');

# --- More than the ring holds, while nobody empties it

my $worker = wait_for_worker($node, 'postgres');
kill 'STOP', $worker;
my $script = PostgreSQL::Test::Utils::tempdir() . '/next.sql';
append_to_file($script, "UPDATE item SET version = version + 1 WHERE id = (SELECT 100 + nextval('next_item'));\n");
sql('CREATE SEQUENCE next_item');
command_ok([ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c', 2, '-t', 1000, '-f', $script, 'postgres' ], 'two thousand changes');
kill 'CONT', $worker;
ok($redis->wait_gone(map { "item:$_" } 101 .. 2100), 'all keys are deleted');
is($redis->has('item:2101'), 1, 'no other');
is_deeply([ grep { ($_->{message}{operation} // '') eq 'RESET' } $listener->take ], [], 'the ring was left in time: nothing had to be reset');

# --- A clean stop

$redis->fill('item:30', 'item:31', 'all items');
change(30);
$listener->quit;
$node->restart;
start_over();
change(32);
heard(32, 'after a restart changes are told');
is($redis->has('item:31'), 1, 'a clean restart resets nothing');
is($redis->has('item:30'), 0, 'and loses nothing');

# --- A clean stop while Redis is down

becomes_allowed(33);
$redis->kill9;
ok(wait_until('it is seen', sub { target($node, 'postgres', 'state') eq 'down' }), 'Redis is down');
change("$_") for 40 .. 45;
$listener->quit;
$node->restart;
start_over();
$redis->start;
ok($redis->wait_gone(map { "item:$_" } 40 .. 45), 'what was owed at a clean stop is deleted afterwards');
is($redis->has('item:46'), 1, 'without a reset');

# --- Crashes

for my $kill (qw(server worker)) {
    becomes_allowed(50);
    $redis->fill(map { "item:$_" } 1 .. 100);
    $redis->fill('all items');
    $listener->quit;
    if ($kill eq 'server') {
        $node->stop('immediate');
        $node->start;
    } else {
        kill 'KILL', wait_for_worker($node, 'postgres');
        wait_for_server($node);
    }
    # Whoever listens meanwhile hears it; this one may be too late, but the caches tell.
    start_over();
    ok($redis->wait_gone((map { "item:$_" } 1 .. 100), 'all items'), "after a crash of the $kill everything that triggers name is deleted");
    is($redis->has('other:1') + $redis->has('items'), 2, 'and nothing else');
    ok(wait_until('counted', sub { stat_of($node, 'postgres', 'notifications') > 0 }), 'a message is sent');
    change(60);
    heard(60, 'then it goes on');
}

# --- Without it, a crash needs no reset

sql('ALTER SYSTEM SET cache_invalidate.durability = on');
$node->reload;
ok(wait_until('on', sub { sql('SHOW cache_invalidate.durability') eq 'on' }), 'durability is on again');
$listener->quit;
$node->restart;
start_over();
$redis->fill(map { "item:$_" } 70 .. 80);
change(70);
heard(70, 'a change is told');
$node->stop('immediate');
$node->start;
start_over();
change(71);
heard(71, 'and after a crash too');
is($redis->has('item:72'), 1, 'which resets nothing');

done_testing();
