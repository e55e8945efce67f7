# A server in front of a Redis that misbehaves as it is told: a process that ends with the test.
package CacheInvalidate::Relay;

use strict;
use warnings;

use Carp;
use IO::Socket::UNIX;
use POSIX ();

my @processes;

# What is answered instead. In the mode "cut" the Nth connection since is hung up when so many bytes of answers to
# deletes have been sent, if CUTS has an Nth: of what comes behind, nothing is executed.
my %answers = (
    loading => "-LOADING Redis is loading the dataset in memory\r\n",
    http    => "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    greets  => "220 mail.example.org ESMTP\r\n",
    bulk    => "\$99999999999\r\nx",
    deep    => "*1\r\n" x 100,
    line    => '+' . 'x' x 100_000,
    push    => ">2\r\n\$10\r\ninvalidate\r\n*1\r\n+x\r\n",
);

# new(REDIS, MODE, CUTS...): "pass", "cut", "endless", where no SCAN comes to its end, "slow", where each PUBLISH takes 2 ms, or
# one of those above.
sub new {
    my ($class, $redis, $mode, @cuts) = @_;
    my $path   = "$redis->{dir}/relay" . scalar @processes;
    my $socket = IO::Socket::UNIX->new(Local => $path, Listen => 16) or croak "$path: $!";
    my $pid    = fork // croak "fork: $!";
    if ($pid == 0) {
        $SIG{PIPE} = 'IGNORE';
        while (my $client = $socket->accept) {
            my $limit = $mode eq 'cut' ? shift @cuts : undef;
            eval { _serve($client, $redis, $answers{$mode}, $limit, $mode) };
        }
        POSIX::_exit(0);
    }
    push @processes, $pid;
    return bless { url => "unix://$path" }, $class;
}

sub url { return $_[0]{url} }

my %input;

sub _serve {
    my ($client, $redis, $answer, $limit, $mode) = @_;
    %input = ();
    my $server = IO::Socket::UNIX->new(Peer => $redis->{path}) or die;
    while (my $command = _message($client)) {
        if ($answer) {
            syswrite $client, $answer;
            next;
        }
        if ($mode eq 'endless' and $command =~ /\A\*\d+\r\n\$4\r\nSCAN\r/) {
            select undef, undef, undef, 0.01;
            syswrite $client, "*2\r\n\$1\r\n7\r\n*0\r\n";
            next;
        }
        syswrite $server, $command;
        my $reply = _message($server) // return;
        # what it takes is what is tested
        select undef, undef, undef, 0.002 if $mode eq 'slow' and $command =~ /\A\*\d+\r\n\$7\r\nPUBLISH\r/;
        if (defined $limit and $command =~ /\A\*\d+\r\n\$\d+\r\n(?:UNLINK|DEL)\r/) {
            syswrite $client, substr $reply, 0, $limit;
            $limit -= length $reply;
            return if $limit <= 0;
            next;
        }
        syswrite $client, $reply;
    }
}

sub _more {
    my ($socket) = @_;
    sysread $socket, $input{$socket}, 65536, length $input{$socket} or die 'closed';
}

# The bytes of one command or reply.
sub _message {
    my ($socket) = @_;
    $input{$socket} //= '';
    _more($socket) until $input{$socket} =~ /\r\n/;
    $input{$socket} =~ s/\A(.)([^\r]*)\r\n//s;
    my ($type, $rest) = ($1, $2);
    my $message = "$type$rest\r\n";
    if ($type eq '*') {
        $message .= _message($socket) for 1 .. $rest;
    } elsif ($type eq '$' and $rest >= 0) {
        _more($socket) until length $input{$socket} >= $rest + 2;
        $message .= substr $input{$socket}, 0, $rest + 2, '';
    }
    return $message;
}

END {
    my $status = $?;
    for my $pid (@processes) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }
    $? = $status;
}

1;
