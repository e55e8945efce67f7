# pause_cache_invalidation() and resume_cache_invalidation(): nothing leaves meanwhile, nothing is lost, also across a restart;
# one server may be paused alone.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

# No message is told before its keys are deleted, and once more then.
my $node = new_node('main', 'cache_invalidate.signal_timeout' => '1min');
$node->start;
my @redis = map { CacheInvalidate::Redis->new($_) } qw(cache other);
create_items($node, 'postgres', $redis[0], rows => 100);
sql("CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $redis[1]->url }')");
$redis[1]->fill(map { "item:$_" } 1 .. 100);
my $worker = wait_for_worker($node, 'postgres');
my $listener = CacheInvalidate::Listener->new($node, 'postgres');

sub sql { return $node->safe_psql('postgres', @_) }
sub change { sql("UPDATE item SET version = version + 1 WHERE id IN ($_[0])") }
sub are { my ($state, @servers) = @_; return wait_until($state, sub { !grep { target($node, 'postgres', 'state', $_) ne $state } @servers }) }

sub heard {
    my ($id, $what) = @_;
    my @messages = $listener->take_until($what, sub { ($_[0]{record_id} // '') eq $id });
    ok(scalar @messages, $what);
    return map { $_->{message}{record_id} } @messages;
}

sub taken { my ($before) = @_; return wait_until('taken', sub { stat_of($node, 'postgres', 'batches') > $before }) }

ok(are('up', qw(cache other)), 'both servers are up');

# --- One server

is(sql("SELECT pause_cache_invalidation('other')"), 't', 'a server is paused');
ok(are('paused', 'other'), 'the view says so');
is(target($node, 'postgres', 'problem', 'other'), 'paused by hand', 'and why');
ok(wait_until('hung up', sub { $redis[1]->command('CLIENT', 'LIST', 'TYPE', 'normal') !~ /name=cache_invalidate/ }), 'no connection is left');
change(1);
heard(1, 'messages do not wait for it');
ok($redis[0]->wait_gone('item:1'), 'the other one goes on');
is($redis[1]->has('item:1'), 1, 'nothing is sent to the paused one');
is(sql("SELECT resume_cache_invalidation('other')"), 't', 'it is resumed');
ok($redis[1]->wait_gone('item:1'), 'it gets what it is owed');
heard(1, 'and the message comes again behind that');
is(worker_pid($node, 'postgres'), $worker, 'the worker was not restarted');

# --- All, with a rollback of the pause, and a restart meanwhile

sql('BEGIN; SELECT pause_cache_invalidation(); ROLLBACK');
change(2);
heard(2, 'a pause that is rolled back is none');
# What is not may be told once more by the next worker.
ok(wait_until('noted', sub { is_noted($node, 'postgres') }), 'which is noted as sent');
is(sql('SELECT pause_cache_invalidation()'), 't', 'all is paused');
ok(are('paused', qw(cache other)), 'the view says so');
my $before = stat_of($node, 'postgres', 'batches');
change('3, 4');
ok(taken($before), 'changes are taken');
is($_->has('item:3'), 1, 'nothing is deleted') for @redis;
is_deeply([ $listener->take ], [], 'nothing is told');
$listener->quit;
$node->restart;
$listener = CacheInvalidate::Listener->new($node, 'postgres');
wait_for_worker($node, 'postgres');
ok(are('paused', qw(cache other)), 'a restart does not end it');
$before = stat_of($node, 'postgres', 'batches');
change(5);
ok(taken($before), 'changes are taken');
is($_->has('item:5'), 1, 'nothing is deleted') for @redis;
is_deeply([ $listener->take ], [], 'nothing is told');
ok(journal_pages($node, 'postgres') > 0, 'the journal keeps them');
is(sql('SELECT resume_cache_invalidation()'), 't', 'all is resumed');
ok($_->wait_gone('item:3', 'item:4', 'item:5'), 'everything is deleted') for @redis;
is(join(' ', grep { $_ > 2 } heard(5, 'and told')), '3 4 5', 'in its order');
is($_->has('item:6'), 1, 'nothing else is deleted') for @redis;
ok(wait_until('empty', sub { journal_pages($node, 'postgres') <= 2 }), 'the journal is empty in the end');

done_testing();
