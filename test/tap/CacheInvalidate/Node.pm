# A PostgreSQL server with the library preloaded, and the table that the tests change.
package CacheInvalidate::Node;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Wait;

our @EXPORT = qw(new_node configure create_items items_trigger worker_pid wait_for_worker stop_worker note_all target journal_pages stat_of is_noted
  crowd_out_journal wait_for_server try_psql kill_postmaster);

# new_node(NAME, SETTING => VALUE...): initialized, not started. allows_streaming => 1 is an option, no setting; so are
# preload => 0, and install_path => what make_installation() gives.
sub new_node {
    my ($name, %settings) = @_;
    my $install = delete $settings{install_path};
    my $node = PostgreSQL::Test::Cluster->new($name, defined $install ? (install_path => $install) : ());
    my $streaming = delete $settings{allows_streaming};
    my $preload   = delete $settings{preload} // 1;
    $node->init(allows_streaming => $streaming, extra => [ '-E', 'UTF8', '--locale=C' ]);
    # log_statement would put passwords into the log, and make it long
    configure(
        $node,
        ($preload ? (shared_preload_libraries => 'cache_invalidate') : ()),
        restart_after_crash       => 'on',
        log_statement             => 'none',
        max_connections           => 40,
        max_prepared_transactions => 10,
        shared_buffers            => '64MB',
        # so that the journal is seen to become empty
        'cache_invalidate.replay_window' => '1s',
        %settings);
    return $node;
}

sub configure {
    my ($node, %settings) = @_;
    $node->append_conf('postgresql.conf', join '', map { "$_ = '$settings{$_}'\n" } sort keys %settings);
}

# The extension, a server "cache" for the Redis unless there is none, a table of `rows` items, each with its key
# item:ID, and its trigger.
sub create_items {
    my ($node, $database, $redis, %options) = @_;
    my $rows = $options{rows} // 10;
    my $url = $redis && $redis->url;
    $node->safe_psql($database, 'CREATE EXTENSION IF NOT EXISTS cache_invalidate');
    $node->safe_psql($database, "CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '$url')")
      if $redis;
    $node->safe_psql($database,
            'CREATE TABLE item (id int PRIMARY KEY, title text, version int NOT NULL DEFAULT 0);'
          . "INSERT INTO item SELECT n, 'title ' || n FROM generate_series(1, $rows) n;"
          . items_trigger($options{arguments}));
    $redis->fill(map { "item:$_" } 1 .. $rows) if $redis;
}

sub items_trigger {
    my ($arguments) = @_;
    $arguments //= q('resource=item', 'key=item:{id}');
    return "CREATE TRIGGER cache_invalidation_item AFTER INSERT OR UPDATE OR DELETE ON item FOR EACH ROW
            EXECUTE FUNCTION notify_cache_invalidation($arguments);";
}

