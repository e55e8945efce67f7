# The recipes of docs/leases.md run as they are: examples/lease.py and examples/lease.js fill the cache, cannot store what they read too
# early, and go on without Redis. A language whose packages are not there is skipped.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant PATIENCE => 60;    # seconds

my $node = new_node('main');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache', tcp => 1);
create_items($node, 'postgres', $redis);
wait_for_worker($node, 'postgres');
$node->safe_psql('postgres', "ALTER SERVER cache OPTIONS (ADD lease_prefix 'lease:')");

my $examples = dirname(abs_path(__FILE__)) . '/../../examples';
$ENV{REDIS_URL}  = $redis->url;
$ENV{PGHOST}     = $node->host;
$ENV{PGPORT}     = $node->port;
$ENV{PGDATABASE} = 'postgres';
$ENV{PGUSER}     = $node->safe_psql('postgres', 'SELECT current_user');
$ENV{PYTHONPATH} = $examples;
$ENV{PYTHONDONTWRITEBYTECODE} = 1;
# Where Debian has the packages, for a node that is not Debian's.
$ENV{NODE_PATH} = join ':', grep { $_ } $ENV{NODE_PATH}, '/usr/share/nodejs';

# A program that reads item 7 by the example's function: having "read" it, it says so, and waits for a line.
my $late_python = <<'EOT';
import os, lease
def load():
    print("read", flush=True)
    input()
    return "old"
print(lease.cached(lease.connect_cache(os.environ["REDIS_URL"]), "item:7", load))
EOT
my $late_node = <<'EOT';
const lease = require(process.argv[1]);
async function load() {
  console.log('read');
  await new Promise((resolve) => process.stdin.once('data', resolve));
  return 'old';
}
async function main() {
  console.log(await lease.cached(await lease.connectCache(process.env.REDIS_URL), 'item:7', load));
  process.exit();
}
main();
EOT

my @languages = (
    {
        name     => 'Python',
        programs => [ '/usr/bin/python3', 'python3' ],
        packages => [ '-c', 'import psycopg2, redis' ],
        example  => ["$examples/lease.py"],
        late     => [ '-c', $late_python ]
    },
    {
        name     => 'JavaScript',
        programs => [ 'node', 'nodejs' ],
        packages => [ '-e', 'require("pg"); require("redis")' ],
        example  => ["$examples/lease.js"],
        late     => [ '-e', $late_node, "$examples/lease.js" ]
    });

# The first program that has the packages.
sub find_program {
    my ($language) = @_;
    for my $program (@{ $language->{programs} }) {
        return $program if eval { IPC::Run::run([ $program, @{ $language->{packages} } ], '<', \undef, '>', \my $said, '2>&1') };
    }
    return undef;
}

# What the example says of an item.
sub example_says {
    my ($language, $id) = @_;
    my ($output, $errors) = ('', '');
    IPC::Run::run([ $language->{program}, @{ $language->{example} }, $id ],
        '<', \undef, '>', \$output, '2>', \$errors, IPC::Run::timeout(PATIENCE))
      or diag("$language->{name}: status $?: $errors");
    return $output =~ s/\s+//gr;
}

# Should Redis be slow for a moment, the example reads without it: once more, then.
sub says_and_stores {
    my ($language, $id, $expected, $what) = @_;
    $redis->command('UNLINK', "item:$id", "lease:item:$id");
    my $said;
    wait_until("$what is cached", sub { $said = example_says($language, $id); $redis->has("item:$id") });
    is($said, $expected, "$language->{name}: $what is read");
    is($redis->command('GET', "item:$id") =~ s/\s+//gr, $expected, "$language->{name}: $what is cached");
    ok(!$redis->has("lease:item:$id"), "$language->{name}: no lease is left");
}

sub check_reading {
    my ($language) = @_;
    my $name = $language->{name};
    says_and_stores($language, 3, '{"id":3,"title":"title3","version":0}', 'a row');
    cmp_ok($redis->command('TTL', 'item:3'), '>', 0, "$name: for a limited time");
    $redis->command('SET', 'item:3', '{"id":"cached"}');
    ok(wait_until('a hit', sub { example_says($language, 3) eq '{"id":"cached"}' }), "$name: what is cached is used");
    $node->safe_psql('postgres', 'UPDATE item SET version = 1 WHERE id = 3');
    ok($redis->wait_gone('item:3'), "$name: a change deletes it");
    says_and_stores($language, 3, '{"id":3,"title":"title3","version":1}', 'the changed row');
    says_and_stores($language, 11, 'null', 'that there is no row');
    $node->safe_psql('postgres', "INSERT INTO item VALUES (11, 'new', 5)");
    ok($redis->wait_gone('item:11'), "$name: an INSERT deletes that");
    is(example_says($language, 11), '{"id":11,"title":"new","version":5}', "$name: the new row is read");
    # As before, for the next language.
    $redis->fill('item:3');
    $node->safe_psql('postgres', 'DELETE FROM item WHERE id = 11; UPDATE item SET version = 0 WHERE id = 3');
    ok($redis->wait_gone('item:3'), "$name: other changes delete it too");
}

# Starts a program that reads item 7, and waits until it has read it under its lease; what it was told and says is in the hash.
sub start_reader {
    my ($language) = @_;
    my %reader = (input => '', output => '');
    $redis->command('UNLINK', 'item:7', 'lease:item:7');
    $reader{run} = IPC::Run::start([ $language->{program}, @{ $language->{late} } ],
        '<', \$reader{input}, '>', \$reader{output}, IPC::Run::timeout(PATIENCE));
    $reader{run}->pump until $reader{output} =~ /read/ or !$reader{run}->pumpable;
    return \%reader if $redis->has('lease:item:7');
    finish_reader(\%reader);    # Redis was slow
    return 0;
}

sub finish_reader {
    my ($reader) = @_;
    $reader->{input} .= "\n";
    $reader->{run}->finish;
    return $reader->{output};
}

# The row changes between reading and storing.
sub check_late_reader {
    my ($language) = @_;
    my $reader = wait_until('a reader has the lease', sub { start_reader($language) });
    ok($reader, "$language->{name}: a reader has the lease") or return;
    $node->safe_psql('postgres', 'UPDATE item SET version = version + 1 WHERE id = 7');
    ok($redis->wait_gone('lease:item:7'), "$language->{name}: a change takes the lease away");
    like(finish_reader($reader), qr/old/, "$language->{name}: the reader uses what it read");
    ok(!$redis->has('item:7'), "$language->{name}: and does not store it");
}

sub check_without_redis {
    my ($language) = @_;
    my $row = '{"id":3,"title":"title3","version":0}';
    $redis->pause;
    is(example_says($language, 3), $row, "$language->{name}: with a Redis that hangs the row is read");
    $redis->resume;
    $redis->stop;
    is(example_says($language, 3), $row, "$language->{name}: with a Redis that is away as well");
    $redis->start;
}

my @found;
for my $language (@languages) {
    $language->{program} = find_program($language);
    push @found, $language if $language->{program};
  SKIP: {
        skip "$language->{name}: $language->{packages}[1]: not there", 1 unless $language->{program};
        check_reading($language);
        check_late_reader($language);
    }
}
# Last, since a Redis that was away is sent the deletes of some time again.
check_without_redis($_) for @found;

$node->stop;
done_testing();
