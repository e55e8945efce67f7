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

my $node = new_node('main', allows_streaming => 1, 'cache_invalidate.ring_size' => '64kB', 'cache_invalidate.durability' => 'off',
    'cache_invalidate.replay_window' => '1h');    # the journal keeps what comes to it
$node->start;
my $redis = CacheInvalidate::Redis->new('cache', config => [ 'appendonly yes', 'appendfsync always' ]);
create_items($node, 'postgres', $redis, rows => 3000, arguments => q('resource=item', 'key=item:{id}', 'key=the second key of item {id}', 'key=all items'));
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

my $worker = stop_worker($node, 'postgres');
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

# --- Redis is down for a while: the messages of that time cannot be repeated

becomes_allowed(51);
$redis->kill9;
ok(wait_until('it is seen', sub { target($node, 'postgres', 'state') eq 'down' }), 'Redis is down');
$before = journalled();
change(52);
heard(52, 'messages do not wait for it');
is(journalled(), $before, 'the change is not in the journal');
$redis->start;
ok($redis->wait_gone('item:52'), 'when it is back its key is deleted');
ok(scalar $listener->take_until('reset', sub { ($_[0]{type} // '') eq 'reset' }), 'and a reset message follows');

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
        my $killed = wait_for_worker($node, 'postgres');
        kill 'KILL', $killed;
        wait_for_server($node, $killed);
    }
    # Whoever listens meanwhile hears it; this one may be too late, but the caches tell.
    start_over();
    ok($redis->wait_gone((map { "item:$_" } 1 .. 100), 'all items'), "after a crash of the $kill everything that triggers name is deleted");
    is($redis->has('other:1') + $redis->has('items'), 2, 'and nothing else');
    ok(wait_until('counted', sub { stat_of($node, 'postgres', 'messages') > 0 }), 'a message is sent');
    change(60);
    heard(60, 'then it goes on');
}

# --- More than the ring holds at once: those that are waiting to commit have been promised room, each for itself

becomes_allowed(50);
$redis->fill((map { "item:$_" } 1 .. 3000), 'all items');
$listener->take;
sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
$node->reload;
ok(wait_until('waits', sub { sql('SHOW synchronous_standby_names') eq 'nobody' }), 'commits wait for a standby');
sql('CHECKPOINT');    # it is the checkpointer that puts it into effect
$worker = stop_worker($node, 'postgres');
my @sessions = map { $node->background_psql('postgres') } 1 .. 12;
for my $number (0 .. $#sessions) {
    my $from = 100 + 240 * $number;
    $sessions[$number]->query_until(qr/asked/, "\\echo asked\nUPDATE item SET version = version + 1 WHERE id >= $from AND id < $from + 240;\n");
}
ok(wait_until('all wait', sub { sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == @sessions }), 'twelve transactions wait');
sql("ALTER SYSTEM RESET synchronous_standby_names");
$node->reload;
$_->quit for @sessions;
kill 'CONT', $worker;
ok(scalar $listener->take_until('reset', sub { ($_[0]{type} // '') eq 'reset' }), 'what did not fit the ring is made up for by a reset message');
ok($redis->wait_gone((map { "item:$_" } 1 .. 3000), 'all items'), 'and everything is deleted that triggers name');
is($redis->has('other:1') + $redis->has('items'), 2, 'and nothing else');
is(wait_for_worker($node, 'postgres'), $worker, 'by the same worker');

# --- When nobody has made use of it for a minute, it ends by itself: then a crash loses nothing

if ($ENV{CACHE_INVALIDATE_LONG_TESTS}) {
    $redis->fill(map { "item:$_" } 1 .. 100);
    my $marks = q(SELECT count(*) FROM (SELECT xmin, batch FROM cache_invalidation_journal_0 UNION ALL
                  SELECT xmin, batch FROM cache_invalidation_journal_1) r WHERE get_byte(batch, 0) = 2);
    my $before = sql($marks);
    ok(wait_until('a new mark', sub { sql($marks) > $before }, 150), 'the watermark changes');
    $listener->quit;
    $node->stop('immediate');
    $node->start;
    start_over();
    change(90);
    heard(90, 'after a crash it goes on');
    is($redis->has('item:91'), 1, 'and nothing was reset');
}

# --- A standby that is promoted cannot know what was lost

my $primary = new_node('primary', allows_streaming => 1, 'cache_invalidate.durability' => 'off', 'cache_invalidate.replay_window' => '1h');
$primary->start;
my $second = CacheInvalidate::Redis->new('second', config => [ 'appendonly yes', 'appendfsync always' ]);
create_items($primary, 'postgres', $second, rows => 100);
wait_for_worker($primary, 'postgres');
my $main = $node;
$node = $primary;
becomes_allowed(1);
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$second->fill(map { "item:$_" } 1 .. 100);
$second->pause;
change(7);
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
$primary->stop('immediate');
$second->resume;
$standby->promote;
$node = $standby;
wait_for_worker($standby, 'postgres');
ok($second->wait_gone(map { "item:$_" } 1 .. 100), 'after a promotion everything is deleted that triggers name');
change(8);
like(slurp_file($standby->logfile), qr/cache_invalidate: reset: changes may have been lost with the ring/, 'and the log says why');
$standby->stop;
$node = $main;

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
