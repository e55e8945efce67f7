# The documents tell the truth where a test can see it: each block of SQL runs as it stands, against a server and a Redis; goals of
# make, files and links that are named exist. Documents and blocks that are new are found by themselves.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use File::Spec;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Documentation;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;

my $root = abs_path(dirname(__FILE__) . '/../..');
chdir $root or die "$root: $!";

# Files of the tree, as who copied it here has listed them, and their folders.
my %files = map { s{^\./}{}r => 1 } split /\n/, slurp_file('files');
my %exists = %files;
for my $file (keys %files) {
    $exists{$file} = 1 while ($file = dirname($file)) ne '.';
}
my %documents = map { $_ => slurp_file($_) } grep { /\.md$/ } keys %files;
cmp_ok(scalar keys %documents, '>=', 5, 'there are documents');

# ---- SQL ----------------------------------------------------------------------------------------

# The user of README, with the rights that it says.
my $redis = CacheInvalidate::Redis->new('cache', tcp => 1,
    config => ['user invalidator on >... ~* &* +unlink +del +scan +auth +select +client|setname +ping +info +publish']);
(my $url = $redis->url) =~ s{/0$}{};
my $node = new_node('main', wal_level => 'logical');
$node->start;

# Tells of each block what became of it; returns how many ran.
sub report_blocks {
    my ($name, @blocks) = @_;
    my $ran = 0;
    for my $block (@blocks) {
      SKIP: {
            skip "$name, line $block->{line}: $block->{skipped}", 1 if $block->{skipped};
            ok(!defined $block->{problem}, "$name: the SQL of line $block->{line}") or diag($block->{problem});
            $ran++;
        }
    }
    return $ran;
}

my $ran = 0;
$ran += report_blocks($_, run_document($node, $documents{$_}, $url)) for sort keys %documents;
cmp_ok($ran, '>=', 10, 'many blocks ran');
cmp_ok($redis->command('INFO', 'commandstats') =~ /cmdstat_unlink:calls=(\d+)/ ? $1 : 0, '>', 0, 'and a Redis has deleted');

# What would go unnoticed, were the above to see no mistakes
sub problems_of {
    my ($document) = @_;
    return map { $_->{problem} // ($_->{skipped} ? "skipped: $_->{skipped}" : 'none') } run_document($node, $document, $url);
}

my $made_up = <<'END';
A table, and a mistake in what follows.

<!-- sql: setup CREATE ROLE made_up;
CREATE TABLE tasks (id int PRIMARY KEY); -->
```sql
CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'redis://127.0.0.1:6379/0');
```
<!-- sql: fails 42P01 -->

```sql
SELECT id FROM task;   -- there is none
```
<!-- sql: not run, it is for another server -->
```sql
SELECT nothing;
```
<!-- sql: shows -->
```sql
VALUES ('a', 1), ('b', 2);
--  a | 1     b ...
```
```sh
SELECT nothing
```
```sql
SELECT notify_cache_invalidatoin();
```
```sql
SELECT 1;
```
END
my @problems = problems_of($made_up);
is_deeply([ @problems[ 0 .. 3 ] ], [ 'none', 'none', 'skipped: it is for another server', 'none' ], 'what is right is found right');
like($problems[4], qr/it fails: .*notify_cache_invalidatoin/s, 'a mistake is found');
is($problems[5], 'it is not reached', 'what follows does not count as run');
is(scalar @problems, 6, 'blocks in other languages are left alone');

is_deeply([ problems_of("```sql\nSELECT 1\n```\n") ], ['it does not end with a semicolon'], 'a missing semicolon is found');
like((problems_of("```sql\nSELECT 'a;\n```\n"))[0], qr/^it fails/, 'and a missing quote');
like((problems_of("<!-- sql: fails 42P01 -->\n```sql\nSELECT 1;\n```\n"))[0], qr/SQLSTATE 00000, not 42P01/, 'what should fail has to');
like((problems_of("<!-- sql: fails 42P01 -->\n```sql\nSELECT 1/0;\n```\n"))[0], qr/SQLSTATE 22012, not 42P01/, 'as it should');
like((problems_of("<!-- sql: shows -->\n```sql\nSELECT 1;\n--  2\n```\n"))[0], qr/"1", not "2"/, 'other rows are found');
like((problems_of("<!-- sql: shows -->\n```sql\nSELECT 1;\n```\n"))[0], qr/lists no rows/, 'as are none');
like((problems_of("<!-- sql: nor run, why -->\n```sql\nSELECT 1;\n```\n"))[0], qr/nobody knows/, 'and marks that are spelled wrong');
like((problems_of("<!-- sql: setup SELECT; SELECT nothing; -->\n```sql\nSELECT 1;\n```\n"))[0], qr/^its setup fails/, 'and a wrong setup');
like(
    (problems_of("```sql\nSELECT json_build_object('success', false);\n```\n"))[0], qr/no success/, 'and a test that did not succeed');

# ---- Shell, and links ---------------------------------------------------------------------------

my ($database) = run_command([ 'make', '-pnq', 'all' ]);
$database =~ s/^# Not a target:\n.*\n//mg;
my %goals = map { $_ => 1 } $database =~ /^([A-Za-z][\w-]*) *:(?!=)/mg;
ok($goals{installcheck}, 'make knows its goals');

sub unknown_goals { grep { !$goals{$_} } make_goals_of($_[0]) }
sub unknown_files { grep { !$exists{$_} } files_named_in($_[0], qw(scripts examples demo monitoring packaging)) }

# Links of a document that lead nowhere.
sub broken_links {
    my ($name, $document) = @_;
    my @broken;
    for my $link (links_of($document)) {
        my ($path, $anchor) = $link =~ /^([^#]*)#?(.*)$/;
        my $place = $path eq '' ? $name : dirname($name) . "/$path";
        $place =~ s{^\./|/\z}{}g;
        1 while $place =~ s{(?:^|(?<=/))(?!\.\./)[^/]+/\.\./}{};
        my $text = $place eq $name ? $document : $documents{$place};
        my $is_there = $exists{$place} && ($anchor eq '' || (defined $text && grep { $_ eq $anchor } anchors_of($text)));
        push @broken, $link unless $is_there;
    }
    return @broken;
}

for my $name (sort keys %documents) {
    is_deeply([ unknown_goals($documents{$name}) ], [], "$name: goals of make exist");
    is_deeply([ unknown_files($documents{$name}) ], [], "$name: programs exist");
    is_deeply([ broken_links($name, $documents{$name}) ], [], "$name: links lead somewhere");
}

is_deeply([ unknown_goals("```sh\nmake install A=\"x y\" && sudo X=1 make -j2 instal   # make nothing\n```") ], ['instal'], 'a goal that is not there is found');
is_deeply([ unknown_files("```sh\nA=b examples/lease.py 7\nnode examples/least.js\n```") ], ['examples/least.js'], 'as is a program');
my $links = "# A `b`: c\n[1](leases.md) [2](../README.md) [3](#a-b-c) [4](leases.md#what-to-mind) [5](https://example.org)\n";
is_deeply([ broken_links('docs/payloads.md', $links) ], [], 'links that are right are found right');
is_deeply(
    [ broken_links('docs/payloads.md', '[1](README.md) [2](#a) [3](leases.md#a) [4](../docs/none/x.md)') ],
    [ 'README.md', '#a', 'leases.md#a', '../docs/none/x.md' ],
    'links that lead nowhere are found');

$node->stop;
done_testing();
