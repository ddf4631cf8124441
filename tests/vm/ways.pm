# What the ways of block-files.sh and block-written.sh are made of, and how each is tried: "works" or "denied" (EPERM), else what went wrong.
use strict;
use warnings;
use Errno qw(EPERM);
use Fcntl;

our ($O_PATH, $CLONE_NEWNS, $MS_BIND, $MNT_DETACH, $CWD) = (0x200000, 0x20000, 4096, 2, -100);

sub content { my $f = shift; local $/; my $text = <$f>; defined $text && $text =~ /^kept/ or die "it reads otherwise\n"; 1 }
sub reads { sysopen(my $f, $_[0], O_RDONLY) or return 0; content($f) }
sub adds { sysopen(my $f, $_[0], O_WRONLY | O_APPEND) or return 0; 1 }
# Of a program: whether it says that it is not permitted.
sub runs {
    my $said = `(@_) 2>&1`;
    return 1 if $? == 0;
    $! = $said =~ /not permitted/ ? EPERM : 0;
    $! == EPERM or print "  ($said)";
    return 0;
}
# In a process of its own, whose errno is its exit status.
sub apart {
    my $act = shift;
    my $pid = fork // die "no fork\n";
    if (!$pid) { my $done = eval { $act->() }; exit($done ? 0 : $@ ? 255 : $! + 0) }
    waitpid $pid, 0;
    $! = $? >> 8;
    return $? == 0;
}
sub prepared { my $done = shift; $done or die "cannot be prepared: $!\n" }
# A system call takes no constants.
sub call { my @words = @_; syscall(shift(@words), @words) }
sub mounted { call(165, $_[0], $_[1], "none", $MS_BIND, 0) == 0 }
# Does it while something is mounted there.
sub with_mount {
    my ($mount, $point, $act) = @_;
    prepared runs $mount;
    my $done = apart $act;
    my $why = $!;
    runs "umount $point";
    $! = $why;
    return $done;
}

# Each way of a kind, tried: a line each.
sub tried {
    my $kind = shift;
    for my $way (@_) {
        my ($name, $act) = @$way;
        local $@;
        $! = 0;
        my $done = eval { $act->() };
        my $said = $@ ? "went wrong: $@" : $done ? 'works' : $! == EPERM ? 'denied' : "fails: $!";
        chomp $said;
        print "$kind $name: $said\n";
    }
}

1;
