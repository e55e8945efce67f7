# Another extension changes rows when ours has written the transaction's batch already: such changes are delivered like others, also of a
# transaction that changed nothing else, that is prepared, or that goes by the ring only.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $source = <<'EOT';
#include "postgres.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

PG_MODULE_MAGIC;
void _PG_init(void);
static char *statement;

static void
write_late(XactEvent event, void *argument)
{
    if ((event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE) || statement[0] == '\0')
        return;
    SPI_connect();
    PushActiveSnapshot(GetTransactionSnapshot());
    SPI_execute(statement, false, 0);
    PopActiveSnapshot();
    SPI_finish();
}

void
_PG_init(void)
{
    DefineCustomStringVariable("late_writer.statement", "What to do before a transaction ends.", NULL, &statement, "", PGC_USERSET, 0, NULL, NULL, NULL);
    RegisterXactCallback(write_late, NULL);
}
EOT

sub place { my ($what) = @_; chomp(my $place = `pg_config --$what`); return $place }

my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/late_writer.c", $source);
my ($compiler) = split ' ', place('cc');
my @compile = ($compiler, '-shared', '-fPIC', '-I', place('includedir-server'), '-o', "$dir/late_writer.so", "$dir/late_writer.c");
plan skip_all => 'there is no compiler' if system("command -v $compiler >/dev/null 2>&1") != 0;
is(system(@compile), 0, 'the other extension is built') or BAIL_OUT('it is needed');

# The callbacks that were registered first run last.
my $node = new_node('main', shared_preload_libraries => "$dir/late_writer, cache_invalidate");
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $redis, rows => 20);
wait_for_worker($node, 'postgres');
ok(wait_until('up', sub { target($node, 'postgres', 'state') eq 'up' }), 'the server is up');

sub sql { return $node->safe_psql('postgres', @_) }
sub change { my ($id) = @_; return "UPDATE item SET version = version + 1 WHERE id = $id" }
sub late { my ($id) = @_; return "SET LOCAL late_writer.statement = '${\ change($id) }'" }

my $listener = CacheInvalidate::Listener->new($node, 'postgres');
sql("BEGIN; ${\ late(2) }; ${\ change(1) }; COMMIT");
ok($redis->wait_gone('item:1', 'item:2'), 'a change behind others');
my %heard;
ok(scalar $listener->take_until('both', sub { $heard{ $_[0]{record_id} } = 1; $heard{1} && $heard{2} }), 'and its message');
$listener->quit;

sql("BEGIN; ${\ late(3) }; SELECT 1; COMMIT");
ok($redis->wait_gone('item:3'), 'a change of a transaction that changed nothing else');

sql("BEGIN; ${\ late(5) }; ${\ change(4) }; PREPARE TRANSACTION 'late'");
sql(change(6));
ok($redis->wait_gone('item:6'), 'others go on');
is($redis->command('EXISTS', 'item:4', 'item:5'), 2, 'what is prepared waits');
sql("COMMIT PREPARED 'late'");
ok($redis->wait_gone('item:4', 'item:5'), 'a change of a transaction that is prepared');

# The first of them asks the worker to take batches that are in the ring only.
for my $id (7, 9) {
    my $second = $id + 1;
    sql("BEGIN; SET LOCAL cache_invalidate.durability = off; ${\ late($second) }; ${\ change($id) }; COMMIT");
    ok($redis->wait_gone("item:$id", "item:$second"), 'a change of a transaction that goes by the ring only');
}

sql("BEGIN; ${\ late(12) }; ${\ change(11) }; ROLLBACK; ${\ change(13) }");
ok($redis->wait_gone('item:13'), 'others go on');
is($redis->command('EXISTS', 'item:11', 'item:12'), 2, 'nothing of what is rolled back');
$node->stop;
done_testing();
