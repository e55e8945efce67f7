# What a DBA sees of the worker: pg_stat_activity, the process title and the server log say what it does and what it waits for, without
# noise and without a secret.
use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node  = new_node('main', autovacuum => 'off');
my $redis = CacheInvalidate::Redis->new('cache');
my $other = CacheInvalidate::Redis->new('other');
$node->start;
my $version = $node->safe_psql('postgres', 'SHOW server_version_num');
$node->safe_psql('postgres', 'CREATE DATABASE app');
create_items($node, 'app', $redis, rows => 20);
my $worker = wait_for_worker($node, 'app');
sub sql { return $node->safe_psql('app', @_) }
sub seen { return sql("SELECT $_[1] FROM pg_stat_activity WHERE backend_type = 'cache_invalidate $_[0]'") }

sub title {
    my ($pid) = @_;
    return slurp_file("/proc/$pid/cmdline") =~ s/\0+\z//r;
}

# That is what is shown, and in the title.
sub shows {
    my ($what, $state, $text) = @_;
    ok(wait_until($text, sub { seen('worker', 'state, query') eq "$state|$text" }), "$what: pg_stat_activity says \"$text\", $state")
      or diag(seen('worker', 'state, query'));
    ok(wait_until($text, sub { title($worker) =~ /cache_invalidate worker app \Q$text\E\s*\z/ }), "$what: so does the process title")
      or diag(title($worker));
    return;
}

# --- In pg_stat_activity and in the title

shows('idle', 'idle', 'waiting for changes');
my $event = $version >= 170000 ? 'CacheInvalidateMain' : 'Extension';
ok(wait_until('the wait', sub { seen('worker', 'wait_event_type, wait_event') eq "Extension|$event" }), 'what it waits for is named');
ok(wait_until('the launcher', sub { seen('launcher', 'state, query') eq 'idle|watching 1 worker' }), 'the launcher says what it watches');
is(seen('launcher', 'wait_event_type, wait_event'), "Extension|$event", 'and waits for the same');
like(title(seen('launcher', 'pid')), qr/cache_invalidate launcher watching 1 worker\s*\z/, 'in its title, too');
sql("ALTER SERVER cache OPTIONS (ADD command_timeout '60s')");
$redis->pause;
sql('UPDATE item SET version = 1 WHERE id = 1');
shows('a server hangs', 'active', 'delivering to "cache"');
$redis->resume;
ok($redis->wait_gone('item:1'), 'the server answers');
shows('all is delivered', 'idle', 'waiting for changes');
sql('SELECT pause_cache_invalidation()');
shows('paused', 'idle', 'waiting: paused by hand');
sql('SELECT resume_cache_invalidation()');
shows('resumed', 'idle', 'waiting for changes');
sql(qq{CREATE SERVER "odd\nname" FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '} . $other->url . q{')});
ok(wait_until('up', sub { target($node, 'app', 'state', "odd\nname") eq 'up' }), 'a second server');
$other->stop;
shows('a server is down', 'idle', 'waiting: server "odd?name" is down');

# --- In the log: an outage costs a line for each of its causes, however often it is tried again

