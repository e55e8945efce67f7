# A server that answers, but publishes slower than changes come: when memory is full of messages that wait for it, a reset message
# stands for them, so that the deletes of the others go on.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Relay;
use CacheInvalidate::Wait;

use constant { ROWS => 45_000, LATE => 1000 };

# A relay that gets little of a busy machine must not pass for a server that does not answer.
my $node = new_node('main', 'cache_invalidate.ring_size' => '64MB', 'cache_invalidate.signal_timeout' => '60s');
$node->start;
my ($fast, $slow) = map { CacheInvalidate::Redis->new($_) } qw(fast slow);
my $relay = CacheInvalidate::Relay->new($slow, 'slow');
create_items($node, 'postgres', undef, rows => ROWS);
sql("CREATE SERVER fast FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $fast->url }');
     CREATE SERVER slow FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $relay->url }', publish_channel 'changes', command_timeout '60s')");
my $worker = wait_for_worker($node, 'postgres');
ok(wait_until('up', sub { sql("SELECT count(*) FROM cache_invalidation_targets WHERE state = 'up'") == 2 }), 'both servers are up');
$_->fill(map { "item:$_" } 1 .. ROWS + 1) for $fast, $slow;

sub sql { return $node->safe_psql('postgres', @_) }

# Messages of different operations do not fold: more than memory holds. The worker finds all of them at once.
stop_worker($node, 'postgres');
sql('UPDATE item SET version = version + 1');
sql('DELETE FROM item WHERE id > ' . LATE);
sql('INSERT INTO item SELECT n FROM generate_series(' . (LATE + 1) . ', ' . ROWS . ') n');
sql('INSERT INTO item VALUES (' . (ROWS + 1) . ')');
kill 'CONT', $worker;
ok($fast->wait_gone('item:' . (ROWS + 1)), 'the fast one gets what came behind more messages than memory holds');
my $given_up = qr/too many messages wait: a reset message will stand for them/;
ok(wait_until('given up', sub { slurp_file($node->logfile) =~ $given_up }), 'since nobody waits for what is not taken');
ok($slow->wait_gone(map { "item:$_" } 1 .. ROWS + 1), 'the slow one gets its deletes too');
is($fast->command('DBSIZE'), 0, 'as the fast one did');
done_testing();
