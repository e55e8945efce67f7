# What becomes of a journal that is copied: by a base backup, by recovery to a point in time, by promotion where the library is
# not preloaded, by pg_upgrade, in single-user mode. What was owed is delivered wherever a worker runs, and none runs where
# nothing may change by itself.
use strict;
use warnings;

use FindBin;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Documentation;
use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant ROWS => 100;

my $redis = CacheInvalidate::Redis->new('cache');
my $node = new_node('main', allows_streaming => 1, max_worker_processes => 12);
$node->enable_archiving;
$node->start;
create_items($node, 'postgres', $redis, rows => ROWS);
wait_for_worker($node, 'postgres');
my ($next, %changed) = 0;

# Changes the next item, whose key is cached; returns the key.
sub change {
    my ($where) = @_;
    my $id = ++$next;
    ($where // $node)->safe_psql('postgres', "UPDATE item SET version = version + 1 WHERE id = $id");
    $changed{"item:$id"} = 1;
    return "item:$id";
}

# Keys that are owed while the cache hangs.
sub hang { $redis->pause; return map { change() } 1 .. 5 }

# All keys are there again, when the cache has done what it had been sent before it hung.
sub resume {
    $redis->resume;
    $redis->command('PING') for 1 .. 2;
    $redis->fill(map { "item:$_" } 1 .. ROWS);
    return;
}

# Deletes of about the last second before a copy was taken may be repeated; of what nobody changed there are none.
sub only_changed {
    my ($what) = @_;
    my %there = map { ($_ => 1) } $redis->keys;
    is_deeply([ grep { !$there{$_} && !$changed{$_} } map { "item:$_" } 1 .. ROWS ], [], "$what: the keys of what was not changed are kept");
    return;
}

sub all_kept {
    my ($what) = @_;
    is($redis->command('DBSIZE'), ROWS, "$what: nothing is delivered");
    return;
}

sub our_processes {
    my ($where) = @_;
    return $where->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'cache_invalidate%'");
}
# --- A base backup, started beside the source as a server of its own

my $delivered = change();
ok($redis->wait_gone($delivered), 'the source delivers');
my @owed = hang();
$node->backup('base');
my @later = map { change() } 1 .. 3;
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($node, 'base');
$redis->resume;
ok($redis->wait_gone(@owed, @later), 'the source delivers what it owed');
resume();
$copy->start;
ok(wait_for_worker($copy, 'postgres'), 'the copy has a worker of its own');
ok($redis->wait_gone(@owed), 'which delivers once more what was owed when it was taken');
my $there = change($copy);
my $here  = change();
ok($redis->wait_gone($there, $here), 'both serve the cache that both name');
only_changed('the copy');
ok(2 == $redis->command('EXISTS', @later[ 0, 1 ]), 'the copy: and of what it does not know');
is($copy->safe_psql('postgres', "SELECT string_agg(version::text, '' ORDER BY id) FROM item WHERE id <= $next"), '1' x 6 . '000' . '1' . '0',
    'the copy knows nothing of what was changed later');
$copy->stop;

# --- Recovery to a point in time: what was committed behind it never happened

@owed = hang();
$node->backup('for_recovery');
my @before = map { change() } 1 .. 3;
$node->safe_psql('postgres', "SELECT pg_create_restore_point('good')");
my @after = map { change() } 1 .. 3;
my $wal = $node->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_lsn())');
$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
ok(wait_until('archived', sub { -e $node->archive_dir . "/$wal" }), 'the log is archived');
$redis->resume;
ok($redis->wait_gone(@owed, @before, @after), 'the source delivers all of it');
resume();
my $recovered = PostgreSQL::Test::Cluster->new('recovered');
$recovered->init_from_backup($node, 'for_recovery', has_restoring => 1, standby => 0);
configure($recovered, archive_mode => 'off', recovery_target_name => 'good', recovery_target_action => 'promote');
$recovered->start;
ok(wait_for_worker($recovered, 'postgres'), 'the recovered server has a worker when it is promoted');
ok($redis->wait_gone(@owed, @before), 'which delivers what was owed at that point');
$there = change($recovered);
ok($redis->wait_gone($there), 'and what comes now');
only_changed('recovery');
is($recovered->safe_psql('postgres', 'SELECT count(*) FROM item WHERE version > 0 AND id IN (' . join(',', map { /(\d+)/ } @after) . ')'), '0',
    'what was committed later is taken back');
is($redis->command('EXISTS', @after), 3, 'and the cache is not told');
ok(wait_until('empty', sub { journal_pages($recovered, 'postgres') <= 2 }), 'its journal is emptied');
$recovered->stop;

# --- A standby that does not preload the library is promoted