# undef: the database has no worker.
sub worker_pid {
    my ($node, $database) = @_;
    my $pid = $node->safe_psql('postgres',
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'cache_invalidate worker' AND datname = '$database'");
    return $pid =~ /^\d+$/ ? $pid : undef;
}

# Waits for a worker other than the given one; returns its pid.
sub wait_for_worker {
    my ($node, $database, $other) = @_;
    return wait_until(
        "worker of $database",
        sub {
            my $pid = worker_pid($node, $database);
            return defined $pid && (!defined $other || $pid != $other) ? $pid : 0;
        });
}

# Stops the worker where it holds no lock that others need; returns its pid. It goes on by SIGCONT.
sub stop_worker {
    my ($node, $database) = @_;
    my $pid = wait_for_worker($node, $database);
    wait_until(
        'the worker waits',
        sub {
            kill 'STOP', $pid;
            $node->psql('postgres', "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid",
                stdout => \my $waits_for, timeout => 5, timed_out => \my $late);
            return 1 if ($waits_for // '') eq 'Extension';
            kill 'CONT', $pid;
            return 0;
        });
    return $pid;
}

# A column of the view of targets, for one server.
sub target {
    my ($node, $database, $column, $server) = @_;
    $server //= 'cache';
    return $node->safe_psql($database, "SELECT $column FROM cache_invalidation_targets WHERE server = '$server'");
}

# As the server's method psql(), of which it returns the status, for a server that may not be there: psql may then have ended before it is
# given the statement, at which IPC::Run dies.
sub try_psql {
    my ($node, @arguments) = @_;
    my $status = eval { $node->psql(@arguments) };
    return $status // 2;    # as when it cannot connect
}

sub stat_of {
    my ($node, $database, $column) = @_;
    return $node->safe_psql($database, "SELECT $column FROM cache_invalidation_stats");
}

# The pages of the journal's rows on disk, with what is stored out of line.
sub journal_pages {
    my ($node, $database) = @_;
    return $node->safe_psql($database,
            "SELECT sum(pg_relation_size(oid) + pg_relation_size(reltoastrelid)) / current_setting('block_size')::int"
          . " FROM pg_class WHERE relname LIKE 'cache\\_invalidation\\_journal\\__'");
}

# Whether the journal's last watermark is younger than its last batch, if there is one: what was delivered by then is
# remembered, across a crash as well.
sub is_noted {
    my ($node, $database) = @_;
    my $youngest = q{(SELECT max(xmin::text::bigint) FROM (SELECT xmin, batch FROM cache_invalidation_journal_0
                      UNION ALL SELECT xmin, batch FROM cache_invalidation_journal_1) r WHERE get_byte(batch, 0) = %d)};
    return 0 if $node->safe_psql($database, 'SELECT ' . sprintf("coalesce($youngest > $youngest, $youngest IS NOT NULL)", 2, 1, 2)) ne 't';
    # The worker does not wait until it is flushed.
    $node->safe_psql($database, q(SET synchronous_commit = on; SELECT pg_logical_emit_message(true, '', '')));
    return 1;
}

# Waits until all that was delivered is remembered. A watermark younger than a batch may have been begun before it, so that of one more
# batch, with a key that nobody has, is waited for.
sub note_all {
    my ($node, $database) = @_;
    my $is_noted = sub { wait_until('noted', sub { is_noted($node, $database) }) };
    return 0 if !$is_noted->();
    $node->safe_psql($database, q(SELECT invalidate_cache_key('noted')));
    return $is_noted->();
}

# Writes so much that nothing which is in the journal now stays there, whatever the replay window is. With max_journal_size at its least
# that is some ten megabytes.
sub crowd_out_journal {
    my ($node, $database) = @_;
    my $rows = 'SELECT xmin::text::bigint AS x FROM cache_invalidation_journal_0 UNION ALL SELECT xmin::text::bigint FROM cache_invalidation_journal_1';
    my $last = $node->safe_psql($database, "SELECT max(x) FROM ($rows) r");
    # What compresses badly.
    my $write = q{SELECT invalidate_cache_key(VARIADIC array_agg(key)) FROM (
        SELECT string_agg(md5(n || ' ' || m || random()), '') AS key FROM generate_series(1, 1000) n, generate_series(1, 30) m GROUP BY n) k};
    return wait_until('the journal has nothing older', sub {
        $node->safe_psql($database, $write);
        return $node->safe_psql($database, "SELECT min(x) > $last FROM ($rows) r") eq 't';
    });
}

# Waits until the server takes connections, after it crashed and started again by itself. Given the process that was killed for it, what
# answers is not the server of before.
sub wait_for_server {
    my ($node, $killed) = @_;
    wait_until('the process is gone', sub { !is_running($killed) }) if defined $killed;
    return wait_until('the server takes connections',
        sub { try_psql($node, 'postgres', 'SELECT 1', timeout => 10, timed_out => \my $late) == 0 });
}

sub children_of {
    my ($parent) = @_;
    my @found;
    for my $file (glob '/proc/[0-9]*/stat') {
        open my $stat, '<', $file or next;
        push @found, $1 if (<$stat> // '') =~ /^(\d+) \(.*\) \S $parent /;
    }
    return @found;
}

# kill -9 of the postmaster; true when all its processes have ended by themselves.
sub kill_postmaster {
    my ($node)     = @_;
    my ($pid)      = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
    my @children   = children_of($pid);
    $node->kill9;
    my $all_gone = wait_until('all processes are gone', sub { !grep { is_running($_) } @children }, 30);
    # Its number stays taken until somebody has asked for its status, and a new one looks at that.
    wait_until('the postmaster is gone', sub { !kill 0, $pid });
    return $all_gone;
}

1;
