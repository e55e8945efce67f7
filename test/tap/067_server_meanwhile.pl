# A server that is made, or granted, while a transaction is under way: what commits afterwards is told there too, whoever filled it meanwhile.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node = new_node('main');
$node->start;
my ($cache, $other) = map { CacheInvalidate::Redis->new($_) } qw(cache other);
create_items($node, 'postgres', $cache, rows => 10);
wait_for_worker($node, 'postgres');
sub sql { return $node->safe_psql('postgres', @_) }

# The session knows the servers already, and takes no lock any more that would tell it of others.
my $session = $node->background_psql('postgres');
my $change  = 'UPDATE item SET version = version + 1 WHERE id = ';
$session->query_safe("$change 1");
$session->query_safe("BEGIN; $change 2");
sql("CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $other->url }')");
ok(wait_until('up', sub { target($node, 'postgres', 'state', 'other') eq 'up' }), 'the new server is up');
$other->fill('item:2');
$session->query_safe('COMMIT');
ok($cache->wait_gone('item:2'), 'the first server is told what commits');
ok($other->wait_gone('item:2'), 'and so is the one that was made meanwhile');

# The same when the table's owner may use it from then on.
sql('CREATE ROLE clerk; ALTER TABLE item OWNER TO clerk; GRANT USAGE ON FOREIGN SERVER cache TO clerk');
$session->query_safe("$change 3");
$session->query_safe("BEGIN; $change 4");
sql('GRANT USAGE ON FOREIGN SERVER other TO clerk');
$other->fill('item:4');
$session->query_safe('COMMIT');
ok($cache->wait_gone('item:4'), 'the first server is told what commits');
ok($other->wait_gone('item:4'), 'and so is the one that was granted meanwhile');

$session->quit;
$node->stop;
done_testing();
