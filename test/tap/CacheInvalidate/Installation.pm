# A copy of the server's installation with other extension scripts, or another build of the module: the programs find their
# folders relative to where they are.
package CacheInvalidate::Installation;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(basename dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;

our @EXPORT = qw(extension_folder make_installation variant);

sub _place { my ($what) = @_; chomp(my $place = `pg_config --$what`); return $place }

# The folder of control files and scripts of the installation under test.
sub extension_folder { return _place('sharedir') . '/extension' }

# The module as scripts/variant has built it, for make_installation(); undef: it was not built.
sub variant {
    my ($name) = @_;
    my $file = "$ENV{TESTDIR}/../variants/$name.so";
    return -f $file ? $file : undef;
}

# make_installation(NAME => TEXT...): with these files beside the extensions' own, and with library => FILE for the module. Returns
# what Cluster->new wants as install_path.
sub make_installation {
    my (%files) = @_;
    my $library = delete $files{library};
    my $root = PostgreSQL::Test::Utils::tempdir();
    my ($bin, $share, $libraries) = map { _place($_) } qw(bindir sharedir pkglibdir);
    make_path("$root$bin", "$root$share/extension", dirname("$root$libraries"));
    for my $program (qw(initdb pg_config pg_ctl postgres psql)) {
        copy("$bin/$program", "$root$bin/$program") && chmod(0755, "$root$bin/$program") or die "$bin/$program: $!";
    }
    my @linked = grep { basename($_) ne 'extension' } glob "$share/*";
    push @linked, grep { !exists $files{ basename($_) } } glob "$share/extension/*";
    if (defined $library) {
        mkdir "$root$libraries" or die "$root$libraries: $!";
        symlink $library, "$root$libraries/cache_invalidate.so" or die "$library: $!";
        push @linked, grep { basename($_) ne 'cache_invalidate.so' } glob "$libraries/*";
    } else {
        push @linked, $libraries;
    }
    for my $source (@linked) {
        symlink $source, "$root$source" or die "$root$source: $!";
    }
    append_to_file("$root$share/extension/$_", $files{$_}) for keys %files;
    return dirname("$root$bin");
}

1;
