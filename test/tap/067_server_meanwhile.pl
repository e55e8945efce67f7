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

sub create_extension {
    sql("CREATE EXTENSION cache_invalidate; CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $cache->url }')");
    ok(wait_until('up', sub { target($node, 'postgres', 'state') eq 'up' }), 'the server of the new extension is up');
}

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

# The same when the whole extension was made anew, as nothing keeps it for a key by hand.
$session->query_safe("BEGIN; SELECT invalidate_cache_key('item:6')");
sql('DROP EXTENSION cache_invalidate CASCADE');
create_extension();
$cache->fill('item:6');
$session->query_safe('COMMIT');
ok($cache->wait_gone('item:6'), 'the server of the extension that was made meanwhile is told what commits');

# And when that is under way while this commits, which waits for it.
$session->query_safe("BEGIN; SELECT invalidate_cache_key('item:7')");
my $maker = $node->background_psql('postgres');
$maker->query_safe("BEGIN; SET LOCAL client_min_messages = warning; DROP EXTENSION cache_invalidate CASCADE; CREATE EXTENSION cache_invalidate;
    CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $cache->url }')");
$session->query_until(qr/asked/, "\\echo asked\nCOMMIT;\n");
ok(wait_until('it waits', sub { sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 1 }), 'a commit waits for the new extension');
$cache->fill('item:7');
$maker->query_safe('COMMIT');
$session->query_safe('SELECT 1');
ok($cache->wait_gone('item:7'), 'and its server is told what commits');
$maker->quit;

$session->quit;
$node->stop;
done_testing();
