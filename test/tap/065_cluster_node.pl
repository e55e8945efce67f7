# A node of a Redis Cluster, which is no server for this extension: what it will not take is not given up. With leases it refuses even one key.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node = new_node('main');
$node->start;
my $cache = CacheInvalidate::Redis->new('cache', config => ['cluster-enabled yes']);
# One node that has all slots, so that it refuses only what names two of them.
$cache->command('CLUSTER', 'ADDSLOTS', 0 .. 16383);
ok(wait_until('cluster', sub { $cache->command('CLUSTER', 'INFO') =~ /cluster_state:ok/ }), 'a cluster of one node');
create_items($node, 'postgres', $cache, rows => 1);
$node->safe_psql('postgres', q(ALTER SERVER cache OPTIONS (ADD lease_prefix 'lease:')));
wait_for_worker($node, 'postgres');

$node->safe_psql('postgres', 'UPDATE item SET version = version + 1 WHERE id = 1');
ok(wait_until('down', sub { target($node, 'postgres', 'state') eq 'down' }), 'a server that cannot take a key with its lease is down');
like(target($node, 'postgres', 'problem'), qr/CROSSSLOT/, 'and why shows');
like(target($node, 'postgres', 'cure'), qr/[Cc]luster/, 'with its cure');
is(target($node, 'postgres', 'keys_pending'), 1, 'the key is owed');
$node->safe_psql('postgres', 'ALTER SERVER cache OPTIONS (DROP lease_prefix)');
ok($cache->wait_gone('item:1'), 'without leases it is deleted');

$node->stop;
done_testing();