my $told = -s $node->logfile;
$redis->stop;
shows('two are down', 'idle', 'waiting: 2 servers are down');
my $failures = target($node, 'app', 'failures');
for my $attempt (1 .. 20) {
    sql('SELECT pg_reload_conf()');
    wait_until('another attempt', sub { target($node, 'app', 'failures') >= $failures + $attempt }, 20) or last;
}
cmp_ok(target($node, 'app', 'failures'), '>=', $failures + 20, 'it was tried again twenty times');
my @lines = grep { /cache_invalidate: / && !/server "odd/ } split /\n/, slurp_file($node->logfile, $told);
# The connection is lost, and then there is no server.
my %causes = map { $_ => 1 } map { /server "cache" is down: (.*)/ } @lines;
ok(keys %causes <= 2 && keys %causes == @lines, 'each cause is told once, with the name of the server') or diag(join "\n", @lines);
$redis->start;
ok(wait_until('up', sub { target($node, 'app', 'state') eq 'up' }), 'it is back');
ok(wait_until('told', sub { slurp_file($node->logfile, $told) =~ /server "cache" is up again/ }), 'which is told');
$told = -s $node->logfile;
my $began = time;
for (1 .. 5) {
    $redis->stop;
    wait_until('down', sub { target($node, 'app', 'state') eq 'down' });
    $redis->start;
    sql('SELECT pg_reload_conf()');
    wait_until('up', sub { target($node, 'app', 'state') eq 'up' });
}
my $downs = () = slurp_file($node->logfile, $told) =~ /server "cache" is down/g;
cmp_ok($downs, '<=', 2 * (1 + (time - $began) / 60), 'what is up and down in turns is told once a minute');
$other->start;
sql('SELECT pg_reload_conf()');
shows('all are back', 'idle', 'waiting for changes');
sql(qq(DROP SERVER "odd\nname"));

# --- No secret in the log, whatever is logged

my $path = PostgreSQL::Test::Utils::tempdir_short() . '/echo';
my $echo = fork // die "fork: $!";
if ($echo == 0) {
    # Answers everything with an error that repeats it.
    my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 5) or POSIX::_exit(1);
    my $sockets = IO::Select->new($listener);
    while (1) {
        for my $ready ($sockets->can_read) {
            if ($ready == $listener) {
                $sockets->add(scalar $listener->accept);
            } elsif (sysread $ready, my $said, 65536) {
                $said =~ s/[\r\n]+/ /g;
                syswrite $ready, "-ERR unknown command: $said\r\n";
            } else {
                $sockets->remove($ready);
                close $ready;
            }
        }
    }
}
ok(wait_until('it listens', sub { -S $path }), 'a server that repeats what it is told');
my $locked = CacheInvalidate::Redis->new('locked', config => ['requirepass right']);
sql("ALTER SYSTEM SET log_min_messages = 'debug5'");
sql('SELECT pg_reload_conf()');
ok(wait_until('it logs', sub { slurp_file($node->logfile) =~ /DEBUG: / }), 'everything is logged');
my ($wrong, $told_to_echo) = ('Wr0ng.Secret', 'Ech0ed.Secret');
# From a session that does not log what it is told itself.
my $session = "SET log_min_messages = 'panic'; SET log_min_error_statement = 'panic';";
for ([ 'a wrong password', $locked->url, $wrong ], [ 'a server that repeats it', "unix://$path", $told_to_echo ]) {
    my ($what, $url, $password) = @$_;
    sql("$session DROP SERVER IF EXISTS strange CASCADE;
        CREATE SERVER strange FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '$url');
        CREATE USER MAPPING FOR CURRENT_USER SERVER strange OPTIONS (username 'default', password '$password')");
    ok(wait_until('down', sub { target($node, 'app', 'state', 'strange') eq 'down' && target($node, 'app', 'failures', 'strange') > 0 }), "$what: it is down");
    unlike(target($node, 'app', "problem || coalesce(cure, '')", 'strange'), qr/Secret/, "$what: why is told without it");
    ok(wait_until('told', sub { slurp_file($node->logfile) =~ /server "strange" is down: / }), "$what: in the log, too");
}
# Not with TERM: to that, newer test libraries of the server answer by stopping every server of the test.
kill 'KILL', $echo;
waitpid $echo, 0;
unlike(slurp_file($node->logfile), qr/Secret/, 'no password is in the log');
unlike(sql("SELECT string_agg(a::text, ' ') FROM pg_stat_activity a WHERE backend_type LIKE 'cache_invalidate%'"), qr/Secret/, 'nor in pg_stat_activity');
unlike(title($worker), qr/Secret/, 'nor in the title');
sql('DROP SERVER strange CASCADE; ALTER SYSTEM RESET ALL');
sql('SELECT pg_reload_conf()');

# --- An idle worker takes no transaction id

my $quiet = sub {
    my $now = sub { return split /\|/, seen('worker', 'pg_snapshot_xmax(pg_current_snapshot()), state_change') };
    my ($xid, $changed) = $now->();
    wait_until('it looks after the catalogs', sub { ($now->())[1] ne $changed });
    return ($now->())[0] eq $xid;
};
ok(wait_until('quiet', $quiet, 120), 'an idle worker looks after the catalogs without a transaction id');
is(worker_pid($node, 'app'), $worker, 'the worker is the same all along');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'no process died');
$node->stop;
done_testing();
