# Databases in other encodings: the cache's keys are UTF-8, so that one value has one key in all of them, and messages
# are JSON that any client can read: in such a database, ASCII.
use strict;
use warnings;
use utf8;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node = new_node('main');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');

sub bytes { my ($text) = @_; utf8::encode($text); return $text }

sub new_database {
    my ($name, $encoding) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
    $node->safe_psql('postgres', "ALTER DATABASE $name SET client_encoding = 'UTF8'");
    create_items($node, $name, $redis, rows => 1, arguments => q('key=item:{title}', 'pattern=such:{title}:*', 'id={title}', 'fields=title'));
    wait_for_worker($node, $name);
    return CacheInvalidate::Listener->new($node, $name);
}

# The message of the new title.
sub message {
    my ($listener) = @_;
    my ($heard) = reverse $listener->take_until('INSERT', sub { $_[0]{operation} eq 'INSERT' });
    $listener->quit;
    return $heard;
}

my %values = (LATIN1 => 'groß ÿ', EUC_JP => '日本 丂ﾊ', UTF8 => 'groß 日本 😀');
for my $encoding (sort keys %values) {
    my $value = $values{$encoding};
    my $listener = new_database(lc $encoding, $encoding);
    my @keys = map { bytes($_) } "item:$value", "such:$value:1", "such:$value:\x{e9}";
    $redis->fill(@keys, bytes("item:$value!"));
    $node->safe_psql(lc $encoding, bytes("UPDATE item SET title = '$value'"));
    ok($redis->wait_gone(@keys), "$encoding: keys and patterns are deleted by their UTF-8");
    ok($redis->has(bytes("item:$value!")), "$encoding: and no others");
    my $heard = message($listener);
    is_deeply([ @{ $heard->{message} }{qw(record_id title)} ], [ ($encoding eq 'UTF8' ? bytes($value) : $value) x 2 ], "$encoding: the message has the value");
    like($heard->{text}, qr/^[ -~]+$/, "$encoding: in ASCII") if $encoding ne 'UTF8';
}

# --- A database that knows no encoding: its bytes are the key; a message, which must be text, has a character for what is none

my $listener = new_database('ascii', 'SQL_ASCII');
$redis->fill("item:\xe9", "such:\xe9:1", "item:\xc3\xa9");
$node->safe_psql('ascii', q(UPDATE item SET title = E'\xe9'));
ok($redis->wait_gone("item:\xe9", "such:\xe9:1"), 'SQL_ASCII: keys and patterns are deleted by their bytes');
ok($redis->has("item:\xc3\xa9"), 'SQL_ASCII: and no others');
is_deeply([ @{ message($listener)->{message} }{qw(record_id title)} ], [ ("\x{fffd}") x 2 ], 'SQL_ASCII: the message is valid');

# --- What the administrator names, and what he is told

for my $encoding (qw(EUC_JP LATIN1 UTF8)) {
    my ($database, $word) = (lc $encoding, $encoding eq 'EUC_JP' ? '表' : 'größe');
    $node->safe_psql($database, bytes(
        "CREATE SERVER \"$word\" FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '" . $redis->url . "', key_prefix '$word:');"
      . "CREATE TABLE named (id int PRIMARY KEY, \"$word\" int);"));
    my $problem = '';
    my $attach = sub {
        my ($name, @arguments) = @_;
        my $list = join ', ', map { "'$_'" } @arguments;
        return $node->psql($database, bytes("CREATE TRIGGER $name AFTER INSERT ON named FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation($list)"), stderr => \$problem);
    };
    is($attach->('wrong', "key={${word}x}"), 3, "$encoding: a wrong column is refused");
    like($problem, qr/ERROR:  column "\Q${\ bytes($word) }\Ex" of table "named" does not exist/, "$encoding: by its name");
    is($attach->('all_servers', "key=all:{$word}"), 0, "$encoding: a right one is not");
    $attach->('one_server', "key=one:{$word}", "server=$word");
    is($problem, '', "$encoding: a server is found by its name");
    $redis->fill(bytes("$word:all:7"), bytes("$word:one:7"));
    $node->safe_psql($database, 'INSERT INTO named VALUES (1, 7)');
    ok($redis->wait_gone(bytes("$word:all:7")), "$encoding: its prefix is put before keys");
    ok($redis->wait_gone(bytes("$word:one:7")), "$encoding: also of a trigger that names it");
    my ($status, $said) = $node->psql($database, "SELECT test_cache_invalidation('named')");
    like($said, qr/"target":"\Q${\ bytes($word) }\E","success":true/, "$encoding: test_cache_invalidation() names it");
    my $table = bytes($word);
    $node->safe_psql($database, "ALTER TABLE named RENAME TO \"$table\"");
    ($status, $said) = $node->psql($database, "SELECT test_cache_invalidation('$table')");
    like($said, qr/"success":true,.*"table":"$table"/, "$encoding: and the table");
    is($node->safe_psql($database, "SELECT item FROM explain_cache_invalidation('$table', 'INSERT', new => '{\"id\": 2, \"$table\": 8}') WHERE server = '$table' ORDER BY item"),
        "$table:all:8\n$table:one:8", "$encoding: explain_cache_invalidation() knows the server and its prefix");
    $node->safe_psql($database, "ALTER SERVER \"$table\" OPTIONS (SET url 'unix:///none/$table')");
    ok($node->poll_query_until($database, "SELECT problem LIKE '%unix:///none/$table%' FROM cache_invalidation_targets WHERE server = '$table'"), "$encoding: its problem is told");
}

$node->stop;
done_testing();
