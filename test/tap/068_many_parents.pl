# A statement that looks up more rows by foreign keys than are remembered: each key is still the right one.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant { PARENTS => 150_000, KINDS => 10 };

# Memory that was freed must not go unnoticed.
$ENV{MALLOC_PERTURB_} = 165;
my $node = new_node('main');
$node->start;
my $cache = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $cache, rows => 1);
wait_for_worker($node, 'postgres');

# Two values of each parent, of which there are few different ones: nothing is widened.
my ($parents, $kinds) = (PARENTS, KINDS);
$node->safe_psql('postgres', <<"END");
CREATE TABLE account (id int PRIMARY KEY, org text, region text, note text);
INSERT INTO account SELECT n, 'org' || n % $kinds, 'region' || n % $kinds, repeat('x', 2000) FROM generate_series(1, $parents) n;
CREATE TABLE visit (id int PRIMARY KEY, account_id int REFERENCES account);
CREATE TRIGGER cache_invalidation_visit AFTER INSERT ON visit FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=org:{account_id.org}', 'key=region:{account_id.region}', 'channel=')
END
my @keys = map { ("org:org$_", "region:region$_") } 0 .. KINDS - 1;
$cache->fill(@keys);
$node->safe_psql('postgres', "INSERT INTO visit SELECT n, n FROM generate_series(1, $parents) n");
ok($cache->wait_gone(@keys), 'the keys of all parents are deleted');
is(stat_of($node, 'postgres', 'keys'), scalar @keys, 'and no other was noted');
is(stat_of($node, 'postgres', 'patterns'), 0, 'nor a pattern');

# Long values count by their size.
my $bytes = $node->safe_psql('postgres', <<'END');
DROP TRIGGER cache_invalidation_visit ON visit;
CREATE TRIGGER cache_invalidation_visit AFTER UPDATE ON visit FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=org:{account_id.org}', 'fields=note=account_id.note', 'channel=visits');
BEGIN;
UPDATE visit SET id = -id WHERE id <= 20000;
SELECT coalesce(sum(total_bytes), 0) FROM pg_backend_memory_contexts WHERE name = 'cache_invalidate look-ups';
COMMIT;
END
cmp_ok($bytes, '>', 0, 'what was found is remembered');
cmp_ok($bytes, '<', 25 * 1024 * 1024, 'and takes little memory, however long it is');

$node->stop;
done_testing();
