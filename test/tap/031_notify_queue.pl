# A listener sits in a transaction, so that the server's queue of notifications fills up. The worker stops before it is full,
# so that users' commits never fail; deletes go on, and when there is room a reset message stands for what was not sent.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant ROWS => 2000;

# Two pages of the queue are more than this part of it.
my $node = new_node('main', 'cache_invalidate.notify_queue_limit' => '0.0001');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $redis, rows => ROWS);
sql(items_trigger(q('resource=thing', 'format=resource', 'channel=things')) =~ s/cache_invalidation_item/cache_invalidation_thing/r);
wait_for_worker($node, 'postgres');
my $listener = CacheInvalidate::Listener->new($node, 'postgres', 'cache_invalidation', 'things', 'own');
my $idle = $node->background_psql('postgres');
$idle->query_safe('LISTEN something');

sub sql { return $node->safe_psql('postgres', @_) }
sub held { return stat_of($node, 'postgres', 'notify_held') }
sub is_reset { my ($message) = @_; return ($message->{type} // '') eq 'reset' }

sql('UPDATE item SET version = version + 1 WHERE id = 1');
ok(scalar $listener->take_until('message', sub { ($_[0]{id} // '') eq '1' }), 'messages come');
is(held(), 'f', 'nothing is held back');

# --- The queue fills

$idle->query_safe('BEGIN');
my $round = 0;
ok(wait_until('held', sub { sql('UPDATE item SET version = version + 1 WHERE id > 1000'); $round++; held() eq 't' }), 'NOTIFY is held back');
$listener->take;
sql('UPDATE item SET version = version + 1 WHERE id BETWEEN 100 AND 200');
ok($redis->wait_gone(map { "item:$_" } 100 .. 200), 'deletes go on');
is($redis->has('item:50'), 1, 'of what changed');
sql(q(BEGIN; NOTIFY own, 'of a user'; COMMIT));
ok(wait_until('counted', sub { stat_of($node, 'postgres', 'batches') >= $round + 2 }), 'batches are taken');
my @heard = map { $_->{message}{record_id} // $_->{message}{id} } grep { $_->{channel} ne 'own' } take_plain();
is(scalar(grep { defined && $_ >= 100 && $_ <= 200 } @heard), 0, 'their messages are not sent');

# Messages of users are no JSON.
sub take_plain {
    my $output = $listener->{psql}->query_safe('SELECT 1');
    my @found;
    while ($output =~ /^Asynchronous notification "([^"]*)" with payload "(.*)" received from/mg) {
        push @found, { channel => $1, message => $1 eq 'own' ? {} : JSON::PP->new->decode($2) };
    }
    return @found;
}

# --- It empties

$idle->query_safe('COMMIT');
for my $shape ([ 'cache_invalidation', 'operation' ], [ 'things', 'action' ]) {
    my ($channel, $member) = @$shape;
    my @messages = $listener->take_until("reset on $channel", sub { is_reset($_[0]) && defined $_[0]{$member} });
    ok(scalar @messages, "a reset message comes on channel $channel");
    is($messages[-1]{message}{$member}, 'RESET', 'in its shape');
    isnt($messages[-1]{message}{reason} // '', '', 'with a reason');
}
ok(wait_until('free', sub { held() eq 'f' }), 'nothing is held back any more');
sql('UPDATE item SET version = version + 1 WHERE id = 7');
ok(scalar $listener->take_until('message', sub { ($_[0]{record_id} // '') eq '7' }), 'messages come again');
is($redis->has('item:50'), 1, 'a reset of messages deletes no keys');

# --- Across a crash while it is held back

$idle->query_safe('BEGIN');
ok(wait_until('held', sub { sql('UPDATE item SET version = version + 1 WHERE id > 1000'); held() eq 't' }), 'it is held back again');
sql('UPDATE item SET version = version + 1 WHERE id = 300');
ok($redis->wait_gone('item:300'), 'the key is deleted');
ok(wait_until('noted', sub { is_noted($node, 'postgres') }), 'and what is owed to listeners is noted');
$_->quit for $idle, $listener;
$node->stop('immediate');
my $before = -s $node->logfile;
$node->start;
$listener = CacheInvalidate::Listener->new($node, 'postgres', 'cache_invalidation', 'things');
wait_for_worker($node, 'postgres');
ok(wait_until('reset', sub { slurp_file($node->logfile, $before) =~ /reset: messages could not be sent/ }), 'after a crash it is known still');
ok(wait_until('sent', sub { stat_of($node, 'postgres', 'messages') >= 2 }), 'and the reset messages are on their way');

done_testing();
