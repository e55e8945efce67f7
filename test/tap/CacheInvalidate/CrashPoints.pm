# The marks of a server whose module is built as crash_points (src/pg/crash_point.hpp): how often they were visited, and what shall
# happen there. All by a file in the data directory that its processes have mapped.
package CacheInvalidate::CrashPoints;

use strict;
use warnings;

use Carp;
use Fcntl;

use CacheInvalidate::Wait;

use constant { RECORD => 128, ACTION => 64, VISITS_LEFT => 68, PID => 72, RELEASED => 76, VISITS => 80 };

my @kinds   = (undef, qw(caught fails dies));
my %actions = (error => 1, exit => 2, kill => 3, abort => 4, wait => 5);

# new(NODE): started before; each start makes a new file.
sub new {
    my ($class, $node) = @_;
    my $name = $node->data_dir . '/cache_invalidate_crash_points';
    sysopen my $file, $name, O_RDWR or croak "$name: $!";
    my $self = bless { file => $file, points => {} }, $class;
    for (my $place = 0; my $record = $self->_read($place, RECORD); $place += RECORD) {
        my ($point, $kind) = unpack 'Z60 L', $record;
        croak "two marks are called $point" if $self->{points}{$point};
        $self->{points}{$point} = { place => $place, kind => $kinds[$kind] };
    }
    return $self;
}

sub _read {
    my ($self, $place, $size) = @_;
    sysseek $self->{file}, $place, 0;
    sysread $self->{file}, my ($bytes), $size;
    return $bytes;
}

sub _number {
    my ($self, $point, $place) = @_;
    return unpack $place == VISITS ? 'Q' : 'L', $self->_read($self->_place($point) + $place, $place == VISITS ? 8 : 4);
}

sub _set {
    my ($self, $point, $place, $number) = @_;
    sysseek $self->{file}, $self->_place($point) + $place, 0;
    syswrite $self->{file}, pack('L', $number) or croak "crash points: $!";
    return;
}

sub _place { my ($self, $point) = @_; return ($self->{points}{$point} // croak "no mark is called $point")->{place} }

sub names { my ($self) = @_; return sort keys %{ $self->{points} } }
sub kind { my ($self, $point) = @_; return $self->{points}{$point}{kind} }
sub visits { my ($self, $point) = @_; return $self->_number($point, VISITS) }

# What may be done there.
sub actions {
    my ($self, $point) = @_;
    return $self->kind($point) eq 'dies' ? qw(kill abort wait) : qw(error exit kill abort wait);
}

# The action is carried out once, at that visit from now on.
sub arm {
    my ($self, $point, $action, $visit) = @_;
    $self->_set($point, PID, 0);
    $self->_set($point, RELEASED, 0);
    $self->_set($point, VISITS_LEFT, $visit // 1);
    $self->_set($point, ACTION, $actions{$action});
    return;
}

sub disarm { my ($self, $point) = @_; $self->_set($point, ACTION, 0); $self->release($point); return }

# The process in which it was carried out, or that waits there; 0: none yet.
sub pid { my ($self, $point) = @_; return $self->_number($point, PID) }

# Waits for that.
sub wait_for {
    my ($self, $point, $seconds) = @_;
    return wait_until("somebody comes to $point", sub { $self->pid($point) }, $seconds);
}

# Lets go who waits there.
sub release { my ($self, $point) = @_; $self->_set($point, RELEASED, 1); return }

1;
