# Servers are made and dropped all the time while others look at all of them: whom a transaction is for, where the worker delivers, what is
# wrong with the triggers. Who meets one that is just going passes over it.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant { SERVERS => 100, CYCLES => 10000, KEYS => 100, CLIENTS => 2 };

my $node  = new_node('main');
my $redis = CacheInvalidate::Redis->new('cache');
my $dir   = PostgreSQL::Test::Utils::tempdir();
$node->start;
create_items($node, 'postgres', $redis, rows => KEYS);
sub sql { return $node->safe_psql('postgres', @_) }
my $worker = wait_for_worker($node, 'postgres');

# A role that is no superuser is asked for its right to each of them.
sql('CREATE ROLE clerk; ALTER TABLE item OWNER TO clerk; GRANT USAGE ON FOREIGN SERVER cache TO clerk');
sub make_server {
    my ($name) = @_;
    return "CREATE SERVER $name FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $redis->url }', enabled 'off');\n"
      . "GRANT USAGE ON FOREIGN SERVER $name TO clerk;\n";
}
sql(join '', 'BEGIN;', (map { make_server("s$_") } 1 .. SERVERS), 'COMMIT');

sub file {
    my ($name, $text) = @_;
    append_to_file("$dir/$name", $text);
    return "$dir/$name";
}
my %looks = (
    'a change'               => 'UPDATE item SET version = version + 1 WHERE id = ' . KEYS . ';',
    'a key by hand'          => q(SELECT invalidate_cache_key('item:no');),
    'the health of triggers' => 'SELECT count(*) FROM get_cache_trigger_health();',
    'an explanation'         => q(SELECT count(*) FROM explain_cache_invalidation('item', 'INSERT', new => '{"id": 1, "title": "a", "version": 1}');));
my @others = map {
    my $said = '';
    { what => $_, said => \$said, run => IPC::Run::start(
        [ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c', CLIENTS, '-T', 300, '-f', file(s/\W/_/gr . '.sql', "$looks{$_}\n"), 'postgres' ],
        '<', \undef, '>&', \$said, IPC::Run::timeout(600)) };
} sort keys %looks;
my $churn = file('churn.sql', join '', (make_server('passing') . "DROP SERVER passing CASCADE;\n") x CYCLES);
ok(IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $churn ]), 'servers are made and dropped');
# The session that made them may still be ending.
sub sessions { return sql(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())) }
ok(wait_until('sessions', sub { sessions() == CLIENTS * @others }), 'and nobody who looks at them fails');
for (@others) {
    $_->{run}->kill_kill;
    note("$_->{what}: ${ $_->{said} }");
}

is(worker_pid($node, 'postgres'), $worker, 'the worker has met no error');
is(sql('SELECT count(*) FROM trigger_error_log'), 0, 'nor has a trigger') or diag(sql('SELECT * FROM trigger_error_log LIMIT 3'));
my @errors = grep { /ERROR|PANIC/ } split /\n/, slurp_file($node->logfile);
is(scalar(@errors), 0, 'nor anybody else') or diag(join "\n", @errors[ 0 .. ($#errors < 9 ? $#errors : 9) ]);
sql('UPDATE item SET version = version + 1');
ok($redis->wait_gone(map { "item:$_" } 1 .. KEYS), 'and it delivers');

$node->stop;
done_testing();
