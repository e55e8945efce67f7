# What others do to the database does not stop the deletes: sessions without rights, locked or broken log
# tables, servers that come and go while batches are on their way, a prepared transaction that stays.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

# Memory that was freed must not go unnoticed.
$ENV{MALLOC_PERTURB_}    = 165;
$ENV{GLIBC_TUNABLES}     = 'glibc.malloc.tcache_count=0';
my $node  = new_node('main');
my $redis = CacheInvalidate::Redis->new('cache');
my $other = CacheInvalidate::Redis->new('other');
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE app; CREATE ROLE joe LOGIN');
create_items($node, 'app', $redis, rows => 40);
my $worker = wait_for_worker($node, 'app');
my $next   = 0;

# Changes another row and waits for its key.
sub delivers {
    my ($what) = @_;
    my $id = ++$next;
    $node->safe_psql('app', "UPDATE item SET version = version + 1 WHERE id = $id");
    ok($redis->wait_gone("item:$id", 10), "$what: deletes go on");
}

# --- Sessions that may not drop the database do not send its worker away

my $joe = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'joe' ]);
$joe->query_until(qr/done/, "BEGIN;\nSAVEPOINT s;\nDROP DATABASE app;\nROLLBACK TO s;\n\\echo done\n");
delivers('a DROP DATABASE that was refused');
is(worker_pid($node, 'app'), $worker, 'the worker has not left for it');
$joe->quit;
my $owner = $node->background_psql('postgres', on_error_stop => 0);
$owner->query_until(qr/done/, "BEGIN;\nSAVEPOINT s;\nDROP DATABASE app;\nROLLBACK TO s;\n\\echo done\n");
delivers('a DROP DATABASE that failed, its transaction still open');
$owner->quit;
$worker = wait_for_worker($node, 'app');

# --- Servers that come and go

$node->safe_psql('app',
    "CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '" . $other->url . "');"
      . 'UPDATE item SET version = version + 1 WHERE id = 30');
$other->fill('item:31', 'item:32', 'item:33');
$node->safe_psql('app', 'UPDATE item SET version = version + 1 WHERE id = 31');
ok($other->wait_gone('item:31'), 'a server is served right after it was made');
$node->safe_psql('app', 'DROP SERVER other');
delivers('a server that was dropped');
is(worker_pid($node, 'app'), $worker, 'and the worker is the same');
$node->safe_psql('app',
    "BEGIN; CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '" . $other->url . "');"
      . " PREPARE TRANSACTION 'server'");
$node->safe_psql('app', "COMMIT PREPARED 'server'");
$node->safe_psql('app', 'UPDATE item SET version = version + 1 WHERE id = 32');
ok($other->wait_gone('item:32', 10), 'a server that a prepared transaction made is served too');
$node->safe_psql('app', "ALTER SERVER other OPTIONS (ADD enabled 'false')");
ok(wait_until('disabled', sub { target($node, 'app', 'state', 'other') eq 'disabled' }), 'a server is disabled');
$node->safe_psql('app', "ALTER SERVER other OPTIONS (SET enabled 'true'); UPDATE item SET version = version + 1 WHERE id = 33");
ok($other->wait_gone('item:33', 10), 'and has what was committed right after it was enabled again');

# --- The error log

$node->safe_psql('app', q(
    CREATE TABLE broken (id int PRIMARY KEY, a int);
    CREATE TRIGGER broken AFTER INSERT OR DELETE ON broken FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=b:{a}');
    SET session_replication_role = replica;
    ALTER TABLE broken RENAME COLUMN a TO b;));