my $standby = PostgreSQL::Test::Cluster->new('standby');
$node->backup('for_standby');
$standby->init_from_backup($node, 'for_standby', has_streaming => 1);
configure($standby, shared_preload_libraries => '', archive_mode => 'off');
$standby->start;
@owed = hang();
$node->wait_for_catchup($standby);
$node->stop('immediate');
resume();
$standby->promote;
ok(wait_until('promoted', sub { $standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()') eq 'f' }), 'a standby without the library is promoted');
push @owed, change($standby);
is(our_processes($standby), '0', 'it has no worker');
like($standby->safe_psql('postgres', "SELECT test_cache_invalidation('item')"), qr/"success":false,"message":"[^"]*shared_preload_libraries/, 'and says so');
all_kept('promotion without the library');
configure($standby, shared_preload_libraries => 'cache_invalidate');
$standby->restart;
ok(wait_for_worker($standby, 'postgres'), 'with the setting it has one');
ok($redis->wait_gone(@owed), 'which delivers what the primary owed, and what was committed here');
only_changed('promotion');
$node = $standby;

# --- Single-user mode: triggers write the journal, nothing else happens

$node->stop;
resume();
my $single = ++$next;
$changed{"item:$single"} = 1;
my $output = '';
my $status = IPC::Run::run([ 'postgres', '--single', '-D', $node->data_dir, 'postgres' ],
    '<', \"UPDATE item SET version = version + 1 WHERE id = $single\nSELECT version FROM item WHERE id = $single\n", '>&', \$output, IPC::Run::timeout(60));
ok($status, 'single-user mode: the server runs with the library') or diag($output);
unlike($output, qr/ERROR|FATAL|PANIC/, 'without an error') or diag($output);
all_kept('single-user mode');
$node->start;
ok($redis->wait_gone("item:$single"), 'single-user mode: what was done there is delivered after the start');

# --- Binary-upgrade mode, as pg_upgrade uses it: nothing runs by itself, and the dump that it takes succeeds

@owed = hang();
$node->stop('fast');
resume();
sub in_upgrade_mode {
    my ($do) = @_;
    my @control = ('pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile);
    command_ok([ @control, '-o', '-b', 'start' ], 'binary-upgrade mode: the server starts');
    $do->();
    command_ok([ @control, '-m', 'fast', 'stop' ], 'binary-upgrade mode: the server stops');
    return;
}
in_upgrade_mode(
    sub {
        is(our_processes($node), '0', 'no launcher and no worker runs');
        my ($dump, $said) = run_command([ 'pg_dump', '--binary-upgrade', '-s', '-d', $node->connstr('postgres') ]);
        is($said, '', 'pg_dump --binary-upgrade says nothing');
        like($dump, qr/binary_upgrade_create_empty_extension\('cache_invalidate'/, 'and has the extension');
    });
all_kept('binary-upgrade mode');
$node->start;
ok($redis->wait_gone(@owed), 'what was owed is delivered after the next start');
only_changed('after binary-upgrade mode');

# --- pg_upgrade, to a server of the same version: all of it but the link is done as for another one

SKIP: {
    my $bin = $node->config_data('--bindir');
    my $version = $node->safe_psql('postgres', 'SHOW server_version_num');
    skip 'pg_upgrade is not installed', 1 unless -x "$bin/pg_upgrade";
    my $old = new_node('old');
    $old->start;
    # So that a server of the new cluster has another number than it had.
    $old->safe_psql('postgres', 'CREATE TABLE before (); DROP TABLE before; CREATE TABLE b2 (); DROP TABLE b2');
    create_items($old, 'postgres', $redis, rows => ROWS);
    wait_for_worker($old, 'postgres');
    ($next, %changed) = 0;
    $delivered = change($old);
    ok($redis->wait_gone($delivered), 'pg_upgrade: the old server delivers');
    my $firing = q(SELECT tgenabled FROM pg_trigger WHERE tgname = 'cache_invalidation_item');
    $old->safe_psql('postgres', 'ALTER TABLE item ENABLE ALWAYS TRIGGER cache_invalidation_item');
    $redis->pause;
    @owed = map { change($old) } 1 .. 3;
    $old->stop;
    resume();
    my $new = new_node('new');
    my $dir = PostgreSQL::Test::Utils::tempdir();
    chdir $dir;
    my ($said, $problems) = run_command([ 'pg_upgrade', ($version >= 150000 ? '--no-sync' : ()), '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bin, '-B', $bin,
        '-s', $new->host, '-p', $old->port, '-P', $new->port ]);
    chdir '/';
    like($said, qr/Upgrade Complete/, 'pg_upgrade succeeds') or diag("$said\n$problems");
    all_kept('pg_upgrade');
    $new->start;
    ok(wait_for_worker($new, 'postgres'), 'pg_upgrade: the new server has a worker');
    my ($cure) = grep { $_->{text} =~ /CREATE OR REPLACE TRIGGER/ } blocks_of(slurp_file("$FindBin::RealBin/../../docs/operations.md"));
    $new->safe_psql('postgres', $cure->{text});
    isnt($new->psql('postgres', 'ALTER TABLE item DROP COLUMN id', stderr => \my $kept), 0, 'what is documented makes triggers depend on their columns again');
    like($kept, qr/trigger cache_invalidation_item on table item depends on column id/, 'by name');
    is($new->safe_psql('postgres', $firing), 'A', 'and keeps when they fire');
    my $listener = CacheInvalidate::Listener->new($new, 'postgres');
    $there = change($new);
    ok($redis->wait_gone($there), 'which delivers');
    my @heard = map { $_->{message}{record_id} } $listener->take_until('the new one', sub { "item:$_[0]{record_id}" eq $there });
    is("item:$heard[-1]", $there, 'and its message');
    $listener->quit;

    ok(wait_until('empty', sub { journal_pages($new, 'postgres') <= 2 }), 'its journal is emptied');
    ok($redis->wait_gone(@owed), 'what the old server owed is deleted, since everything is');
    like(slurp_file($new->logfile), qr/cache_invalidate: reset: the journal was written by another server/, 'and the log says why');
    unlike(slurp_file($new->logfile), qr/PANIC|TRAP|was terminated by signal|damaged/, 'no process of it died');
    $new->stop;
}

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|was terminated by signal|damaged/, 'no process died on ' . $_->name) for $node, $copy, $recovered;
$node->stop;
done_testing();
