# Sessions that run scripts side by side, each in a psql of its own.
package CacheInvalidate::Sessions;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use Test::More;

our @EXPORT_OK = qw(run_sessions);

use constant PATIENCE => 300;    # seconds

# run_sessions(NODE, DATABASE, DIR, SCRIPTS...): the scripts set VERBOSITY to verbose. Returns how often each command tag and each
# SQLSTATE was reported, {tags => {'COMMIT' => 3...}, errors => {'40P01' => 1...}}, under `examples` an error message of each
# SQLSTATE, and under `prepared` the ids of prepared transactions. undef: they did not end.
sub run_sessions {
    my ($node, $database, $dir, @scripts) = @_;
    my (@runs, @outputs);
    for my $number (0 .. $#scripts) {
        my $file = "$dir/session_$number.sql";
        open my $out, '>', $file or die "$file: $!";
        print $out $scripts[$number];
        close $out or die "$file: $!";
        push @outputs, "$dir/session_$number.out";
        push @runs, IPC::Run::start([ 'psql', '-X', '-h', $node->host, '-p', $node->port, '-d', $database, '-f', $file ],
            '<', \undef, '>', $outputs[-1], '2>&1', IPC::Run::timeout(PATIENCE));
    }
    my $complete = 1;
    for my $run (@runs) {
        next if eval { $run->finish };
        diag($@ || 'psql ended with status ' . $run->result);
        $complete = 0;
        $run->kill_kill;
    }
    return $complete ? _summary(@outputs) : undef;
}

sub _summary {
    my (@files) = @_;
    my %said = (tags => {}, errors => {}, examples => {}, prepared => {});
    for my $name (@files) {
        open my $file, '<', $name or die "$name: $!";
        while (<$file>) {
            if (/(?:ERROR|FATAL|PANIC): +(\w{5}): (.*)/ || /(server closed the connection.*|connection to server.*)/) {
                my ($state, $text) = defined $2 ? ($1, $2) : ('08006', $1);
                $said{errors}{$state}++;
                $said{examples}{$state} //= $text;
            }
            $said{prepared}{$1} = 1 if /^ prepares (\d+)$/;
            $said{tags}{$1}++   if /^([A-Z]+(?: [A-Z]+)*)(?: \d+)*$/;
        }
    }
    return \%said;
}

1;