my $lock = $node->background_psql('app');
$lock->query_safe('BEGIN; LOCK TABLE trigger_error_log IN SHARE MODE');
$node->safe_psql('app', 'INSERT INTO broken VALUES (1, 1)');
my $hearer = CacheInvalidate::Listener->new($node, 'app', 'cache_invalidation');
delivers('somebody has locked the error log');
ok(scalar($hearer->take_until('its message', sub { ($_[0]{record_id} // '') eq $next })), 'and so do messages');
$hearer->quit;
$lock->query_safe('COMMIT');
$lock->quit;
ok(wait_until('the row is written', sub { $node->safe_psql('app', 'SELECT count(*) FROM trigger_error_log') == 1 }),
    'the error is written when the lock is gone');
like($node->safe_psql('app', 'SELECT error_message FROM trigger_error_log'), qr/column "a" of table "broken" does not exist/,
    'and says what is wrong');
$node->safe_psql('app', 'ALTER TABLE trigger_error_log ADD CONSTRAINT no CHECK (operation <> $$DELETE$$)');
$node->safe_psql('app', 'DELETE FROM broken');
delivers('a row that the error log refuses');
is(worker_pid($node, 'app'), $worker, 'the worker has not died of it');
$node->safe_psql('app', 'ALTER TABLE trigger_error_log DROP CONSTRAINT no');
ok(wait_until('the second row is written', sub { $node->safe_psql('app', 'SELECT count(*) FROM trigger_error_log') == 2 }),
    'and writes the row when it may');

# --- A prepared transaction that stays

$node->safe_psql('app', "BEGIN; UPDATE item SET version = 9 WHERE id = 34; PREPARE TRANSACTION 'stays'");
delivers('a prepared transaction is open');
my $scans = stat_of($node, 'app', 'journal_scans');
$node->restart;
wait_for_worker($node, 'app');
my $listener = CacheInvalidate::Listener->new($node, 'app', 'cache_invalidation');
delivers('after a restart');
my @messages = $listener->take_until('the newest', sub { ($_[0]{record_id} // '') eq $next });
is(scalar @messages, 1, 'nothing from before the restart is repeated: what was delivered has been remembered');
$node->safe_psql('app', "COMMIT PREPARED 'stays'");
ok($redis->wait_gone('item:34'), 'its key is deleted when it is committed');

# --- A table that a path leads to is locked by somebody who stays

{
    $node->safe_psql('app', q(CREATE TABLE calls (id int PRIMARY KEY, caller int); CREATE TABLE scores (id int, call_id int REFERENCES calls, score int);
        INSERT INTO calls VALUES (1, 10); INSERT INTO scores VALUES (1, 1, 0);
        CREATE TRIGGER scores AFTER UPDATE ON scores FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=caller:{call_id.caller}', 'channel=')));
    my ($scorer, $holder) = map { $node->background_psql('app') } 1 .. 2;
    $redis->fill('caller:10', 'caller:20', 'callers');
    $scorer->query_safe('UPDATE scores SET score = 1');
    ok($redis->wait_gone('caller:10'), 'a path is followed');
    $holder->query_safe('BEGIN; LOCK TABLE calls IN ACCESS EXCLUSIVE MODE');
    $redis->fill('caller:10');
    $scorer->query_safe('UPDATE scores SET score = 2');
    ok($redis->wait_gone('caller:10', 'caller:20'), 'where it cannot be, all that its template could give is deleted');
    is($redis->has('callers'), 1, 'and nothing else');
    $_->quit for $scorer, $holder;
}

# --- DROP EXTENSION beside a writer

my $writer = $node->background_psql('app');
$writer->query_safe('BEGIN; UPDATE item SET version = 77 WHERE id = 35');
my $dropper = $node->background_psql('app');
$dropper->query_until(qr/begun/, "\\echo begun\nDROP EXTENSION cache_invalidate CASCADE;\n");
ok(wait_until('it waits', sub {
        $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 1 }),
    'DROP EXTENSION waits for who has changed a covered table');
$writer->query_safe('COMMIT');
is($node->safe_psql('app', 'SELECT version FROM item WHERE id = 35'), 77, 'whose commit succeeds');
$dropper->quit;
$writer->quit;
ok(wait_until('no worker', sub { !defined worker_pid($node, 'app') }), 'then the extension and its worker are gone');

unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC/, 'nothing has crashed');
$node->stop;
done_testing();
